import type { CacheEntry } from '@meridian/core/coordination/paxos/cache-entry';
import type { RecordKey } from '@meridian/core/ids';
import { LRUCache } from 'lru-cache';

/** Registers that this node wrote last: a change of one of these takes one round. */
const ENTRIES_MAX = 65_536;
const BYTES_MAX = 32 * 1024 * 1024;
/** Of an entry without its value: key, ballot, members. */
const ENTRY_BYTES = 400;
/** Of each request that the value remembers: there may be a thousand. */
const REQUEST_BYTES = 160;

/**
 * Ballots that were promised ahead. The entry that was used longest ago goes first. (A `Map` as the order of use costs more
 * the more is taken out of it: whoever looks for its first entry walks past all that were.)
 */
export class BallotCache {
  readonly #entries = new LRUCache<RecordKey, CacheEntry>({
    max: ENTRIES_MAX,
    maxSize: BYTES_MAX,
    sizeCalculation: bytesOf,
  });

  /** Takes it out: whatever becomes of the accept that it is used for, it must not be used for another. */
  take(key: RecordKey): CacheEntry | undefined {
    const entry = this.#entries.peek(key);
    if (entry) this.#entries.delete(key);
    return entry;
  }

  put(key: RecordKey, entry: CacheEntry): void {
    this.#entries.set(key, entry);
  }

  clear(): void {
    this.#entries.clear();
  }
}

function bytesOf({ proposal }: CacheEntry): number {
  const value = proposal?.value;
  return value ? ENTRY_BYTES + (value.body?.length ?? 0) + value.requests.length * REQUEST_BYTES : ENTRY_BYTES;
}
