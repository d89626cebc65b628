import type { Random } from '../../ports/random.ts';

/**
 * The pause before the next dial, in milliseconds: doubles with each failure from `minMs` to `maxMs`, and half of it is
 * drawn at random, so that the peers of a node that comes back do not all knock at once.
 */
export function backoffMs(failures: number, minMs: number, maxMs: number, random: Random): number {
  const fullMs = Math.min(maxMs, minMs * 2 ** Math.min(failures, 30));
  return fullMs / 2 + (fullMs / 2) * (random.uint32() / 2 ** 32);
}
