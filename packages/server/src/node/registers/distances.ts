import type { Member, Members } from '@meridian/core/coordination/paxos/messages';
import type { Replica as Place } from '@meridian/core/placement/preference-list';
import type { NodeState } from '../node-state.ts';

/** Replicas within such a round trip are asked one after another for what needs no more of them. */
const NEAR_MS = 5;
/** So long what was found out holds: thousands of operations ask in the meantime, and a wrong answer costs a delay at most. */
const KEPT_MS = 10;

interface Kept<Answer> {
  readonly atMs: number;
  readonly answer: Answer;
}

/** How far away the replicas of keys are, as this node has measured it. */
export class Distances {
  readonly #state: NodeState;
  readonly #farthest = new WeakMap<readonly Place[], Kept<number>>();
  readonly #enough = new WeakMap<Members, Kept<Members>>();

  constructor(state: NodeState) {
    this.#state = state;
  }

  /** The round trip to the farthest replica. Of one that was never measured nothing is known, and it is not waited for longer. */
  farthestMs(places: readonly Place[]): number {
    return this.#kept(this.#farthest, places, () => {
      const rtts = places.map(({ store }) => this.#state.peers.ofStore(store)?.rttMs ?? 0);
      return Math.max(0, ...rtts);
    });
  }

  /** As many of these as are required, nearest first, where the others are near too; else all. */
  enoughOf(members: Members, required: number): Members {
    if (members.length <= required) return members;
    return this.#kept(this.#enough, members, () => this.#nearest(members)?.slice(0, required) ?? members);
  }

  /** Nearest first; nothing where one is far away, or was not heard of lately. */
  #nearest(members: Members): Members | undefined {
    const { self, peers } = this.#state;
    const near: { readonly member: Member; readonly rttMs: number }[] = [];
    for (const member of members) {
      const peer = member.name === self.store ? undefined : peers.ofStore(member.name);
      const rttMs = member.name === self.store ? 0 : peer && peers.isLive(peer) ? peer.nearestRttMs : undefined;
      if (rttMs === undefined || rttMs > NEAR_MS) return undefined;
      near.push({ member, rttMs });
    }
    return near.sort((one, other) => one.rttMs - other.rttMs).map(({ member }) => member);
  }

  /** The replicas of many keys are the very same array. */
  #kept<Of extends object, Answer>(known: WeakMap<Of, Kept<Answer>>, of: Of, find: () => Answer): Answer {
    const nowMs = this.#state.clock.monotonicMs();
    const before = known.get(of);
    if (before && nowMs - before.atMs < KEPT_MS) return before.answer;
    const answer = find();
    known.set(of, { atMs: nowMs, answer });
    return answer;
  }
}
