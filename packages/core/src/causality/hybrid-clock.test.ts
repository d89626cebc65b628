import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextTimeMs, TIME_MS_MAX } from './hybrid-clock.ts';
import { anyRecord, dot, record, sibling } from './record.testing.ts';

describe('nextTimeMs', () => {
  it('is the wall clock where the record holds nothing later, in whole milliseconds', () => {
    expect(nextTimeMs(1_000.9, undefined)).toBe(1_000);
    expect(nextTimeMs(1_000, record([sibling(dot('a', 1), 400)]))).toBe(1_000);
  });

  it('is above all that the record holds, its ledger too, where the wall clock is behind', () => {
    const held = [sibling(dot('a', 1), 5_000), sibling(dot('b', 1), 4_000)];
    expect(nextTimeMs(1_000, record(held))).toBe(5_001);
    expect(
      nextTimeMs(
        1_000,
        record(held, [{ sibling: sibling(dot('c', 1), 7_000), hiddenAtMs: 8_000, keepUntilMs: 9_000 }]),
      ),
    ).toBe(7_001);
  });

  it('is a time that the wire takes, for any clock and record', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), anyRecord, (wallMs, held) => {
        const timeMs = nextTimeMs(wallMs, held);
        expect(Number.isSafeInteger(timeMs) && timeMs >= 0 && timeMs <= TIME_MS_MAX).toBe(true);
        for (const each of held.siblings) expect(timeMs).toBeGreaterThan(Math.min(each.timeMs, TIME_MS_MAX - 1));
      }),
    );
    expect(nextTimeMs(-5, undefined)).toBe(0);
    expect(nextTimeMs(TIME_MS_MAX + 1, undefined)).toBe(TIME_MS_MAX);
    expect(nextTimeMs(0, record([sibling(dot('a', 1), TIME_MS_MAX)]))).toBe(TIME_MS_MAX);
  });

  it('is taken per key: a node whose clock is ahead pushes only what it writes', () => {
    const hourAhead = record([sibling(dot('a', 1), 3_600_000)]);
    expect(nextTimeMs(10, hourAhead)).toBe(3_600_001);
    expect(nextTimeMs(10, record([sibling(dot('a', 2), 5)]))).toBe(10);
  });
});
