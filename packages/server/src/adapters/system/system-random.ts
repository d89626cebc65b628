import { randomFillSync } from 'node:crypto';
import type { Random } from '../../ports/random.ts';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';
/** The largest multiple of 36 that a byte reaches: bytes from there on would favour the first letters, and are thrown away. */
const FAIR_BELOW = 252;

/** A call into the kernel's generator costs a microsecond; bytes are fetched for many numbers at once, and used once. */
const pool = Buffer.alloc(4096);
let used = pool.length;

function take(count: number): number {
  if (used + count > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += count;
  return used - count;
}

/** Chance from the operating system, unguessable. */
export const systemRandom: Random = {
  uint32: () => {
    const at = take(4);
    return pool.readUInt32LE(at);
  },
  id: (length) => {
    let id = '';
    while (id.length < length) {
      const byte = pool[take(1)] as number;
      if (byte < FAIR_BELOW) id += ALPHABET.charAt(byte % ALPHABET.length);
    }
    return id;
  },
};
