import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';

const REPEAT_MS = 10_000;
/** Strangers have many addresses; what is remembered of them is bounded. */
const KEYS_MAX = 1_000;

/** Warns of each thing at once, and of its repeats every ten seconds, with their number: a stranger cannot fill the disk with log lines. */
export class QuietLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #seen = new Map<string, { atMs: number; repeats: number }>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  warn(key: string, fields: object, event: string): void {
    const nowMs = this.#clock.monotonicMs();
    const seen = this.#seen.get(key);
    if (seen && nowMs - seen.atMs < REPEAT_MS) {
      seen.repeats++;
      return;
    }
    if (this.#seen.size >= KEYS_MAX) this.#seen.clear();
    this.#seen.set(key, { atMs: nowMs, repeats: 0 });
    this.#log.warn(seen && seen.repeats > 0 ? { ...fields, repeatsNotLogged: seen.repeats } : fields, event);
  }
}
