import type { RegionName, StoreId } from '@meridian/core/ids';
import type { CancelTimer } from '../ports/clock.ts';
import { inBackground } from './background.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import type { Sync } from './sync.ts';

/** After a peer's store was replaced, how long until the others compare what they have of the lost one. */
const COMPARE_AFTER_MS = 5_000;
/** How soon again where a region could not be reached. */
const COMPARE_AGAIN_MS = 15_000;
const COMPARE_TIMEOUT_MS = 30_000;
/** The regions still owed, kept on disk: the store that was replaced is known by now, and gives no occasion to find it out again. */
const OWED_NOTE = 'comparisons-owed';

/**
 * The comparisons that this store owes. What the others have of a lost store's writes differs, and no stream brings it: so
 * each compares itself with every region once a store was replaced.
 */
export class Comparing {
  readonly #state: NodeState;
  readonly #sync: Sync;
  /** Regions that this store has not compared itself with since a store was last replaced. */
  readonly #owed = new Set<RegionName>();
  #cancelTimer: CancelTimer = () => {};
  #isStopped = false;

  constructor(state: NodeState, sync: Sync) {
    this.#state = state;
    this.#sync = sync;
  }

  /** Goes on with what was owed when this store was last closed, or died. */
  start(): void {
    const owed = this.#state.store.note(OWED_NOTE) ?? '';
    const { regions } = this.#state.placement.layout;
    for (const { name } of regions) if (owed.split(' ').includes(name)) this.#owed.add(name);
    if (this.#owed.size > 0) this.#compareAfter(COMPARE_AFTER_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
  }

  onStoreReplaced(peer: Peer, former: StoreId): void {
    const { metrics, log, placement } = this.#state;
    metrics.storesReplaced += 1;
    const figures = { peer: peer.node, former, now: peer.storeId };
    log.warn(figures, 'the store of a peer was replaced; the others will compare what they have of it');
    for (const { name } of placement.layout.regions) this.#owed.add(name);
    inBackground(log, 'comparing', this.#keep());
    this.#compareAfter(COMPARE_AFTER_MS);
  }

  #keep(): Promise<void> {
    return this.#state.store.setNote(OWED_NOTE, [...this.#owed].join(' '));
  }

  #compareAfter(delayMs: number): void {
    this.#cancelTimer();
    if (this.#isStopped) return;
    const { clock, log } = this.#state;
    this.#cancelTimer = clock.timer(delayMs, () => inBackground(log, 'comparing', this.#compareAll()));
  }

  /** A region that cannot be compared with now still owes it later: it may be the one that has what others lack. */
  async #compareAll(): Promise<void> {
    const { placement, peers, self, log } = this.#state;
    const options = { requestId: 'compare', level: 'eventual', timeoutMs: COMPARE_TIMEOUT_MS } as const;
    for (const region of [...this.#owed]) {
      const others = placement.storesOf(region).filter(({ name }) => name !== self.store);
      if (this.#isStopped || !others.every(({ name }) => peers.isStoreLive(name))) continue;
      this.#owed.delete(region);
      await this.#sync.run(region, undefined, options).catch((error: unknown) => {
        this.#owed.add(region);
        log.warn({ peerRegion: region, reason: (error as Error).message }, 'comparing with a region failed');
      });
    }
    if (this.#owed.size > 0) this.#compareAfter(COMPARE_AGAIN_MS);
    if (!this.#isStopped) await this.#keep();
  }
}
