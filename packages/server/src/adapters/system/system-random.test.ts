import { describe, expect, it } from 'vitest';
import { systemRandom } from './system-random.ts';

describe('the system random source', () => {
  it('makes ids of the length asked for, of lower-case letters and digits', () => {
    for (const length of [0, 1, 12, 26, 100])
      expect(systemRandom.id(length)).toMatch(new RegExp(`^[a-z0-9]{${length}}$`));
  });

  it('repeats no id', () => {
    const ids = new Set(Array.from({ length: 20_000 }, () => systemRandom.id(12)));
    expect(ids.size).toBe(20_000);
  });

  it('uses all letters alike', () => {
    const counts = new Map<string, number>();
    const letters = 360_000;
    for (const letter of systemRandom.id(letters)) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    expect(counts.size).toBe(36);
    // 10,000 each, with a standard deviation of 99: six of them. A modulo of plain bytes is off by 3% for 4 letters of 36.
    for (const count of counts.values()) expect(Math.abs(count - letters / 36)).toBeLessThan(600);
  });

  it('covers the whole range of 32 bits', () => {
    const numbers = Array.from({ length: 10_000 }, () => systemRandom.uint32());
    expect(numbers.every((number) => Number.isInteger(number) && number >= 0 && number < 2 ** 32)).toBe(true);
    for (let bit = 0; bit < 32; bit++) {
      const set = numbers.filter((number) => (number >>> bit) & 1).length;
      expect(Math.abs(set - 5_000)).toBeLessThan(400);
    }
  });
});
