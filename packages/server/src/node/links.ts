import { compareKeys, type NodeName, type StoreName } from '@meridian/core/ids';
import { START_POSITION } from '@meridian/core/replication/change-stream';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';

/** A link that has stood still for so long, though this node can reach its origin, is followed by this node too. */
const STANDSTILL_MS = 5_000;

type LinksState = Pick<NodeState, 'self' | 'store' | 'peers' | 'filling' | 'hashes' | 'clock'>;

/**
 * Which node of a shared store follows which origin. All that are alive compute the same, so a link has one follower, and
 * another takes over within the time it takes to suspect a dead one. Where two nodes differ on who is alive a link is followed
 * twice, which costs messages and harms nothing: positions are kept with the data, and a batch that does not join on is dropped.
 */
export class Links {
  readonly #state: LinksState;
  /** By origin: its sequence was above what this store has of it since then. */
  readonly #behindSinceMs = new Map<StoreName, { readonly applied: number; readonly atMs: number }>();

  constructor(state: LinksState) {
    this.#state = state;
  }

  /** Whether this node follows an origin for its store. */
  isFollowedHere(origin: StoreName): boolean {
    const peer = this.#state.peers.ofStore(origin);
    return this.#isMine(origin) || (peer !== undefined && this.#standsStill(origin, peer));
  }

  #isMine(origin: StoreName): boolean {
    const { self, filling, hashes } = this.#state;
    const nodes = this.#liveNodes();
    // Who takes in all that there is must know what each origin claimed before.
    if (!filling.isFilled()) return nodes[0] === self.node;
    // The highest hash of both names wins (Thaler and Ravishankar, A name-based mapping scheme for rendezvous, 1996).
    const weight = (node: NodeName): bigint => hashes.text(`${origin}|${node}`);
    return nodes.every((node) => node === self.node || weight(node) < weight(self.node));
  }

  #liveNodes(): readonly NodeName[] {
    const { self, peers } = this.#state;
    const live = peers.siblings().filter((peer) => peers.isLive(peer));
    return [self.node, ...live.map(({ node }) => node)].sort(compareKeys);
  }

  #standsStill(origin: StoreName, peer: Peer): boolean {
    const { store, clock, peers } = this.#state;
    if (peers.siblings().length === 0 || !peer.isUp || !peer.storeId) return false;
    const { applied } = store.positions.get(peer.storeId) ?? START_POSITION;
    const since = this.#behindSinceMs.get(origin);
    if (applied >= peer.sequence) this.#behindSinceMs.delete(origin);
    else if (since?.applied !== applied) this.#behindSinceMs.set(origin, { applied, atMs: clock.monotonicMs() });
    else return clock.monotonicMs() - since.atMs > STANDSTILL_MS;
    return false;
  }
}
