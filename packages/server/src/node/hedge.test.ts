import { describe, expect, it } from 'vitest';
import { ProcessClock, VirtualTime } from '../../../../test/simulation/virtual-time.ts';
import { within } from './deadline.ts';
import { firstSuccess } from './hedge.ts';

async function inTime<Result>(play: (clock: ProcessClock, time: VirtualTime) => Promise<Result>): Promise<Result> {
  const time = new VirtualTime();
  let isDone = false;
  const played = play(new ProcessClock(time, 0), time).finally(() => {
    isDone = true;
  });
  played.catch(() => undefined);
  await time.run(() => isDone);
  return played;
}

describe('the first success', () => {
  it('is that of the first attempt, alone, where it is quick', () =>
    inTime(async (clock, time) => {
      const started: number[] = [];
      const attempt = (name: number, tookMs: number) => ({
        patienceMs: 100,
        run: () => {
          started.push(name);
          return time.sleep(tookMs).then(() => name);
        },
      });
      expect(await firstSuccess(clock, [attempt(1, 90), attempt(2, 1)])).toBe(1);
      expect(started).toEqual([1]);
      expect(await firstSuccess(clock, [attempt(3, 500), attempt(4, 10)])).toBe(4);
      expect(Math.round(time.nowMs)).toBe(90 + 100 + 10);
      await time.sleep(1_000);
      expect(started).toEqual([1, 3, 4]);
    }));

  it('starts the next attempt at once where one fails, and fails with the last', () =>
    inTime(async (clock, time) => {
      const failing = (name: string) => ({
        patienceMs: 1_000,
        run: () => time.sleep(5).then(() => Promise.reject(new Error(name))),
      });
      await expect(firstSuccess(clock, [failing('one'), failing('two')])).rejects.toThrow('two');
      expect(time.nowMs).toBe(10);
    }));
});

describe('a deadline', () => {
  it('gives the outcome of work that is in time, and else its own error; the work goes on', () =>
    inTime(async (clock, time) => {
      let ended = 0;
      const work = (tookMs: number) => time.sleep(tookMs).then(() => ++ended);
      const late = () => new Error('late');
      expect(await within(clock, 10, work(5), late)).toBe(1);
      await expect(within(clock, 10, work(20), late)).rejects.toThrow('late');
      expect(ended).toBe(1);
      await time.sleep(20);
      expect(ended).toBe(2);
      await expect(within(clock, 10, Promise.reject(new Error('own')), late)).rejects.toThrow('own');
      await expect(within(clock, -5, work(1), late)).rejects.toThrow('late');
    }));
});
