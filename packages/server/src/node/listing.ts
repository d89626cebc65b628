import { mergeRecords } from '@meridian/core/causality/merge';
import { EMPTY_RECORD, type VersionedRecord } from '@meridian/core/causality/record';
import { EMPTY_VECTOR, join } from '@meridian/core/causality/version-vector';
import { coversSession, type SessionToken, tokenAfterRead } from '@meridian/core/coordination/session';
import {
  compareKeys,
  endOfNamespace,
  namespaceIdOf,
  plainKeyOf,
  type RecordKey,
  type RegionName,
  recordKey,
  type StoreName,
} from '@meridian/core/ids';
import { endOfPrefix } from '@meridian/core/placement/key-range';
import type { Namespace } from '@meridian/core/placement/namespace';
import { PARTITIONS, type Partition } from '@meridian/core/placement/partition';
import { quorumOf } from '@meridian/core/placement/preference-list';
import { MeridianError } from '@meridian/core/wire/errors';
import { type RowEntries, SCAN, type ScanCall, scanResult } from '@meridian/core/wire/messages';
import { decodeRecord } from '@meridian/core/wire/record-codec';
import { isRegisterBytes } from '@meridian/core/wire/register-codec';
import { decodeStored } from '@meridian/core/wire/stored-record';
import { vectorEntries, vectorOf } from '@meridian/core/wire/vector-entries';
import type { StoredRow } from '../ports/store.ts';
import type { KeyValues } from './key-values.ts';
import { LIST_BYTES_MAX } from './limits.ts';
import type { NodeState } from './node-state.ts';
import type { ChosenMarks } from './registers/chosen-marks.ts';
import { round } from './rounded.ts';
import type { Hop, KeyRange, Level, ListAnswer, ListItem, RequestOptions, SeenValue } from './service.ts';
import { stalenessMs } from './staleness.ts';
import { storeWithin } from './store-deadline.ts';
import { isRelaxed } from './strong-key-values.ts';
import type { Tokens } from './tokens.ts';

interface Page {
  readonly rows: readonly (readonly [RecordKey, Uint8Array])[];
  readonly isComplete: boolean;
  readonly isFilled: boolean;
  readonly stalenessMs: number | null;
}

interface Scan {
  readonly namespace: Namespace;
  readonly from: RecordKey;
  readonly to: RecordKey;
  readonly limit: number;
  readonly token: SessionToken;
  readonly options: RequestOptions;
  readonly hops: Hop[];
}

interface FoundItem {
  readonly context: string;
  readonly values: readonly SeenValue[];
  /** What a session that reads it has seen then. */
  readonly seen: SessionToken;
}

/** Keys of a listing that are read at level strong at a time. */
const EXACT_AT_ONCE = 32;

/** Listings: each store scans what it holds, the pages are merged in key order. */
export class Listing {
  readonly #state: NodeState;
  readonly #keyValues: KeyValues;
  readonly #marks: ChosenMarks;
  readonly #tokens: Tokens;

  constructor(state: NodeState, keyValues: KeyValues, marks: ChosenMarks, tokens: Tokens) {
    this.#marks = marks;
    this.#state = state;
    this.#keyValues = keyValues;
    this.#tokens = tokens;
  }

  /**
   * At level strong the keys are those that a majority shows, and each is then read at that level: every item is
   * linearizable for itself; the list as a whole is no single moment, as no list over pages can be.
   */
  async list(namespace: Namespace, range: KeyRange, asked: RequestOptions): Promise<ListAnswer> {
    const level = levelIn(namespace, asked);
    const isExact = level === 'strong';
    const answer = await this.#list(namespace, range, { ...asked, level: isExact ? 'quorum' : level }, isExact);
    return { ...answer, receipt: { ...answer.receipt, level } };
  }

