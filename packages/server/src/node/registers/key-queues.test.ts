import type { RecordKey } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { ProcessClock, VirtualTime } from '../../../../../test/simulation/virtual-time.ts';
import { codeOf } from '../cluster.testing.ts';
import { KeyQueues } from './key-queues.ts';

const KEY = 'shop.1\0key' as RecordKey;
const OTHER = 'shop.1\0other' as RecordKey;

/** Runs `play` as virtual time passes. */
async function onQueues(play: (queues: KeyQueues, time: VirtualTime) => Promise<void>): Promise<void> {
  const time = new VirtualTime();
  const queues = new KeyQueues(new ProcessClock(time, 0));
  let isDone = false;
  const played = play(queues, time).finally(() => {
    isDone = true;
  });
  // Awaited below; a failure before that is no unhandled one.
  played.catch(() => undefined);
  // Something is always to come.
  void time.sleep(1_000_000);
  await time.run(() => isDone);
  await played;
}

describe('changes of one key', () => {
  it('go one after another in the order they came, those of others beside them', () =>
    onQueues(async (queues, time) => {
      const events: string[] = [];
      const work = (name: string, ms: number) => async (): Promise<void> => {
        events.push(`${name} begins`);
        await time.sleep(ms);
        events.push(`${name} ends`);
      };
      await Promise.all([
        queues.run(KEY, 1_000, work('first', 30)),
        queues.run(KEY, 1_000, work('second', 1)),
        queues.run(OTHER, 1_000, work('other', 1)),
        queues.run(KEY, 1_000, work('third', 1)),
      ]);
      expect(events).toEqual([
        'first begins',
        'other begins',
        'other ends',
        'first ends',
        'second begins',
        'second ends',
        'third begins',
        'third ends',
      ]);
    }));

  it('go on after one that failed, whose error its caller gets', () =>
    onQueues(async (queues, time) => {
      const failed = queues.run(KEY, 1_000, async () => {
        await time.sleep(1);
        throw new Error('no');
      });
      const next = queues.run(KEY, 1_000, () => Promise.resolve('next'));
      await expect(failed).rejects.toThrow('no');
      expect(await next).toBe('next');
      const thrown = queues.run(KEY, 1_000, () => {
        throw new Error('at once');
      });
      await expect(thrown).rejects.toThrow('at once');
      expect(await queues.run(KEY, 1_000, () => Promise.resolve('last'))).toBe('last');
    }));

  it('get the time that waiting has left them', () =>
    onQueues(async (queues, time) => {
      const first = queues.run(KEY, 1_000, () => time.sleep(300));
      const leftMs = await queues.run(KEY, 1_000, (left) => Promise.resolve(left));
      expect(leftMs).toBe(700);
      await first;
    }));

  it('whose turn does not come in time have written nothing, and are passed over', () =>
    onQueues(async (queues, time) => {
      let isBegun = false;
      const first = queues.run(KEY, 1_000, () => time.sleep(300));
      const late = queues.run(KEY, 100, async () => {
        isBegun = true;
      });
      const last = queues.run(KEY, 1_000, (left) => Promise.resolve(left));
      expect(await codeOf(late)).toBe('QUORUM_UNAVAILABLE');
      expect(time.nowMs).toBeCloseTo(100, 5);
      await first;
      expect(await last).toBe(700);
      expect(isBegun).toBe(false);
    }));

  it('wait only so many at a time; beyond that they are refused at once', () =>
    onQueues(async (queues, time) => {
      let done = 0;
      const first = queues.run(KEY, 10_000, () => time.sleep(100));
      const waiting = Array.from({ length: 1_000 }, () =>
        queues.run(KEY, 10_000, async () => {
          done += 1;
        }),
      );
      expect(await codeOf(queues.run(KEY, 10_000, () => Promise.resolve()))).toBe('RATE_LIMITED');
      expect(await queues.run(OTHER, 10_000, () => Promise.resolve('other'))).toBe('other');
      await Promise.all([first, ...waiting]);
      expect(done).toBe(1_000);
      expect(await queues.run(KEY, 10_000, () => Promise.resolve('room again'))).toBe('room again');
    }));

  it('hold only so many bytes at a time, of all keys together; beyond that they are refused at once', () =>
    onQueues(async (queues, time) => {
      const MIB = 1024 * 1024;
      const keyOf = (at: number) => `${KEY}-${at % 7}` as RecordKey;
      const held = Array.from({ length: 32 }, (_none, at) =>
        queues.run(keyOf(at), 1_000, () => time.sleep(10), 8 * MIB),
      );
      expect(await codeOf(queues.run(OTHER, 1_000, () => Promise.resolve(), 1))).toBe('RATE_LIMITED');
      expect(await queues.run(OTHER, 1_000, () => Promise.resolve('a delete'))).toBe('a delete');
      await Promise.all(held);
      // Room again, also of what has failed or never had its turn.
      const first = queues.run(KEY, 1_000, () => time.sleep(100), 100 * MIB);
      const late = queues.run(KEY, 10, () => Promise.resolve(), 100 * MIB);
      expect(await codeOf(late)).toBe('QUORUM_UNAVAILABLE');
      await first;
      await codeOf(queues.run(KEY, 1_000, () => Promise.reject(new Error('no')), 256 * MIB));
      expect(await queues.run(KEY, 1_000, () => Promise.resolve('all of it'), 256 * MIB)).toBe('all of it');
    }));
});
