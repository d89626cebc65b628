import type { Message } from '@meridian/core/wire/messages';
import type { CancelTimer, Clock } from '../../ports/clock.ts';
import { messageBytesAtMost } from '../tcp/message-size.ts';

/** A transport that is full is asked again after so long. */
const RETRY_MS = 10;
/** Less than this, added to a large time, may leave it where it was: a clock that moves only from timer to timer would stand still. */
const STEP_MS_MIN = 0.01;
/** Places of delivered messages stay in the queue's array until there are so many, so that taking the head moves nothing. */
const HEAD_MAX = 1_024;

interface Held {
  readonly message: Message;
  readonly bytes: number;
  readonly atMs: number;
}

/**
 * The messages on their way to one peer, in the order they were sent. One timer waits for the first of them: with one for
 * each, those that fire in the same millisecond come out of order.
 */
export class WanLink {
  readonly #clock: Clock;
  readonly #bytesMax: number;
  readonly #deliver: (message: Message) => boolean;
  #held: (Held | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  #cancelTimer: CancelTimer | undefined;

  /** `deliver` answers whether the message is done with; one that is not is offered again. */
  constructor(clock: Clock, bytesMax: number, deliver: (message: Message) => boolean) {
    this.#clock = clock;
    this.#bytesMax = bytesMax;
    this.#deliver = deliver;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @returns whether it was taken: `false` where `bytesMax` are on their way already. */
  send(message: Message, delayMs: number): boolean {
    const last = this.#held.at(-1);
    if (this.#bytes >= this.#bytesMax) return false;
    const bytes = messageBytesAtMost(message);
    const atMs = Math.max(this.#clock.monotonicMs() + delayMs, last?.atMs ?? 0);
    this.#held.push({ message, bytes, atMs });
    this.#bytes += bytes;
    if (!this.#cancelTimer) this.#wait(delayMs);
    return true;
  }

  /** What is on its way is lost. */
  clear(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#held = [];
    this.#head = 0;
    this.#bytes = 0;
  }

  #wait(delayMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#clock.timer(delayMs, () => this.#release());
  }

  #release(): void {
    this.#cancelTimer = undefined;
    const nowMs = this.#clock.monotonicMs();
    let first = this.#held[this.#head];
    while (first && first.atMs <= nowMs) {
      if (!this.#deliver(first.message)) {
        this.#wait(RETRY_MS);
        return;
      }
      // Delivery may have cut the link.
      if (this.#held[this.#head] !== first) return;
      this.#held[this.#head++] = undefined;
      this.#bytes -= first.bytes;
      first = this.#held[this.#head];
    }
    if (first) this.#wait(Math.max(first.atMs - nowMs, STEP_MS_MIN));
    this.#compact();
  }

  #compact(): void {
    const isDrained = this.#head === this.#held.length;
    if (!isDrained && (this.#head < HEAD_MAX || this.#head * 2 < this.#held.length)) return;
    this.#held = this.#held.slice(this.#head);
    this.#head = 0;
  }
}
