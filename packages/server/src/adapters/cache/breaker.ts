import type { CancelTimer, Clock } from '../../ports/clock.ts';

/** So many calls must have failed within the window before it opens: one lost answer is no outage. */
export const FAILURES_TO_OPEN = 5;
/** And they must be this share of all, so that a busy cache with a rare slow answer stays in use. */
const FAILED_SHARE_TO_OPEN = 0.2;
const WINDOW_MS = 1_000;
/** How long nobody asks; doubled with each probe that fails, up to the second figure. */
export const PROBE_AFTER_MS = 500;
const PROBE_AFTER_MS_MAX = 5_000;

export interface BreakerOptions {
  readonly clock: Clock;
  /** Asks what is broken whether it answers again, within bounds. */
  readonly probe: () => Promise<boolean>;
  readonly onOpen: () => void;
  readonly onClosed: () => void;
}

/** Keeps calls away from what does not answer. While it is not closed nobody but its own probe waits. */
export class Breaker {
  readonly #options: BreakerOptions;
  #state: 'closed' | 'open' | 'half-open' = 'closed';
  #opened = 0;
  #windowFromMs: number;
  #calls = 0;
  #failures = 0;
  #probeAfterMs = PROBE_AFTER_MS;
  #cancelProbe: CancelTimer = () => {};
  #isStopped = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
    this.#windowFromMs = options.clock.monotonicMs();
  }

  get state(): 'closed' | 'open' | 'half-open' {
    return this.#state;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** How often it has opened. */
  get opened(): number {
    return this.#opened;
  }

  succeeded(): void {
    this.#count();
  }

  failed(): void {
    this.#count();
    this.#failures += 1;
    if (this.#state !== 'closed' || this.#isStopped) return;
    if (this.#failures < FAILURES_TO_OPEN || this.#failures < this.#calls * FAILED_SHARE_TO_OPEN) return;
    this.#opened += 1;
    this.#probeAfterMs = PROBE_AFTER_MS;
    this.#open();
    this.#options.onOpen();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelProbe();
  }

  #count(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#windowFromMs > WINDOW_MS) this.#startWindow(nowMs);
    this.#calls += 1;
  }

  #startWindow(nowMs: number): void {
    this.#windowFromMs = nowMs;
    this.#calls = 0;
    this.#failures = 0;
  }

  #open(): void {
    this.#state = 'open';
    this.#cancelProbe = this.#options.clock.timer(this.#probeAfterMs, () => {
      this.#state = 'half-open';
      this.#options.probe().then(
        (isAnswering) => this.#onProbed(isAnswering),
        () => this.#onProbed(false),
      );
    });
  }

  #onProbed(isAnswering: boolean): void {
    if (this.#isStopped) return;
    if (isAnswering) {
      this.#state = 'closed';
      this.#startWindow(this.#options.clock.monotonicMs());
      this.#options.onClosed();
      return;
    }
    this.#probeAfterMs = Math.min(this.#probeAfterMs * 2, PROBE_AFTER_MS_MAX);
    this.#open();
  }
}
