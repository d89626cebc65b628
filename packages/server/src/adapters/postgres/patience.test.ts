import { expect, it } from 'vitest';
import type { Clock } from '../../ports/clock.ts';
import { PostgresFailure } from './failures.ts';
import { Patience } from './patience.ts';

/** Time that passes only while somebody waits for it. */
function waitedClock(): Clock & { readonly pauses: number[] } {
  let nowMs = 0;
  const pauses: number[] = [];
  return {
    pauses,
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    timer: (delayMs, fire) => {
      pauses.push(delayMs);
      let isCancelled = false;
      queueMicrotask(() => {
        if (isCancelled) return;
        nowMs += delayMs;
        fire();
      });
      return () => {
        isCancelled = true;
      };
    },
    soon: (fire) => queueMicrotask(fire),
  };
}

const random = { uint32: () => 0x8000_0000, id: () => 'id' };

function failing(kind: PostgresFailure['kind'], times: number) {
  let tries = 0;
  const attempt = () =>
    ++tries <= times ? Promise.reject(new PostgresFailure(kind, `try ${tries}`)) : Promise.resolve(tries);
  return { attempt, tries: () => tries };
}

it('tries again what passes, after pauses that grow up to a limit', async () => {
  const clock = waitedClock();
  const { attempt } = failing('lost', 9);
  expect(await new Patience({ clock, random, withinMs: 60_000 }).retry(attempt)).toBe(10);
  expect(clock.pauses).toEqual([10, 20, 40, 80, 160, 320, 500, 500, 500].map((fullMs) => fullMs * 0.75));
});

it('gives up in time, with the last failure', async () => {
  const clock = waitedClock();
  const { attempt, tries } = failing('undone', 1_000);
  const patience = new Patience({ clock, random, withinMs: 1_000 });
  await expect(patience.retry(attempt)).rejects.toMatchObject({ kind: 'undone' });
  expect(clock.monotonicMs()).toBeLessThan(1_000);
  expect(tries()).toBeGreaterThan(5);
});

it.each(['full', 'refused'] as const)('does not try again what is %s', async (kind) => {
  const { attempt, tries } = failing(kind, 5);
  await expect(new Patience({ clock: waitedClock(), random, withinMs: 1_000 }).retry(attempt)).rejects.toThrow('try 1');
  expect(tries()).toBe(1);
});

it('tries nothing again once it is over', async () => {
  const { attempt, tries } = failing('lost', 5);
  const patience = new Patience({ clock: waitedClock(), random, withinMs: 1_000 });
  patience.end();
  await expect(patience.retry(attempt)).rejects.toThrow('try 1');
  expect(tries()).toBe(1);
});