  async #list(namespace: Namespace, range: KeyRange, options: RequestOptions, isExact: boolean): Promise<ListAnswer> {
    const { clock, self } = this.#state;
    const startedAtMs = clock.monotonicMs();
    const token = this.#tokens.openSession(options.session);
    const asked = this.#storesToAsk(namespace, options);
    let stores = asked;
    const purpose = cursorPurpose(namespace, range);
    const to = endOf(namespace, range);
    let from = this.#startOf(namespace, range, purpose);
    const items: ListItem[] = [];
    const hops: Hop[] = [];
    let after = token;
    let isComplete = compareKeys(from, to) >= 0;
    let bytes = 0;
    let stalenessMs: number | null = 0;
    while (!isComplete && items.length < range.limit && bytes < LIST_BYTES_MAX) {
      const leftMs = options.timeoutMs - (clock.monotonicMs() - startedAtMs);
      const inTime = { ...options, timeoutMs: leftMs };
      const scan: Scan = { namespace, from, to, limit: range.limit - items.length, token, options: inTime, hops };
      const merged = await this.#scanAll(stores, scan);
      stores = merged.answered;
      if (merged.stalenessMs === null) stalenessMs = null;
      else if (stalenessMs !== null) stalenessMs = Math.max(stalenessMs, merged.stalenessMs);
      const exact = isExact ? await this.#readExactly(namespace, merged.records, options) : undefined;
      for (const [at, [key, record]] of merged.records.entries()) {
        from = `${key}\0` as RecordKey;
        const { context, values, seen } = exact?.[at] ?? this.#itemOf(namespace, key, record);
        after = join(after, seen);
        if (values.length === 0) continue;
        for (const value of values) bytes += value.body.length;
        items.push({ key: plainKeyOf(key), context, values });
        if (items.length === range.limit || bytes >= LIST_BYTES_MAX) break;
      }
      const isAllTaken = merged.records.length === 0 || from === `${merged.records[merged.records.length - 1]?.[0]}\0`;
      if (isAllTaken) {
        isComplete = merged.isComplete;
        if (merged.boundary) from = `${merged.boundary}\0` as RecordKey;
      }
      if (clock.monotonicMs() - startedAtMs > options.timeoutMs) break;
    }
    const cursor = isComplete ? {} : { cursor: this.#state.seal.seal(purpose, utf8.encode(plainKeyOf(from))) };
    return {
      items,
      ...cursor,
      session: this.#tokens.session(after),
      receipt: {
        ...self.whoAmI(),
        level: options.level,
        replicasAsked: asked.length,
        replicasAnswered: stores.length,
        rounds: (stores.some((store) => store !== self.store) ? 1 : 0) + (isExact ? 1 : 0),
        hops,
        tookMs: round(clock.monotonicMs() - startedAtMs),
        // What a majority acknowledged, a majority shows.
        stalenessMs: options.level === 'quorum' ? 0 : stalenessMs,
      },
    };
  }

  #itemOf(namespace: Namespace, key: RecordKey, record: VersionedRecord): FoundItem {
    const values = this.#keyValues.valuesOf(record, namespace);
    // Versions of registers are no dots: only what their writers had seen goes into a session.
    const seen = tokenAfterRead(
      EMPTY_VECTOR,
      namespace.mode === 'strong' ? { ...record, vector: EMPTY_VECTOR } : record,
    );
    return { context: this.#tokens.context(key, record.vector), values, seen };
  }

