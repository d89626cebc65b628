import type { CancelTimer, Clock } from '../../ports/clock.ts';

const CHECKS = 4;

/**
 * Notices that what is waited for has not moved for `limitMs`, and tells so once. It counts checks, not time: a process that
 * was itself paused must not blame its peers for that when it wakes up.
 */
export class Standstill {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #isAwaited: () => boolean;
  readonly #onStandstill: () => void;
  #checks = 0;
  #cancelTimer: CancelTimer = () => {};

  constructor(clock: Clock, limitMs: number, isAwaited: () => boolean, onStandstill: () => void) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#isAwaited = isAwaited;
    this.#onStandstill = onStandstill;
  }

  watch(): void {
    this.#cancelTimer = this.#clock.timer(this.#limitMs / CHECKS, () => {
      if (!this.#isAwaited()) this.#checks = 0;
      else if (this.#checks++ === CHECKS) {
        this.#onStandstill();
        return;
      }
      this.watch();
    });
  }

  moved(): void {
    this.#checks = 0;
  }

  stop(): void {
    this.#cancelTimer();
  }
}
