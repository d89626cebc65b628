import type { SessionToken } from '@meridian/core/coordination/session';
import { compareKeys, namespaceIdOf, type RecordKey, type RegionName, type StoreName } from '@meridian/core/ids';
import type { Namespace } from '@meridian/core/placement/namespace';
import { PARTITIONS, type Partition } from '@meridian/core/placement/partition';
import { quorumOf } from '@meridian/core/placement/preference-list';
import { MeridianError } from '@meridian/core/wire/errors';
import { SCAN, type ScanCall, scanResult } from '@meridian/core/wire/messages';
import { vectorEntries, vectorOf } from '@meridian/core/wire/vector-entries';
import type { StoredRow } from '../ports/store.ts';
import { LIST_BYTES_MAX } from './limits.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import { notReady } from './read-errors.ts';
import { isCounted, untilReady } from './readiness.ts';
import type { ChosenMarks } from './registers/chosen-marks.ts';
import { round } from './rounded.ts';
import type { Hop, RequestOptions } from './service.ts';
import { stalenessMs } from './staleness.ts';
import { storeWithin } from './store-deadline.ts';

interface Page {
  readonly rows: readonly (readonly [RecordKey, Uint8Array])[];
  readonly isComplete: boolean;
  /** Whether it may count in a quorum. */
  readonly isFilled: boolean;
  readonly stalenessMs: number | null;
}

export interface Scan {
  readonly namespace: Namespace;
  readonly from: RecordKey;
  readonly to: RecordKey;
  readonly rowsMax: number;
  readonly bytesMax: number;
  readonly token: SessionToken;
  readonly options: RequestOptions;
  readonly hops: Hop[];
  /** Of the listing's rounds, from 1. */
  readonly round: number;
  readonly startedAtMs: number;
}

/** The pages of several stores, merged. */
export interface Scanned {
  /** In the order of keys: what each store showed. */
  readonly rows: readonly (readonly [RecordKey, ReadonlyMap<StoreName, Uint8Array>])[];
  readonly isComplete: boolean;
  /** The last key up to which all of them have answered; `undefined` where that is the whole range. */
  readonly boundary: RecordKey | undefined;
  readonly answered: readonly StoreName[];
  /** Those that had failed by the time the others were enough. */
  readonly failed: readonly StoreName[];
  readonly stalenessMs: number | null;
}

/** More than any page of a caller's choice should take out of a store at once. */
const CALL_ROWS_MAX = 10_000;

/** Pages of what stores hold: which of them a listing has to ask, and what they say. */
export class ListingPages {
  readonly #state: NodeState;
  readonly #marks: ChosenMarks;

  constructor(state: NodeState, marks: ChosenMarks) {
    this.#state = state;
    this.#marks = marks;
  }

