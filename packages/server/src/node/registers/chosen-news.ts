import { type Ballot, proposerStoreOf } from '@meridian/core/coordination/paxos/ballot';
import type { NodeName, RecordKey } from '@meridian/core/ids';
import { CHOSEN, type ChosenBallots } from '@meridian/core/wire/messages';
import type { CancelTimer } from '../../ports/clock.ts';
import type { Transport } from '../../ports/transport.ts';
import type { NodeState } from '../node-state.ts';
import type { Peer } from '../peers.ts';
import type { ChosenMarks } from './chosen-marks.ts';

/** What was chosen within so long is told together. */
const TELL_MS = 5;
const ENTRIES_MAX = 2_048;

type Entry = ChosenBallots[1][number];

/** Tells the other replicas what was chosen, so that their relaxed reads show it. A message that is lost is made good by the stream. */
export class ChosenNews {
  readonly #state: NodeState;
  readonly #transport: Transport;
  readonly #marks: ChosenMarks;
  readonly #pending = new Map<NodeName, Entry[]>();
  #cancelTimer: CancelTimer | undefined;

  constructor(state: NodeState, transport: Transport, marks: ChosenMarks) {
    this.#state = state;
    this.#transport = transport;
    this.#marks = marks;
  }

  /** What was chosen, as this node has found out. `isMissingHere`: this store has not accepted it. */
  tell(key: RecordKey, ballot: Ballot, isMissingHere = false): void {
    const { catalog, peers, clock } = this.#state;
    const isOwn = proposerStoreOf(ballot.proposer) === this.#state.store.id;
    this.#marks.add(key, ballot, isOwn && !isMissingHere);
    // Those who hear of it from the store that proposed it leave it to that one's stream, which has nothing to bring.
    if (isOwn && isMissingHere) return;
    // Each node of a store keeps in memory what is chosen.
    for (const { store } of catalog.replicas(key)) {
      for (const peer of peers.nodesOf(store))
        if (peer.isUp) this.#add(peer.node, [key, [ballot.round, ballot.proposer]]);
    }
    if (this.#pending.size > 0) this.#cancelTimer ??= clock.timer(TELL_MS, () => this.#sendAll());
  }

  #add(node: NodeName, entry: Entry): void {
    const entries = this.#pending.get(node) ?? [];
    entries.push(entry);
    this.#pending.set(node, entries);
    if (entries.length >= ENTRIES_MAX) this.#send(node);
  }

  onChosen(peer: Peer, [, entries]: ChosenBallots): void {
    for (const [key, [round, proposer]] of entries) {
      if (this.#state.catalog.isHeldHere(key))
        this.#marks.add(key, { round, proposer }, proposerStoreOf(proposer) === peer.storeId);
    }
  }

  stop(): void {
    this.#sendAll();
    this.#cancelTimer?.();
  }

  #sendAll(): void {
    this.#cancelTimer = undefined;
    for (const node of [...this.#pending.keys()]) this.#send(node);
  }

  #send(node: NodeName): void {
    const entries = this.#pending.get(node);
    this.#pending.delete(node);
    if (entries) this.#transport.send(node, [CHOSEN, entries]);
  }
}
