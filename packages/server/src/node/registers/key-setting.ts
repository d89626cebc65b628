import type { Member, Members, Question, Reply } from '@meridian/core/coordination/paxos/messages';
import type { Attempt } from '@meridian/core/coordination/paxos/operation';
import type { RecordKey, StoreName } from '@meridian/core/ids';
import type { Replica as Place } from '@meridian/core/placement/preference-list';
import type { Clock } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import type { NodeState } from '../node-state.ts';
import type { PlantedBugs } from '../planted-bugs.ts';
import { round } from '../rounded.ts';
import type { Hop } from '../service.ts';
import type { Asking } from './asking.ts';
import type { Distances } from './distances.ts';
import type { Live, RunSetting } from './operation-run.ts';

/** Beyond the round trip, what a replica may take for an answer before its round goes on without it. */
const PATIENCE_MS = 400;

/** What is the same for the operations of a node on all its registers. */
export interface Proposing {
  readonly state: NodeState;
  readonly random: Random;
  readonly asking: Asking;
  readonly distances: Distances;
  roundAbove(floor: number): number;
  membersOf(places: readonly Place[]): Members;
}

/** What the run of an operation on one register needs of its node. */
export class KeySetting implements RunSetting {
  readonly #proposing: Proposing;
  readonly #key: RecordKey;
  readonly #places: readonly Place[];
  readonly #required: number;
  readonly #requestId: string;

  constructor(proposing: Proposing, key: RecordKey, places: readonly Place[], required: number, requestId: string) {
    this.#proposing = proposing;
    this.#key = key;
    this.#places = places;
    this.#required = required;
    this.#requestId = requestId;
  }

  get clock(): Clock {
    return this.#proposing.state.clock;
  }

  get random(): Random {
    return this.#proposing.random;
  }

  get self(): StoreName {
    return this.#proposing.state.self.store;
  }

  get bugs(): PlantedBugs {
    return this.#proposing.state.bugs;
  }

  ask(to: Member, question: Question, timeoutMs: number, onReply: (reply: Reply | undefined) => void): void {
    this.#proposing.asking.ask(to.name, {
      key: this.#key,
      question,
      requestId: this.#requestId,
      timeoutMs,
      onReply,
    });
  }

  attempt(aboveRound: number): Attempt {
    return {
      round: this.#proposing.roundAbove(aboveRound),
      wallMs: this.clock.wallMs(),
      members: this.#proposing.membersOf(this.#places),
    };
  }

  patienceMs(): number {
    return PATIENCE_MS + 3 * this.farthestMs();
  }

  enoughOf(members: Members): Members {
    return this.#proposing.distances.enoughOf(members, this.#required);
  }

  farthestMs(): number {
    return this.#proposing.distances.farthestMs(this.#places);
  }

  isReachable(): boolean {
    let reached = 0;
    for (const place of this.#places) if (this.#isLive(place)) reached += 1;
    return reached >= this.#required;
  }

  live(): Live {
    const missing = this.#places.filter((place) => !this.#isLive(place));
    const missingRegions = [...new Set(missing.map(({ region }) => region))];
    return { reached: this.#places.length - missing.length, required: this.#required, missingRegions };
  }

  #isLive({ store }: Place): boolean {
    const { self, filling, peers } = this.#proposing.state;
    return store === self.store ? filling.isFilled() : peers.isStoreLive(store);
  }

  hopOf(name: StoreName, rounds: number, atMs: number, ms: number): Hop | undefined {
    const { peers } = this.#proposing.state;
    const peer = name === this.self ? undefined : peers.ofStore(name);
    return peer && { node: peer.node, region: peer.region, round: rounds, atMs: round(atMs), ms: round(ms) };
  }
}
