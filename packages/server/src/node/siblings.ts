import { MeridianError } from '@meridian/core/wire/errors';
import { COMMITTED, type Committed, LATEST, type LatestResult, latestResult } from '@meridian/core/wire/messages';
import type { CommitNotice, StoredRow, TurnMark } from '../ports/store.ts';
import type { Transport } from '../ports/transport.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';

/** How long a sibling is waited for that is asked for its latest turn, and how often it is asked: writes wait for it. */
const ASK_MS = 100;
const ASKS_MAX = 3;

/**
 * Nodes that share a store tell one another what they have committed, so that each knows within a message's time what its
 * store holds: for the streams it ships, for the sessions it serves. What is lost is found in the database a moment later.
 */
export class Siblings {
  readonly #state: NodeState;
  readonly #transport: Transport;

  constructor(state: NodeState, transport: Transport) {
    this.#state = state;
    this.#transport = transport;
  }

  start(): void {
    const { shared } = this.#state.store;
    shared?.onChange((notice) => this.#tell(notice));
    shared?.onReconnected(() => this.#askForLatest());
  }

  /** Of those that can be reached. */
  async #askForLatest(): Promise<readonly TurnMark[]> {
    const up = this.#state.peers.siblings().filter(({ isUp }) => isUp);
    const told = await Promise.all(up.map((peer) => this.#latestOf(peer)));
    return told.filter((mark) => mark !== undefined);
  }

  async #latestOf({ node }: Peer): Promise<TurnMark | undefined> {
    for (let asked = 0; asked < ASKS_MAX; asked++) {
      try {
        const [id, version, turn] = await this.#state.calls.call(node, 'latest', ASK_MS, [LATEST], latestResult);
        return { id, version, turn };
      } catch {
        // It is asked again, or not at all: a sibling that is missing must not keep the others from writing.
      }
    }
    return undefined;
  }

  /** @throws MeridianError where the store is this node's alone */
  async onLatest(): Promise<LatestResult> {
    const latest = this.#state.store.shared?.latest;
    if (!latest) throw new MeridianError('REPLICA_UNAVAILABLE', 'this node shares its store with no other');
    return [latest.id, latest.version, latest.turn];
  }

  #tell({ store, from, upTo, rows, changesState, turn }: CommitNotice): void {
    const siblings = this.#state.peers.siblings();
    if (siblings.length === 0) return;
    const entries = rows?.map(({ key, sequence, record }) => [key, sequence, record] as const) ?? null;
    const { version, name, before } = turn;
    const message: Committed = [COMMITTED, store, from, upTo, entries, changesState, version, name, before];
    for (const { node, isUp } of siblings) if (isUp) this.#transport.send(node, message);
  }

  onCommitted([, store, from, upTo, entries, changesState, version, name, before]: Committed): void {
    const { shared } = this.#state.store;
    if (!shared) return;
    const rows = entries?.map(([key, sequence, record]): StoredRow => ({ key, sequence, record }));
    shared.notice({ store, from, upTo, rows, changesState, turn: { version, name, before } });
    if (!changesState) return;
    // Sessions wait for claims too, and those come without rows.
    shared.refresh().then(
      () => this.#state.coverage.onProgress(),
      () => undefined,
    );
  }
}
