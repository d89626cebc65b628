import type { Clock } from '../ports/clock.ts';

export interface Attempt<Result> {
  /** After so long without an answer the next attempt starts as well. */
  readonly patienceMs: number;
  run(): Promise<Result>;
}

/**
 * The first success of several attempts that may each be made without harm: the next one starts when one fails, or is slower
 * than its patience. Rejects with the last failure when all have failed.
 */
export function firstSuccess<Result>(clock: Clock, attempts: readonly Attempt<Result>[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    let started = 0;
    let failed = 0;
    let isSettled = false;
    let cancelTimer = (): void => {};
    const startNext = (): void => {
      const attempt = attempts[started];
      if (isSettled || !attempt) return;
      started += 1;
      cancelTimer();
      cancelTimer = clock.timer(attempt.patienceMs, startNext);
      attempt.run().then(succeed, fail);
    };
    const succeed = (result: Result): void => {
      isSettled = true;
      cancelTimer();
      resolve(result);
    };
    const fail = (error: unknown): void => {
      failed += 1;
      if (failed === attempts.length) {
        isSettled = true;
        cancelTimer();
        reject(error instanceof Error ? error : new Error('an attempt failed'));
      } else {
        startNext();
      }
    };
    startNext();
  });
}
