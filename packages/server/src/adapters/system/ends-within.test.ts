import { describe, expect, it } from 'vitest';
import { endsWithin } from './ends-within.ts';
import { systemClock } from './system-clock.ts';

describe('what may take a bounded time', () => {
  it('has ended where it took less, and leaves no timer behind', async () => {
    let cancelled = 0;
    const clock = { ...systemClock, timer: () => () => cancelled++ };
    expect(await endsWithin(5, Promise.resolve('done'), clock)).toBe(true);
    expect(cancelled).toBe(1);
    await expect(endsWithin(5, Promise.reject(new Error('no disk')), clock)).rejects.toThrow('no disk');
    expect(cancelled).toBe(2);
  });

  it("has not where it hangs, and a failure that comes later is nobody's", async () => {
    expect(await endsWithin(5, new Promise(() => undefined), systemClock)).toBe(false);
    const late = Promise.withResolvers<void>();
    expect(await endsWithin(5, late.promise, systemClock)).toBe(false);
    late.reject(new Error('too late'));
    // An unhandled rejection would end the run.
    await new Promise((resolve) => setTimeout(resolve, 5));
  });
});
