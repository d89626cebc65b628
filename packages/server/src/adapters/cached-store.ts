import type { VersionVector } from '@meridian/core/causality/version-vector';
import { NO_SEQUENCE, type RecordKey, type Sequence, type StoreId } from '@meridian/core/ids';
import type { Cache, CacheEntry, CacheFigures, CacheLook } from '../ports/cache.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import {
  type ChangesPage,
  type Commit,
  type Decide,
  type FollowPosition,
  type PageLimits,
  type RecentRecord,
  type RowPage,
  type Shared,
  type Store,
  type StoredRow,
  StoreFailedError,
  type StoreFigures,
} from '../ports/store.ts';
import { CacheCounters } from './cache/counters.ts';
import { GuardedCache } from './cache/guarded-cache.ts';
import { changesOf, type Turn, VALUES_SENT_MAX } from './cache/written.ts';

/** How far ahead of this node's clock the time of an entry may be; beyond it its age cannot be told. */
const CLOCK_AHEAD_MS_MAX = 1_000;

export interface CachedStoreOptions {
  readonly store: Store;
  readonly cache: Cache;
  readonly clock: Clock;
  readonly log: Log;
  /** No entry older than this is served, whatever the cache still has. */
  readonly ttlMs: number;
  /** Larger records are not kept. */
  readonly valueBytesMax: number;
  /** A read waits so long for the cache at the most. */
  readonly timeoutMs: number;
}

/** A read of the store that is under way. */
interface Flight {
  readonly store: StoreId;
  /** What the store was known to hold before it was asked. */
  readonly claims: VersionVector;
  readonly atMs: number;
  readonly startedAtMs: number;
  readonly row: Promise<StoredRow | undefined>;
}

/**
 * A store with a cache in front of `getRecent`; all else is the store's own. What this process commits is told to the cache
 * before `update` resolves (docs/decisions/0023-redis-cache.md says why nothing wrong can come of a cache that missed it).
 */
export class CachedStore implements Store {
  readonly shared?: Shared;
  readonly #store: Store;
  readonly #cache: GuardedCache;
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #valueBytesMax: number;
  readonly #counters = new CacheCounters();
  readonly #looks = new Map<RecordKey, Promise<CacheLook | undefined>>();
  /** Under which id they were asked for: who asks under another must not join them. */
  #looksUnder: StoreId | undefined;
  readonly #flights = new Map<RecordKey, Flight>();
  readonly #telling = new Set<Promise<void>>();
  #isClosed = false;
  /** The id under which the database was found to have lost something: its entries may be of what was lost. */
  #lostId: StoreId | undefined;
  #closing: Promise<void> | undefined;

  constructor({ store, cache, clock, log, ttlMs, valueBytesMax, timeoutMs }: CachedStoreOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#valueBytesMax = valueBytesMax;
    this.#cache = new GuardedCache({ cache, clock, log, timeoutMs, counters: this.#counters });
    if (!store.shared) return;
    this.shared = store.shared;
    this.shared.onRegressed(() => {
      this.#lostId = store.id;
    });
  }

  get cacheFigures(): CacheFigures {
    const { joinedReads, ...counted } = this.#counters;
    const { state, opened } = this.#cache.breaker;
    return { ...counted, savedReads: counted.hits + joinedReads, breaker: state, breakerOpened: opened };
  }

  async getRecent(key: RecordKey, isEnough?: (claims: VersionVector) => boolean): Promise<RecentRecord> {
    const { id } = this.#store;
    if (this.#isClosed || id === this.#lostId || !this.#cache.breaker.isClosed) {
      this.#counters.bypasses += 1;
      return this.#readStore(key, isEnough, undefined);
    }
    const look = await this.#look(id, key);
    const found = look?.entry && this.#usable(id, look.entry, isEnough);
    if (found) {
      this.#counters.hits += 1;
      return found;
    }
    if (!look?.entry) this.#counters.misses += 1;
    return this.#readStore(key, isEnough, look);
  }

