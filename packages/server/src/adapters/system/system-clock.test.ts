import { describe, expect, it } from 'vitest';
import { systemClock } from './system-clock.ts';

describe('the system clock', () => {
  it('never fires a timer before its delay has passed', async () => {
    const earlyMs: number[] = [];
    const delaysMs = Array.from({ length: 300 }, (_, at) => (at % 40) + (at % 7) / 7);
    await Promise.all(
      delaysMs.map(
        (delayMs) =>
          new Promise<void>((done) => {
            const fromMs = systemClock.monotonicMs();
            systemClock.timer(delayMs, () => {
              const tookMs = systemClock.monotonicMs() - fromMs;
              if (tookMs < delayMs) earlyMs.push(delayMs - tookMs);
              done();
            });
          }),
      ),
    );
    expect(earlyMs).toEqual([]);
  });

  it('does not fire a timer that was cancelled, whenever that was', async () => {
    let fired = 0;
    const cancels = [0, 1, 5].map((delayMs) => systemClock.timer(delayMs, () => fired++));
    for (const cancel of cancels) cancel();
    await new Promise((done) => systemClock.timer(20, () => done(undefined)));
    expect(fired).toBe(0);
    for (const cancel of cancels) cancel();
  });

  it('waits for a delay that Node itself would cut to a millisecond', async () => {
    let fired = false;
    const cancel = systemClock.timer(2 ** 31, () => {
      fired = true;
    });
    await new Promise((done) => systemClock.timer(20, () => done(undefined)));
    cancel();
    expect(fired).toBe(false);
  });

  it('calls back soon only after all that is due in this tick', async () => {
    const order: string[] = [];
    await new Promise<void>((done) => {
      systemClock.soon(() => {
        order.push('soon');
        done();
      });
      queueMicrotask(() => order.push('microtask'));
      process.nextTick(() => order.push('tick'));
    });
    expect(order.at(-1)).toBe('soon');
    expect(order).toHaveLength(3);
  });
});
