import type { CacheEntry } from '@meridian/core/coordination/paxos/cache-entry';
import type { RecordKey } from '@meridian/core/ids';

/** Registers that this node wrote last: a change of one of these takes one round. */
const ENTRIES_MAX = 65_536;
const BYTES_MAX = 32 * 1024 * 1024;
/** Of an entry without its value: key, ballot, members. */
const ENTRY_BYTES = 400;
/** Of each request that the value remembers: there may be a thousand. */
const REQUEST_BYTES = 160;

/** An entry in the order of use. */
interface Held {
  readonly key: RecordKey;
  readonly entry: CacheEntry;
  readonly bytes: number;
  older: Held | undefined;
  younger: Held | undefined;
}

/**
 * Ballots that were promised ahead. The entry that was used longest ago goes first. A map alone would keep that order too, but
 * whoever looks for its first entry walks past all that were taken out: with every write taking one, that cost a fifth of a
 * proposer's time.
 */
export class BallotCache {
  readonly #byKey = new Map<RecordKey, Held>();
  #oldest: Held | undefined;
  #youngest: Held | undefined;
  #bytes = 0;

  /** Takes it out: whatever becomes of the accept that it is used for, it must not be used for another. */
  take(key: RecordKey): CacheEntry | undefined {
    const held = this.#byKey.get(key);
    if (held) this.#remove(held);
    return held?.entry;
  }

  put(key: RecordKey, entry: CacheEntry): void {
    this.take(key);
    const held: Held = { key, entry, bytes: bytesOf(entry), older: this.#youngest, younger: undefined };
    if (this.#youngest) this.#youngest.younger = held;
    else this.#oldest = held;
    this.#youngest = held;
    this.#byKey.set(key, held);
    this.#bytes += held.bytes;
    while (this.#oldest && (this.#byKey.size > ENTRIES_MAX || this.#bytes > BYTES_MAX)) this.#remove(this.#oldest);
  }

  #remove(held: Held): void {
    const { key, bytes, older, younger } = held;
    if (older) older.younger = younger;
    else this.#oldest = younger;
    if (younger) younger.older = older;
    else this.#youngest = older;
    this.#byKey.delete(key);
    this.#bytes -= bytes;
  }

  clear(): void {
    this.#byKey.clear();
    this.#oldest = undefined;
    this.#youngest = undefined;
    this.#bytes = 0;
  }
}

function bytesOf({ proposal }: CacheEntry): number {
  const value = proposal?.value;
  return value ? ENTRY_BYTES + (value.body?.length ?? 0) + value.requests.length * REQUEST_BYTES : ENTRY_BYTES;
}
