import type { RecordKey } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import type { Clock } from '../../ports/clock.ts';
import { WRITE_BYTES_PENDING_MAX, WRITES_PENDING_MAX } from '../limits.ts';

/** Changes of one key that wait at this node. */
const WAITING_MAX = 1_000;

interface Waiting {
  readonly start: () => void;
}

/** Changes of one key go one after another at a node: to let them meet as proposers would make each of them slower. */
export class KeyQueues {
  readonly #clock: Clock;
  readonly #waiting = new Map<RecordKey, Waiting[]>();
  /** Of all keys together, under way or waiting. */
  #pending = 0;
  #pendingBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * `work` gets the time that is left; `bytes` is what it holds in memory until it is done. Settles once it is, or never
   * will be. @throws RATE_LIMITED, QUORUM_UNAVAILABLE where its turn did not come in time
   */
  async run<Result>(
    key: RecordKey,
    timeoutMs: number,
    work: (leftMs: number) => Promise<Result>,
    bytes = 0,
  ): Promise<Result> {
    if (this.#pending >= WRITES_PENDING_MAX || this.#pendingBytes + bytes > WRITE_BYTES_PENDING_MAX) {
      throw new MeridianError('RATE_LIMITED', 'too many changes are under way at this node; nothing was written', {
        changesPending: this.#pending,
        bytesPending: this.#pendingBytes,
      });
    }
    this.#pending += 1;
    this.#pendingBytes += bytes;
    try {
      return await this.#inTurn(key, timeoutMs, work);
    } finally {
      this.#pending -= 1;
      this.#pendingBytes -= bytes;
    }
  }

  #inTurn<Result>(key: RecordKey, timeoutMs: number, work: (leftMs: number) => Promise<Result>): Promise<Result> {
    const queue = this.#waiting.get(key);
    if (!queue) {
      this.#waiting.set(key, []);
      return this.#work(key, timeoutMs, work);
    }
    if (queue.length >= WAITING_MAX) {
      return Promise.reject(
        new MeridianError('RATE_LIMITED', 'too many changes of this key wait for their turn; nothing was written', {
          waiting: queue.length,
        }),
      );
    }
    const askedAtMs = this.#clock.monotonicMs();
    return new Promise((resolve, reject) => {
      const entry: Waiting = {
        start: () => {
          cancelTimer();
          this.#work(key, timeoutMs - (this.#clock.monotonicMs() - askedAtMs), work).then(resolve, reject);
        },
      };
      const cancelTimer = this.#clock.timer(timeoutMs, () => {
        queue.splice(queue.indexOf(entry), 1);
        reject(
          new MeridianError(
            'QUORUM_UNAVAILABLE',
            `the changes of this key before it took longer than ${timeoutMs} ms; nothing was written`,
            { timeoutMs },
          ),
        );
      });
      queue.push(entry);
    });
  }

  async #work<Result>(key: RecordKey, leftMs: number, work: (leftMs: number) => Promise<Result>): Promise<Result> {
    try {
      return await work(leftMs);
    } finally {
      const next = this.#waiting.get(key)?.shift();
      if (next) next.start();
      else this.#waiting.delete(key);
    }
  }
}
