import type { Sequence } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { CommitTimes } from './commit-times.ts';

const sequence = (value: number) => value as Sequence;

describe('commit times', () => {
  it('tell when the first sequence above another was committed', () => {
    const times = new CommitTimes(sequence(10), 0);
    times.add(sequence(12), 100);
    times.add(sequence(20), 200);
    expect([10, 11, 12, 19].map((at) => times.after(sequence(at)))).toEqual([100, 100, 200, 200]);
    expect(times.after(sequence(3))).toBe(0);
  });

  it('never make a lag older than it is, and stay close to it, however many commits there were', () => {
    const times = new CommitTimes(sequence(0), 0);
    const count = 50_000;
    for (let at = 1; at <= count; at++) times.add(sequence(at), at);
    for (let at = 0; at < count; at += 97) {
      const told = times.after(sequence(at));
      expect(told).toBeGreaterThanOrEqual(at === 0 ? 0 : at + 1);
      if (at > count - 1_000) expect(told).toBe(at + 1);
    }
  });
});
