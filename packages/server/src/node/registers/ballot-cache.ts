import type { CacheEntry } from '@meridian/core/coordination/paxos/cache-entry';
import type { RecordKey } from '@meridian/core/ids';

/** Registers that this node wrote last: a change of one of these takes one round. */
const ENTRIES_MAX = 65_536;
const BYTES_MAX = 32 * 1024 * 1024;
/** Of an entry without its value: key, ballot, members. */
const ENTRY_BYTES = 400;
/** Of each request that the value remembers: there may be a thousand. */
const REQUEST_BYTES = 160;

/** Ballots that were promised ahead. The entry that was used longest ago goes first. */
export class BallotCache {
  readonly #entries = new Map<RecordKey, CacheEntry>();
  #bytes = 0;

  /** Takes it out: whatever becomes of the accept that it is used for, it must not be used for another. */
  take(key: RecordKey): CacheEntry | undefined {
    const entry = this.#entries.get(key);
    if (entry) {
      this.#entries.delete(key);
      this.#bytes -= bytesOf(entry);
    }
    return entry;
  }

  put(key: RecordKey, entry: CacheEntry): void {
    this.take(key);
    this.#entries.set(key, entry);
    this.#bytes += bytesOf(entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= ENTRIES_MAX && this.#bytes <= BYTES_MAX) break;
      this.take(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }
}

function bytesOf({ proposal }: CacheEntry): number {
  const value = proposal?.value;
  return value ? ENTRY_BYTES + (value.body?.length ?? 0) + value.requests.length * REQUEST_BYTES : ENTRY_BYTES;
}
