import type { CancelTimer, Clock } from '@meridian/server/ports/clock';

interface Event {
  readonly atMs: number;
  readonly order: number;
  fire: (() => void) | undefined;
}

/** Wall time at the start of every run. */
export const EPOCH_MS = Date.UTC(2026, 0, 1);

/** A run that makes more events than this has a loop in it; a timeout could not stop it. */
const EVENTS_MAX = 3_000_000;

/** One queue of all that will happen, in order of virtual time. Nothing happens between two events. */
export class VirtualTime {
  #nowMs = 0;
  #order = 0;
  #fired = 0;
  readonly #heap: Event[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  get eventsFired(): number {
    return this.#fired;
  }

  at(delayMs: number, fire: () => void): CancelTimer {
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, fire };
    this.#push(event);
    return () => {
      event.fire = undefined;
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.at(delayMs, resolve));
  }

  /** Lets virtual time pass until `isDone`, or until nothing is left to happen. */
  async run(isDone: () => boolean): Promise<void> {
    // All promises that are settled run their course before the first event, and after each.
    await new Promise(setImmediate);
    while (!isDone()) {
      const event = this.#pop();
      if (!event) throw new Error('the simulation has come to a standstill');
      if (!event.fire) continue;
      this.#nowMs = event.atMs;
      this.#fired += 1;
      if (this.#fired > EVENTS_MAX) throw new Error(`more than ${EVENTS_MAX} events: something goes round in circles`);
      event.fire();
      await new Promise(setImmediate);
    }
  }

  #push(event: Event): void {
    let at = this.#heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, this.#heap[parent] as Event)) break;
      this.#heap[at] = this.#heap[parent] as Event;
      at = parent;
    }
    this.#heap[at] = event;
  }

  #pop(): Event | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (!first || !last || this.#heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#heap.length) break;
      if (child + 1 < this.#heap.length && isBefore(this.#heap[child + 1] as Event, this.#heap[child] as Event))
        child += 1;
      if (!isBefore(this.#heap[child] as Event, last)) break;
      this.#heap[at] = this.#heap[child] as Event;
      at = child;
    }
    this.#heap[at] = last;
    return first;
  }
}

function isBefore(left: Event, right: Event): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}

/** The clock of one process: virtual time, a wall clock that may be wrong, and timers that die with the process. */
export class ProcessClock implements Clock {
  readonly #time: VirtualTime;
  /** How wrong the wall clock is; changed by clock jumps. */
  offsetMs: number;
  #isDead = false;
  /** What should have happened while the process was stopped, in order. */
  #held: (() => void)[] | undefined;

  constructor(time: VirtualTime, offsetMs: number) {
    this.#time = time;
    this.offsetMs = offsetMs;
  }

  wallMs(): number {
    return Math.floor(EPOCH_MS + this.#time.nowMs + this.offsetMs);
  }

  monotonicMs(): number {
    return this.#time.nowMs;
  }

  timer(delayMs: number, fire: () => void): CancelTimer {
    let isCancelled = false;
    const cancel = this.#time.at(delayMs, () =>
      this.whenAwake(() => {
        if (!isCancelled) fire();
      }),
    );
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  soon(fire: () => void): void {
    this.timer(0, fire);
  }

  /** Now, or with all else that waits once the process goes on; never where it is dead. */
  whenAwake(fire: () => void): void {
    if (this.#isDead) return;
    if (this.#held) this.#held.push(fire);
    else fire();
  }

  get isPaused(): boolean {
    return this.#held !== undefined;
  }

  /** The process does nothing any more (SIGSTOP), while time goes on for all others. */
  pause(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held;
    this.#held = undefined;
    for (const fire of held ?? []) this.#time.at(0, () => this.whenAwake(fire));
  }

  kill(): void {
    this.#isDead = true;
    this.#held = undefined;
  }
}
