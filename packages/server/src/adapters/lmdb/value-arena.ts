/** Enough for the small values of a flush; larger ones get a buffer of their own. */
const ARENA_BYTES = 256 * 1024;
const SHARED_VALUE_BYTES_MAX = 16 * 1024;

/**
 * Buffers for the values of one flush. LMDB takes addresses, and reads from them on its own thread until the commit is
 * done: nothing may be reused before `reset`.
 */
export class ValueArena {
  readonly #shared = Buffer.allocUnsafeSlow(ARENA_BYTES);
  #used = 0;

  take(length: number): Buffer {
    const end = this.#used + length;
    if (length > SHARED_VALUE_BYTES_MAX || end > ARENA_BYTES) return Buffer.allocUnsafeSlow(length);
    const taken = this.#shared.subarray(this.#used, end);
    this.#used = end;
    return taken;
  }

  reset(): void {
    this.#used = 0;
  }
}