  /** The stores whose pages together hold every key, at the level asked for. @throws REPLICA_UNAVAILABLE, QUORUM_UNAVAILABLE */
  storesToAsk(namespace: Namespace, options: RequestOptions): readonly StoreName[] {
    const { placement, peers, self, filling } = this.#state;
    const isLive = (store: StoreName): boolean =>
      store === self.store ? options.level !== 'quorum' || filling.isFilled() : peers.isStoreLive(store);
    const holders = placement.layout.regions.filter(
      (region) => namespace.placement === 'all' || (namespace.placement[region.name] ?? 0) > 0,
    );
    if (options.level === 'quorum') {
      const live = holders.flatMap((region) => region.stores.map(({ name }) => name)).filter(isLive);
      const problem = this.#quorumProblem(namespace, new Set(live));
      if (problem) throw problem;
      return live;
    }
    const distance = (region: RegionName): number => (region === self.region ? -1 : peers.rttMs(region));
    for (const region of [...holders].sort((a, b) => distance(a.name) - distance(b.name))) {
      const live = region.stores.map(({ name }) => name).filter(isLive);
      if (this.#coversRegion(namespace, region.name, new Set(live), region.stores.length)) return live;
    }
    throw new MeridianError(
      'REPLICA_UNAVAILABLE',
      'no region can be reached whose stores together hold the namespace',
      {
        missingRegions: holders.map(({ name }) => name),
      },
    );
  }

  #coversRegion(namespace: Namespace, region: RegionName, live: ReadonlySet<StoreName>, stores: number): boolean {
    if (live.size === stores) return true;
    if (live.size === 0) return false;
    return this.#everyPartition((partition) =>
      this.#state.placement
        .replicas(namespace.placement, partition)
        .some((replica) => replica.region === region && live.has(replica.store)),
    );
  }

  /** What is wrong where these stores are no majority for every key. */
  #quorumProblem(namespace: Namespace, reachable: ReadonlySet<StoreName>): MeridianError | undefined {
    let problem: MeridianError | undefined;
    this.#everyPartition((partition) => {
      const replicas = this.#state.placement.replicas(namespace.placement, partition);
      const required = quorumOf(replicas.length);
      const missing = replicas.filter(({ store }) => !reachable.has(store));
      const reached = replicas.length - missing.length;
      if (reached >= required) return true;
      const missingRegions = [...new Set(missing.map(({ region }) => region))];
      const detail = `required ${required}, reached ${reached}, missing ${missingRegions.join(', ')} for a part of the keys`;
      problem = new MeridianError('QUORUM_UNAVAILABLE', detail, { required, reached, missingRegions });
      return false;
    });
    return problem;
  }

  #everyPartition(holds: (partition: Partition) => boolean): boolean {
    for (let partition = 0; partition < PARTITIONS; partition++) if (!holds(partition as Partition)) return false;
    return true;
  }

  /** @throws REPLICA_UNAVAILABLE, QUORUM_UNAVAILABLE, SESSION_NOT_COVERED */
  async scan(stores: readonly StoreName[], scan: Scan): Promise<Scanned> {
    const { pages, failed } = await this.#pagesOf(stores, scan);
    let boundary: RecordKey | undefined;
    for (const page of pages.values()) {
      const last = page.rows[page.rows.length - 1]?.[0];
      if (!page.isComplete && last !== undefined && (boundary === undefined || compareKeys(last, boundary) < 0))
        boundary = last;
    }
    const byKey = new Map<RecordKey, Map<StoreName, Uint8Array>>();
    for (const [store, page] of pages) {
      for (const [key, bytes] of page.rows) {
        // Above the boundary some store has not answered yet.
        if (boundary !== undefined && compareKeys(key, boundary) > 0) break;
        const shown = byKey.get(key);
        if (shown) shown.set(store, bytes);
        else byKey.set(key, new Map([[store, bytes]]));
      }
    }
    const rows = [...byKey];
    if (pages.size > 1) rows.sort(([a], [b]) => compareKeys(a, b));
    const known = [...pages.values()].map(({ stalenessMs }) => stalenessMs).filter((behindMs) => behindMs !== null);
    return {
      rows,
      isComplete: [...pages.values()].every((page) => page.isComplete),
      boundary,
      answered: [...pages.keys()],
      failed,
      stalenessMs: known.length < pages.size ? null : Math.max(0, ...known),
    };
  }

  /** At level quorum nobody waits for those that a majority for every key can do without; else all must answer. */
  #pagesOf(
    stores: readonly StoreName[],
    scan: Scan,
  ): Promise<{ readonly pages: ReadonlyMap<StoreName, Page>; readonly failed: readonly StoreName[] }> {
    const { namespace, options } = scan;
    const isQuorum = options.level === 'quorum';
    const pages = new Map<StoreName, Page>();
    const failed: StoreName[] = [];
    return new Promise((resolve, reject) => {
      const onPage = (store: StoreName, page: Page): void => {
        pages.set(store, page);
        const isEnough = isQuorum
          ? this.#quorumProblem(namespace, new Set(pages.keys())) === undefined
          : pages.size === stores.length;
        // A page that comes later must change nothing.
        if (isEnough) resolve({ pages: new Map(pages), failed: [...failed] });
      };
      const onFailure = (store: StoreName, reason: unknown): void => {
        failed.push(store);
        const left = stores.filter((one) => !failed.includes(one));
        const problem = isQuorum ? this.#quorumProblem(namespace, new Set(left)) : reason;
        if (problem !== undefined) reject(problem as Error);
      };
      for (const store of stores)
        this.#scanOne(store, scan)
          .then((page) => onPage(store, page))
          .catch((error: unknown) => onFailure(store, error));
    });
  }

  async #scanOne(store: StoreName, scan: Scan): Promise<Page> {
    const { self, peers } = this.#state;
    const { level, timeoutMs } = scan.options;
    const peer = store === self.store ? undefined : peers.ofStore(store);
    if (store !== self.store && !peer)
      throw new MeridianError('REPLICA_UNAVAILABLE', 'a store of the layout has no node', { store });
    const page = await (peer ? this.#scanThere(peer, scan) : storeWithin(this.#state, timeoutMs, this.#scanOwn(scan)));
    if (level === 'quorum' && !page.isFilled)
      throw new MeridianError('REPLICA_UNAVAILABLE', 'a store that is being filled answers no quorum', { store });
    return page;
  }

  #scanOwn({ from, to, rowsMax, bytesMax, token, options }: Scan): Promise<Page> {
    const { level, timeoutMs } = options;
    const cover = level === 'session' ? token : undefined;
    // A majority of one is this store alone, whoever was heard.
    const counts = () => this.#state.filling.isFilled();
    return this.#scanHere([from, to, rowsMax, bytesMax], cover, level === 'quorum', counts, timeoutMs);
  }

  async #scanThere(peer: Peer, scan: Scan): Promise<Page> {
    const { calls, clock } = this.#state;
    const { from, to, rowsMax, bytesMax, token, options, hops } = scan;
    const { requestId, timeoutMs } = options;
    const askedAtMs = clock.monotonicMs();
    const cover = options.level === 'session' ? vectorEntries(token) : null;
    const call: ScanCall = [SCAN, from, to, rowsMax, bytesMax, cover, false];
    try {
      const answer = await calls.call(peer.node, requestId, timeoutMs, call, scanResult);
      const [, rows, isComplete, isFilled, behindMs] = answer;
      const ms = round(clock.monotonicMs() - askedAtMs);
      const atMs = round(askedAtMs - scan.startedAtMs);
      hops.push({ node: peer.node, region: peer.region, round: scan.round, atMs, ms });
      return { rows, isComplete, isFilled, stalenessMs: behindMs === null ? null : behindMs + Math.ceil(ms) };
    } catch (error) {
      if (error instanceof MeridianError) throw error;
      const { storeName: store } = peer;
      throw new MeridianError('REPLICA_UNAVAILABLE', `${store} did not answer`, { store });
    }
  }

  async #scanHere(
    [from, to, rowsMax, bytesMax]: readonly [RecordKey, RecordKey, number, number],
    cover: SessionToken | undefined,
    mustBeSure: boolean,
    counts: () => boolean,
    timeoutMs: number,
  ): Promise<Page> {
    const { store } = this.#state;
    // As for a question about a register: a disk that may be older than what this store has told others proves nothing.
    if (mustBeSure) await untilReady(this.#state, timeoutMs, notReady);
    if (cover && cover.size > 0) await this.#waitFor(cover, from, timeoutMs);
    const countedBefore = counts();
    const page = await store.scan(from, to, { rowsMax, bytesMax });
    return {
      rows: page.rows.map((row: StoredRow) => [row.key, this.#marks.knownBytes(row.key, row.record)] as const),
      isComplete: page.isComplete,
      // Both before the rows were read and after: it may have been filled, or found to lack something, meanwhile.
      isFilled: countedBefore && counts(),
      stalenessMs: stalenessMs(this.#state, namespaceIdOf(from)),
    };
  }

  async #waitFor(cover: SessionToken, from: RecordKey, timeoutMs: number): Promise<void> {
    const { coverage, catalog, placement } = this.#state;
    const namespace = catalog.byId(namespaceIdOf(from));
    const matters = (name: StoreName): boolean => {
      const region = placement.regionOfStore(name);
      if (region === undefined || namespace === 'dropped') return false;
      // Not heard of here yet: whoever wrote to it has seen more than this store.
      return namespace === undefined || namespace.placement === 'all' || (namespace.placement[region] ?? 0) > 0;
    };
    const isCovered = await coverage.wait(() => coverage.isCoveredOf(cover, matters), timeoutMs);
    if (!isCovered)
      throw new MeridianError(
        'SESSION_NOT_COVERED',
        'a store of the listing does not hold all that this session has seen',
      );
  }

  /** The page that a peer asks for. The call does not tell the level: of registers it is always one that proves something. */
  pageFor([, from, to, rowsMax, bytesMax, cover, isFingerprints]: ScanCall, timeoutMs: number): Promise<Page> {
    const known = this.#state.catalog.byId(namespaceIdOf(from));
    // What is left of it here says nothing: whoever asks has not heard of the drop, nor of another namespace under its name.
    if (known === 'dropped' && !isFingerprints) return Promise.reject(wasDropped());
    const isEventual = known !== undefined && known !== 'dropped' && known.mode === 'eventual';
    const bounds = [
      from,
      to,
      Math.min(Math.max(1, rowsMax), CALL_ROWS_MAX),
      Math.min(Math.max(1, bytesMax), LIST_BYTES_MAX),
    ] as const;
    const mustBeSure = !isEventual && !isFingerprints;
    const counts = () => isCounted(this.#state);
    return this.#scanHere(bounds, cover ? vectorOf(cover) : undefined, mustBeSure, counts, timeoutMs);
  }
}

function wasDropped(): MeridianError {
  return new MeridianError('REPLICA_UNAVAILABLE', 'the namespace was dropped: this store holds nothing of it');
}
