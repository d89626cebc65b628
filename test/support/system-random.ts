import { randomBytes, randomInt } from 'node:crypto';
import type { Random } from '@meridian/server/ports/random';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** Real chance, for tests that do not replay. */
export const systemRandom: Random = {
  uint32: () => randomInt(0x1_0000_0000),
  id: (length) => Array.from(randomBytes(length), (byte) => LETTERS[byte % LETTERS.length]).join(''),
};
