import type { RegionName, StoreId } from '@meridian/core/ids';
import type { CancelTimer } from '../ports/clock.ts';
import type { Store } from '../ports/store.ts';
import { inBackground } from './background.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import type { Sync } from './sync.ts';

/** After a peer's store was replaced, and after a comparison that failed, how long until the others compare what they have. */
const COMPARE_AFTER_MS = 5_000;
/** How often the note is looked at. */
const COMPARE_AGAIN_MS = 15_000;
/** How long each question of a comparison waits for its answer. */
const COMPARE_TIMEOUT_MS = 10_000;
/**
 * The regions still owed, kept on disk: the store that was replaced is known by now, and gives no occasion to find it out again.
 * With them stands how often any was added, as `#3`: a comparison that began before a region was added once more does not
 * settle that.
 */
const OWED_NOTE = 'comparisons-owed';

/** Has a store compare itself with these regions as soon as they can be reached. Durable when it resolves. */
export async function oweComparisons(store: Store, regions: readonly RegionName[]): Promise<void> {
  for (let isNoted = false; !isNoted; ) {
    const before = store.note(OWED_NOTE);
    const { owed, added } = owedBy(before);
    isNoted = await store.replaceNote(OWED_NOTE, before, noteOf(new Set([...owed, ...regions]), added + 1));
    // Of a shared store another node has written it, and this one may not have heard of that.
    if (!isNoted) await store.shared?.refresh();
  }
}

function owedBy(note: string | undefined): { readonly owed: ReadonlySet<string>; readonly added: number } {
  const words = (note ?? '').split(' ').filter((word) => word !== '');
  const added = words.find((word) => word.startsWith('#'));
  return { owed: new Set(words.filter((word) => word !== added)), added: Number(added?.slice(1) ?? 0) };
}

function noteOf(owed: ReadonlySet<string>, added: number): string {
  return [`#${added}`, ...owed].join(' ');
}

/**
 * The comparisons that this store owes. What the others have of a lost store's writes differs, and no stream brings it: so
 * each compares itself with every region once a store was replaced. Likewise with records from outside that a replica missed.
 */
export class Comparing {
  readonly #state: NodeState;
  readonly #sync: Sync;
  /** Likewise, should the disk refuse the note. */
  readonly #owed = new Set<RegionName>();
  #cancelTimer: CancelTimer = () => {};
  #isStopped = false;

  constructor(state: NodeState, sync: Sync) {
    this.#state = state;
    this.#sync = sync;
  }

  /** Goes on with what was owed when this store was last closed, or died. */
  start(): void {
    this.#compareAfter(this.#regionsOwed().length > 0 ? COMPARE_AFTER_MS : COMPARE_AGAIN_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
  }

  onStoreReplaced(peer: Peer, former: StoreId): void {
    const { metrics, log, placement, store } = this.#state;
    metrics.storesReplaced += 1;
    const figures = { peer: peer.node, former, now: peer.storeId };
    log.warn(figures, 'the store of a peer was replaced; the others will compare what they have of it');
    const regions = placement.layout.regions.map(({ name }) => name);
    for (const region of regions) this.#owed.add(region);
    inBackground(log, 'comparing', oweComparisons(store, regions));
    this.#compareAfter(COMPARE_AFTER_MS);
  }

  #regionsOwed(): readonly RegionName[] {
    const { store, placement } = this.#state;
    const { owed } = owedBy(store.note(OWED_NOTE));
    return placement.layout.regions.map(({ name }) => name).filter((name) => owed.has(name) || this.#owed.has(name));
  }

  #compareAfter(delayMs: number): void {
    this.#cancelTimer();
    if (this.#isStopped) return;
    const { clock, log } = this.#state;
    this.#cancelTimer = clock.timer(delayMs, () => {
      let isDone = false;
      const compared = this.#compareAll().then((areCompared) => {
        isDone = areCompared;
      });
      const again = compared.finally(() => this.#compareAfter(isDone ? COMPARE_AGAIN_MS : COMPARE_AFTER_MS));
      inBackground(log, 'comparing', again);
    });
  }

  /** All at once: a region that does not answer keeps nobody from what another has. Gives whether none has failed. */
  async #compareAll(): Promise<boolean> {
    const { placement, peers, self } = this.#state;
    const reachable = this.#regionsOwed().filter((region) => {
      const others = placement.storesOf(region).filter(({ name }) => name !== self.store);
      return others.every(({ name }) => peers.isStoreLive(name));
    });
    const compared = await Promise.all(reachable.map((region) => this.#compare(region)));
    return compared.every((isCompared) => isCompared);
  }

  /** A region that cannot be compared with now still owes it later: it may be the one that has what others lack. */
  async #compare(region: RegionName): Promise<boolean> {
    const { log, store } = this.#state;
    this.#owed.delete(region);
    const { added } = owedBy(store.note(OWED_NOTE));
    try {
      await this.#sync.run(region, undefined, {
        requestId: 'compare',
        level: 'eventual',
        timeoutMs: COMPARE_TIMEOUT_MS,
      });
      if (!this.#isStopped) await this.#settle(region, added);
      return true;
    } catch (error) {
      this.#owed.add(region);
      log.warn({ peerRegion: region, reason: (error as Error).message }, 'comparing with a region failed');
      return false;
    }
  }

  /** Not where anything was added since: then it is compared once more. */
  async #settle(region: RegionName, addedBefore: number): Promise<void> {
    const { store } = this.#state;
    for (let isNoted = false; !isNoted; ) {
      const before = store.note(OWED_NOTE);
      const { owed, added } = owedBy(before);
      if (added !== addedBefore || !owed.has(region)) return;
      const left = new Set([...owed].filter((name) => name !== region));
      isNoted = await store.replaceNote(OWED_NOTE, before, noteOf(left, added));
      // Of a shared store another node has written it, and this one may not have heard of that.
      if (!isNoted) await store.shared?.refresh();
    }
  }
}
