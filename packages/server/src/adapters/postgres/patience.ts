import type { Clock } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import { type FailureKind, PostgresFailure } from './failures.ts';
import { PAUSE_MS_MAX, PAUSE_MS_MIN } from './settings.ts';

const PASSING: ReadonlySet<FailureKind> = new Set(['undone', 'lost']);

export interface PatienceOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** No new try begins after this long. */
  readonly withinMs: number;
}

/** Tries again what failed for a reason that passes, after pauses that grow. */
export class Patience {
  readonly #options: PatienceOptions;
  readonly #pauses = new Set<() => void>();
  #isOver = false;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** Rejects with the failure that does not pass, or the last before the time ran out. */
  async retry<Result>(attempt: () => Promise<Result>, onRetry: () => void = () => undefined): Promise<Result> {
    const { clock, withinMs } = this.#options;
    const deadlineMs = clock.monotonicMs() + withinMs;
    for (let failures = 0; ; failures++) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof PostgresFailure) || !PASSING.has(error.kind) || this.#isOver) throw error;
        const pauseMs = this.#pauseMs(failures);
        if (clock.monotonicMs() + pauseMs >= deadlineMs) throw error;
        await this.#pause(pauseMs);
        onRetry();
      }
    }
  }

  /** What is under way is not tried again. */
  end(): void {
    this.#isOver = true;
    for (const wake of this.#pauses) wake();
  }

  /** Half of it is drawn at random, so that nodes that lost the same server do not all knock at once. */
  #pauseMs(failures: number): number {
    const fullMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(failures, 20));
    return fullMs / 2 + (fullMs / 2) * (this.#options.random.uint32() / 2 ** 32);
  }

  #pause(pauseMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel();
        this.#pauses.delete(wake);
        resolve();
      };
      const cancel = this.#options.clock.timer(pauseMs, wake);
      this.#pauses.add(wake);
    });
  }
}