  /** Asks the cache, together with all others who ask it for this key just now. */
  #look(id: StoreId, key: RecordKey): Promise<CacheLook | undefined> {
    if (id !== this.#looksUnder) {
      this.#looks.clear();
      this.#looksUnder = id;
    }
    const underWay = this.#looks.get(key);
    if (underWay) return underWay;
    const look = this.#cache.look(id, this.#store.sequence, key).finally(() => {
      if (this.#looks.get(key) === look) this.#looks.delete(key);
    });
    this.#looks.set(key, look);
    return look;
  }

  #usable(
    id: StoreId,
    entry: CacheEntry,
    isEnough: ((claims: VersionVector) => boolean) | undefined,
  ): RecentRecord | undefined {
    const ageMs = this.#clock.wallMs() - entry.atMs;
    if (ageMs > this.#ttlMs || ageMs < -CLOCK_AHEAD_MS_MAX || this.#isClosed || this.#store.id !== id) {
      this.#counters.misses += 1;
      return undefined;
    }
    if (isEnough && !isEnough(entry.claims)) {
      this.#counters.staleRefusals += 1;
      return undefined;
    }
    return { record: entry.record, ageMs: Math.max(0, ageMs) };
  }

  /** Reads the store, or joins a read that is under way, where what was known before it is enough. */
  async #readStore(
    key: RecordKey,
    isEnough: ((claims: VersionVector) => boolean) | undefined,
    look: CacheLook | undefined,
  ): Promise<RecentRecord> {
    const underWay = this.#flights.get(key);
    if (underWay && underWay.store === this.#store.id && (!isEnough || isEnough(underWay.claims))) {
      this.#counters.joinedReads += 1;
      const row = await underWay.row;
      return { record: row?.record, ageMs: Math.ceil(this.#clock.monotonicMs() - underWay.startedAtMs) };
    }
    const flight = this.#start(key);
    const row = await flight.row;
    if (look) this.#fill(key, flight, row, look);
    return { record: row?.record, ageMs: 0 };
  }

  #start(key: RecordKey): Flight {
    const flight: Flight = {
      store: this.#store.id,
      // Noted before the store is asked: what it answers holds at least this.
      claims: this.#claims(),
      atMs: this.#clock.wallMs(),
      startedAtMs: this.#clock.monotonicMs(),
      row: this.#store.getRow(key).finally(() => {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
      }),
    };
    this.#flights.set(key, flight);
    return flight;
  }

  #claims(): VersionVector {
    const claims = new Map<StoreId, Sequence>();
    for (const [origin, { applied }] of this.#store.positions) if (applied > 0) claims.set(origin, applied);
    if (this.#store.sequence > 0) claims.set(this.#store.id, this.#store.sequence);
    return claims;
  }

  #fill(key: RecordKey, { store, claims, atMs }: Flight, row: StoredRow | undefined, look: CacheLook): void {
    if (!look.lease && !look.entry) return;
    if (this.#isClosed || store !== this.#store.id || (row && row.record.length > this.#valueBytesMax)) return;
    const sequence = row ? row.sequence : (claims.get(store) ?? NO_SEQUENCE);
    this.#cache.fill(store, { key, lease: look.lease, entry: { record: row?.record, sequence, claims, atMs } });
  }

  async update<Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result> {
    let turn: Turn | undefined;
    const noted: Decide<Result> = (view) => {
      const decision = decide(view);
      const { writes, positions } = decision;
      const { store, nextSequence, applied } = view;
      // It may run more than once: of the runs the last is the one that was committed.
      turn =
        writes.length === 0
          ? undefined
          : { store, nextSequence, applied, writes, positions, atMs: this.#clock.wallMs() };
      return decision;
    };
    try {
      const result = await this.#store.update(keys, noted);
      if (turn) await this.#tell(turn);
      return result;
    } catch (error) {
      // Whether it was committed cannot be told: nobody shall see an entry that it may have made old.
      if (turn && error instanceof StoreFailedError && error.isDoubtful) this.#drop(turn);
      throw error;
    }
  }

  /** After it, no read of this process is answered by what was asked before the commit. */
  async #tell(turn: Turn): Promise<void> {
    if (turn.writes.length > VALUES_SENT_MAX) {
      this.#drop(turn);
      return;
    }
    this.#forgetReads(turn);
    const telling = this.#cache.write(turn.store, changesOf(turn, this.#valueBytesMax)).finally(() => {
      this.#telling.delete(telling);
    });
    this.#telling.add(telling);
    await telling;
  }

  #drop(turn: Turn): void {
    this.#forgetReads(turn);
    this.#cache.drop(
      turn.store,
      turn.writes.map(({ key }) => key),
    );
  }

  #forgetReads({ writes }: Turn): void {
    for (const { key } of writes) {
      this.#looks.delete(key);
      this.#flights.delete(key);
    }
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** What the store has still committed is told before the cache goes. */
  async #close(): Promise<void> {
    try {
      await this.#store.close();
      await Promise.all(this.#telling);
    } finally {
      await this.#cache.close();
    }
  }

  get id(): StoreId {
    return this.#store.id;
  }

  get isNew(): boolean {
    return this.#store.isNew;
  }

  get sequence(): Sequence {
    return this.#store.sequence;
  }

  get positions(): ReadonlyMap<StoreId, FollowPosition> {
    return this.#store.positions;
  }

  get(key: RecordKey): Promise<Uint8Array | undefined> {
    return this.#store.get(key);
  }

  getRow(key: RecordKey): Promise<StoredRow | undefined> {
    return this.#store.getRow(key);
  }

  scan(from: RecordKey, to: RecordKey, limits: PageLimits): Promise<RowPage> {
    return this.#store.scan(from, to, limits);
  }

  changes(after: Sequence, limits: PageLimits): Promise<ChangesPage> {
    return this.#store.changes(after, limits);
  }

  renewId(): Promise<void> {
    return this.#store.renewId();
  }

  forgetPositions(): Promise<void> {
    return this.#store.forgetPositions();
  }

  note(name: string): string | undefined {
    return this.#store.note(name);
  }

  setNote(name: string, text: string): Promise<void> {
    return this.#store.setNote(name, text);
  }

  replaceNote(name: string, expected: string | undefined, text: string): Promise<boolean> {
    return this.#store.replaceNote(name, expected, text);
  }

  figures(): Promise<StoreFigures> {
    return this.#store.figures();
  }

  onCommit(listener: (commit: Commit) => void): void {
    this.#store.onCommit(listener);
  }
}
