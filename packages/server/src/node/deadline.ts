import type { Clock } from '../ports/clock.ts';

/** The outcome of `work`, or the error that `late` makes when it takes longer. The work itself goes on. */
export function within<Result>(
  clock: Clock,
  timeoutMs: number,
  work: Promise<Result>,
  late: () => Error,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const cancelTimer = clock.timer(Math.max(0, timeoutMs), () => reject(late()));
    work.then(
      (result) => {
        cancelTimer();
        resolve(result);
      },
      (error: unknown) => {
        cancelTimer();
        reject(error as Error);
      },
    );
  });
}
