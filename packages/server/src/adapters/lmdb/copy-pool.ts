const POOL_BYTES = 64 * 1024;
const POOLED_BYTES_MAX = 4 * 1024;

/** Copies of small values that share a buffer: to make one for each costs more than the copy, and more again to collect. */
export class CopyPool {
  #pool = Buffer.allocUnsafeSlow(POOL_BYTES);
  #used = 0;

  take(source: Buffer, from: number, to: number): Uint8Array {
    const length = to - from;
    if (length > POOLED_BYTES_MAX) {
      const own = Buffer.allocUnsafeSlow(length);
      source.copy(own, 0, from, to);
      return new Uint8Array(own.buffer, 0, length);
    }
    if (this.#used + length > POOL_BYTES) {
      this.#pool = Buffer.allocUnsafeSlow(POOL_BYTES);
      this.#used = 0;
    }
    const at = this.#used;
    source.copy(this.#pool, at, from, to);
    this.#used += length;
    return new Uint8Array(this.#pool.buffer, at, length);
  }
}
