import { describe, expect, it } from 'vitest';
import { backoffMs } from './backoff.ts';

const drawing = (uint32: number) => ({ uint32: () => uint32, id: () => '' });

describe('the pause before the next dial', () => {
  it('doubles from the least to the most', () => {
    const pauses = [0, 1, 2, 3, 4, 5, 6, 1000].map((failures) => backoffMs(failures, 100, 3_000, drawing(2 ** 32 - 1)));
    expect(pauses.map(Math.round)).toEqual([100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
  });

  it('is half chance', () => {
    expect(backoffMs(2, 100, 3_000, drawing(0))).toBe(200);
    expect(backoffMs(2, 100, 3_000, drawing(2 ** 31))).toBe(300);
  });
});
