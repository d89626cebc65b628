import type { VersionVector } from '@meridian/core/causality/version-vector';
import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';

/** What a store was once found to hold under a key. */
export interface CacheEntry {
  /** `undefined`: there was no record. */
  readonly record: Uint8Array | undefined;
  /**
   * Of a record, its row in the by-sequence index. Of none, a sequence that the store had reached by then: whatever row the
   * key has had up to there is gone.
   */
  readonly sequence: Sequence;
  /** What the store held by then at the least, its own sequence among it: noted before it was read, or at the turn that wrote it. */
  readonly claims: VersionVector;
  /** Wall time of the noting, in milliseconds, by the clock of the node that noted it. */
  readonly atMs: number;
}

declare const brand: unique symbol;
/** The right to fill a place that was found empty, for as long as nothing else has happened to it. */
export type CacheLease = string & { readonly [brand]: 'CacheLease' };

/** An entry, or a lease, or neither: then the cache could not tell, and takes no fill. */
export interface CacheLook {
  readonly entry?: CacheEntry;
  readonly lease?: CacheLease;
}

export interface CacheFill {
  readonly key: RecordKey;
  readonly entry: CacheEntry;
  /** As `look` gave it before the store was read; absent where it gave an entry, which this one is to follow. */
  readonly lease: CacheLease | undefined;
}

export interface CacheWrite {
  readonly key: RecordKey;
  /** What a commit has left of the key; `undefined` where that is not to be kept, only whatever is there must go. */
  readonly entry: CacheEntry | undefined;
}

/**
 * - `kept`: it is the entry now
 * - `younger`: what is there is as young or younger, and stays
 * - `absent`: nothing is there that could be followed
 * - `dropped`: the entry that was there is gone
 */
export type CacheOutcome = 'kept' | 'younger' | 'absent' | 'dropped';

/** Something else than an answer came back, or nothing. The reason names no key, value or password. */
export class CacheFailedError extends Error {
  override readonly name = 'CacheFailedError';
}

/**
 * Entries that the nodes of a store share, for some time. They stand under the id of the store, which a store that lost
 * something changes, so they never outlive what they tell of. Held by test/conformance/cache.ts:
 * - a place that is empty is not filled but under a lease, and the lease ends with the first entry, drop or expiry: so each
 *   write that was told here is in what comes after it, however long whoever fills has been held up between read and fill
 * - no entry gives way to an older one: the higher `sequence` stays, of equal ones "no record", then the later claims and time
 * - what is here may be gone at any time, which is a miss and no more
 * Each call is one exchange, however many keys it names; answers are in the order of the keys. None has a time limit of its
 * own: who calls sets it, and what was called may still take effect later.
 */
export interface Cache {
  /**
   * What is kept of each key. Where that is nothing, it leaves a lease of some seconds; where another node's lease is there,
   * that one: it serves all alike. `reached` is what the caller knows of the store's sequence: a lease is not given up for
   * rows up to there, since whoever holds it sees them in the store.
   * @throws CacheFailedError where nothing could be told of any key
   */
  look(store: StoreId, reached: Sequence, keys: readonly RecordKey[]): Promise<readonly CacheLook[]>;
  /** @throws CacheFailedError */
  fill(store: StoreId, fills: readonly CacheFill[]): Promise<readonly CacheOutcome[]>;
  /** Follows an entry or a lease, else does nothing: what nobody reads is not kept for having been written. @throws CacheFailedError */
  write(store: StoreId, writes: readonly CacheWrite[]): Promise<readonly CacheOutcome[]>;
  /** Resolves where the cache would answer the calls above. @throws CacheFailedError */
  probe(): Promise<void>;
  /** Calls under way fail. */
  close(): Promise<void>;
}

/** Counted since the start. */
export interface CacheFigures {
  /** Reads answered from an entry. */
  readonly hits: number;
  /** Reads that found no entry, or one past its time. */
  readonly misses: number;
  /** Reads that found an entry older than what they had to see. */
  readonly staleRefusals: number;
  /** Reads that did not ask the cache, because its breaker was open. */
  readonly bypasses: number;
  /** Reads for which the store was not asked anew: hits, and those that joined a read of the same key. */
  readonly savedReads: number;
  readonly fills: number;
  /** Fills that found something as young or younger, or their lease gone. */
  readonly fillsRefused: number;
  /** Keys of commits of this node that an entry followed, or was dropped for. */
  readonly writeThroughs: number;
  /** Keys of commits of this node of which the cache may not know: entries of them are stale until they expire. */
  readonly writesMissed: number;
  /** Calls that failed or took too long. */
  readonly errors: number;
  /** Of these, those that took too long. */
  readonly timeouts: number;
  readonly breaker: 'closed' | 'open' | 'half-open';
  readonly breakerOpened: number;
}
