import type { RecordKey } from '@meridian/core/ids';

/** For the 8,192 keys of a usual turn: one in 64 of those that are not there is taken for one that may be. */
const BITS = 19;
/** Of a longer key its length and its end, where those that start alike differ. */
const CHARS_MAX = 64;

/**
 * Tells at once of most keys that they are not in a set: a Bloom filter of one hash function (Bloom, *Space/time trade-offs
 * in hash coding with allowable errors*, 1970). To look a text up in a `Map` that was just put together is far dearer: V8
 * first looks for its only copy among all texts.
 */
export class KeyFilter {
  readonly #bits = new Uint8Array(2 ** (BITS - 3));

  add(key: RecordKey): void {
    const bit = bitOf(key);
    this.#bits[bit >>> 3] = (this.#bits[bit >>> 3] as number) | (1 << (bit & 7));
  }

  /** False only where the key was never added. */
  mayHold(key: RecordKey): boolean {
    const bit = bitOf(key);
    return ((this.#bits[bit >>> 3] as number) & (1 << (bit & 7))) !== 0;
  }
}

/** The hash of Fowler, Noll and Vo (FNV-1a, here of 16-bit units), its upper bits mixed into the lower ones. */
function bitOf(key: RecordKey): number {
  let hash = 0x811c9dc5 ^ key.length;
  for (let at = Math.max(0, key.length - CHARS_MAX); at < key.length; at++) {
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  }
  return (hash ^ (hash >>> 15)) & (2 ** BITS - 1);
}