  async #readExactly(
    namespace: Namespace,
    records: readonly (readonly [RecordKey, VersionedRecord])[],
    options: RequestOptions,
  ): Promise<readonly FoundItem[]> {
    const found: FoundItem[] = [];
    for (let at = 0; at < records.length; at += EXACT_AT_ONCE) {
      const reads = records.slice(at, at + EXACT_AT_ONCE).map(async ([key]): Promise<FoundItem> => {
        const strong = { ...options, level: 'strong', session: undefined } as const;
        const { head, values } = await this.#keyValues.get(namespace.name, plainKeyOf(key), strong);
        return { context: head.context, values, seen: this.#tokens.openSession(head.session) };
      });
      found.push(...(await Promise.all(reads)));
    }
    return found;
  }

  #startOf(namespace: Namespace, range: KeyRange, purpose: string): RecordKey {
    let start = range.prefix;
    if (range.start !== undefined && compareKeys(range.start, start) > 0) start = range.start;
    if (range.cursor !== undefined) {
      const payload = this.#state.seal.open(purpose, range.cursor);
      if (!payload)
        throw new MeridianError('INVALID_CURSOR', 'the cursor is not one that this cluster issued for this listing');
      start = fromUtf8.decode(payload);
    }
    return recordKey(namespace.id, start);
  }

  /** The stores whose pages together hold every key, at the level asked for. @throws REPLICA_UNAVAILABLE, QUORUM_UNAVAILABLE */
  #storesToAsk(namespace: Namespace, options: RequestOptions): readonly StoreName[] {
    const { placement, peers, self, filling } = this.#state;
    const isLive = (store: StoreName): boolean =>
      store === self.store ? options.level !== 'quorum' || filling.isFilled() : peers.isStoreLive(store);
    const holders = placement.layout.regions.filter(
      (region) => namespace.placement === 'all' || (namespace.placement[region.name] ?? 0) > 0,
    );
    if (options.level === 'quorum') {
      const live = holders.flatMap((region) => region.stores.map(({ name }) => name)).filter(isLive);
      this.#ensureQuorum(namespace, new Set(live));
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

  #ensureQuorum(namespace: Namespace, live: ReadonlySet<StoreName>): void {
    let required = 0;
    let reached = 0;
    const isReached = this.#everyPartition((partition) => {
      const replicas = this.#state.placement.replicas(namespace.placement, partition);
      required = quorumOf(replicas.length);
      reached = replicas.filter(({ store }) => live.has(store)).length;
      return reached >= required;
    });
    if (!isReached)
      throw new MeridianError('QUORUM_UNAVAILABLE', `required ${required}, reached ${reached} for a part of the keys`, {
        required,
        reached,
        missingRegions: [],
      });
  }

  #everyPartition(holds: (partition: Partition) => boolean): boolean {
    for (let partition = 0; partition < PARTITIONS; partition++) if (!holds(partition as Partition)) return false;
    return true;
  }

  async #scanAll(stores: readonly StoreName[], scan: Scan) {
    const { answered, pages } = await this.#pagesOf(stores, scan);
    let boundary: RecordKey | undefined;
    for (const page of pages) {
      const last = page.rows[page.rows.length - 1]?.[0];
      if (!page.isComplete && last !== undefined && (boundary === undefined || compareKeys(last, boundary) < 0))
        boundary = last;
    }
    const byKey = new Map<RecordKey, VersionedRecord>();
    for (const page of pages) {
      for (const [key, bytes] of page.rows) {
        // Above the boundary some store has not answered yet.
        if (boundary !== undefined && compareKeys(key, boundary) > 0) break;
        byKey.set(key, combined(byKey.get(key), bytes));
      }
    }
    const records = [...byKey];
    if (pages.length > 1) records.sort(([a], [b]) => compareKeys(a, b));
    const known = pages.map(({ stalenessMs }) => stalenessMs).filter((stalenessMs) => stalenessMs !== null);
    const stalenessMs = known.length < pages.length ? null : Math.max(0, ...known);
    return { records, isComplete: pages.every((page) => page.isComplete), boundary, answered, stalenessMs };
  }

  /** Of those asked at level quorum some may fail, as long as the others are a majority for every key. */
  async #pagesOf(stores: readonly StoreName[], scan: Scan) {
    const outcomes = await Promise.allSettled(stores.map((store) => this.#scanOne(store, scan)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    const answered = stores.filter((_store, at) => outcomes[at]?.status === 'fulfilled');
    if (failed && scan.options.level !== 'quorum') throw failed.reason;
    if (failed) this.#ensureQuorum(scan.namespace, new Set(answered));
    const pages = outcomes.filter((outcome) => outcome.status === 'fulfilled').map(({ value }) => value);
    return { answered, pages };
  }

  async #scanOne(store: StoreName, scan: Scan): Promise<Page> {
    const { self, peers, calls, clock } = this.#state;
    const { from, to, limit, token, options, hops } = scan;
    const cover = options.level === 'session' ? token : undefined;
    if (store === self.store)
      return storeWithin(this.#state, options.timeoutMs, this.#scanHere(from, to, limit, cover, options.timeoutMs));
    const peer = peers.ofStore(store);
    if (!peer) throw new MeridianError('REPLICA_UNAVAILABLE', 'a store of the layout has no node', { store });
    const startedAtMs = clock.monotonicMs();
    const call: ScanCall = [SCAN, from, to, limit, LIST_BYTES_MAX, cover ? vectorEntries(cover) : null, false];
    try {
      const [, rows, isComplete, isFilled, stalenessMs] = await calls.call(
        peer.node,
        options.requestId,
        options.timeoutMs,
        call,
        scanResult,
      );
      if (options.level === 'quorum' && !isFilled) throw new Error('a store that is being filled answers no quorum');
      const ms = round(clock.monotonicMs() - startedAtMs);
      hops.push({ node: peer.node, region: peer.region, round: 1, atMs: 0, ms });
      return { rows, isComplete, isFilled, stalenessMs: stalenessMs === null ? null : stalenessMs + Math.ceil(ms) };
    } catch (error) {
      if (error instanceof MeridianError) throw error;
      throw new MeridianError('REPLICA_UNAVAILABLE', `${store} did not answer`, { store });
    }
  }

  async #scanHere(
    from: RecordKey,
    to: RecordKey,
    limit: number,
    cover: SessionToken | undefined,
    timeoutMs: number,
  ): Promise<Page> {
    const { coverage, store, filling, catalog, placement } = this.#state;
    if (cover && cover.size > 0) {
      const namespace = catalog.byId(from.slice(0, from.indexOf('\0')) as Namespace['id']);
      const matters = (name: StoreName): boolean => {
        const region = placement.regionOfStore(name);
        if (region === undefined || namespace === 'dropped') return false;
        // Not heard of here yet: whoever wrote to it has seen more than this store.
        return namespace === undefined || namespace.placement === 'all' || (namespace.placement[region] ?? 0) > 0;
      };
      const isCovered = await coverage.wait(() => coversSession(coverage.appliedOf, cover, matters), timeoutMs);
      if (!isCovered)
        throw new MeridianError(
          'SESSION_NOT_COVERED',
          'a store of the listing does not hold all that this session has seen',
        );
    }
    const page = await store.scan(from, to, { rowsMax: limit, bytesMax: LIST_BYTES_MAX });
    return {
      rows: page.rows.map((row: StoredRow) => [row.key, this.#marks.knownBytes(row.key, row.record)] as const),
      isComplete: page.isComplete,
      isFilled: filling.isFilled(),
      stalenessMs: stalenessMs(this.#state, namespaceIdOf(from)),
    };
  }

  /** A peer asks for a page of what this store holds: records, or fingerprints of them. */
  async onCall([, from, to, rowsMax, , cover, isFingerprints]: ScanCall, timeoutMs: number) {
    const page = await this.#scanHere(
      from,
      to,
      Math.min(Math.max(1, rowsMax), 10_000),
      cover ? vectorOf(cover) : undefined,
      timeoutMs,
    );
    const rows: RowEntries = isFingerprints
      ? page.rows.map(([key, bytes]) => [key, this.fingerprint(bytes)] as const)
      : page.rows;
    return [this.#state.store.id, rows, page.isComplete, page.isFilled, page.stalenessMs];
  }

  /** Eight bytes that tell records apart: equal records have equal bytes. */
  fingerprint(record: Uint8Array): Uint8Array {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, this.#state.hashes.bytes(record));
    return new Uint8Array(view.buffer);
  }
}

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder();

function endOf(namespace: Namespace, range: KeyRange): RecordKey {
  const ofPrefix = endOfPrefix(range.prefix);
  const ends = [range.end, ofPrefix].filter((end) => end !== undefined).sort(compareKeys);
  return ends[0] === undefined ? endOfNamespace(namespace.id) : recordKey(namespace.id, ends[0]);
}

function cursorPurpose(namespace: Namespace, { prefix, start, end }: KeyRange): string {
  return `cursor\0${JSON.stringify([namespace.id, prefix, start ?? null, end ?? null])}`;
}

/** Records merge; of a register the later version stands. One that is not known to be chosen yet may be, so its key is listed without a value. */
function combined(before: VersionedRecord | undefined, bytes: Uint8Array): VersionedRecord {
  if (!isRegisterBytes(bytes)) return mergeRecords(before, decodeRecord(bytes)).record;
  const found = decodeStored(bytes) ?? EMPTY_RECORD;
  const versionOf = (record: VersionedRecord): number => record.siblings[0]?.dot.sequence ?? 0;
  return before && versionOf(before) >= versionOf(found) ? before : found;
}

/** In a namespace of mode strong every level but `eventual`, asked for by name, is strong. */
function levelIn({ mode }: Namespace, options: RequestOptions): Level {
  if (mode === 'strong') return isRelaxed(options) ? 'eventual' : 'strong';
  return options.level;
}
