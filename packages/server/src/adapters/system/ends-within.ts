import type { Clock } from '../../ports/clock.ts';

/** Whether `work` is over after `limitMs`; rejects where it has failed by then. Late, it goes on, and nobody hears of its end. */
export function endsWithin(limitMs: number, work: Promise<unknown>, clock: Clock): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = clock.timer(limitMs, () => resolve(false));
    work.finally(cancel).then(() => resolve(true), reject);
  });
}
