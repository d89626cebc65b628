import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../support/http.ts';
import type { World } from './world.ts';

const EVERY_MS = 40;
/** A request that takes longer counts as not served: what is measured is how long nothing went through. */
const REQUEST_MS_MAX = 1_500;
/** After the last write, for the reader to see it. */
const DRAIN_MS_MAX = 15_000;

export interface Passage {
  readonly written: number;
  /** The longest time between two acknowledged writes, or the beginning or end and the next. */
  readonly longestGapMs: number;
  /** The longest time from the acknowledgement of a write at the one end until the other end showed it, or a later one. */
  readonly longestDelayMs: number;
  /** Codes of refusals, and how many. */
  readonly refusals: ReadonlyMap<string, number>;
}

/** Numbers written one after another at one node, and looked for at another: whether writes, and replication, go on. */
export class LinkProbe {
  readonly #url: (node: string) => string;
  readonly #from: string;
  readonly #to: string;
  readonly #startedMs = performance.now();
  /** When a number was acknowledged; those that were seen are not here any more. */
  readonly #unseen = new Map<number, number>();
  readonly #refusals = new Map<string, number>();
  readonly #writing: Promise<void>;
  readonly #watching: Promise<void>;
  #written = 0;
  #acknowledgedAtMs = this.#startedMs;
  #longestGapMs = 0;
  #longestDelayMs = 0;
  #isOver = false;
  #isWritten = false;

  constructor(world: World, from: string, to: string) {
    // A key of its own: what an earlier probe has left would look like the end of this one.
    const key = `probe-${from}-${to}-${Math.round(this.#startedMs)}`;
    this.#url = (node) => `${world.url(node)}/kv/${key}`;
    this.#from = from;
    this.#to = to;
    this.#writing = this.#write();
    this.#watching = this.#watch();
  }

  /** Ends once all that was acknowledged was seen. @throws Error where it never is: it was lost */
  async end(): Promise<Passage> {
    this.#isOver = true;
    await this.#writing;
    this.#isWritten = true;
    await this.#watching;
    const { size } = this.#unseen;
    if (size > 0) throw new Error(`${size} writes at ${this.#from} were never seen at ${this.#to}`);
    return {
      written: this.#written,
      longestGapMs: Math.round(this.#longestGapMs),
      longestDelayMs: Math.round(this.#longestDelayMs),
      refusals: this.#refusals,
    };
  }

  async #write(): Promise<void> {
    for (let number = 1; !this.#isOver; number++) {
      const code = await this.#put(number);
      if (code === undefined) this.#acknowledged(number);
      else this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
      await sleep(EVERY_MS);
    }
    this.#noteGap();
  }

  /** Nothing where it was acknowledged. */
  async #put(value: number): Promise<string | undefined> {
    try {
      const { status, body } = await ask(this.#url(this.#from), {
        method: 'PUT',
        body: { value },
        timeoutMs: REQUEST_MS_MAX,
      });
      return status < 300 ? undefined : String(body?.code);
    } catch {
      return 'NO_ANSWER';
    }
  }

  #acknowledged(number: number): void {
    this.#noteGap();
    this.#acknowledgedAtMs = performance.now();
    this.#written++;
    this.#unseen.set(number, this.#acknowledgedAtMs);
  }

  #noteGap(): void {
    this.#longestGapMs = Math.max(this.#longestGapMs, performance.now() - this.#acknowledgedAtMs);
  }

  async #watch(): Promise<void> {
    let endMs = Number.POSITIVE_INFINITY;
    while (!(this.#isWritten && this.#unseen.size === 0) && performance.now() < endMs) {
      if (this.#isWritten) endMs = Math.min(endMs, performance.now() + DRAIN_MS_MAX);
      const answer = await ask(this.#url(this.#to), { timeoutMs: REQUEST_MS_MAX }).catch(() => undefined);
      if (answer?.status === 200) this.#saw(Number(answer.body?.value));
      await sleep(EVERY_MS);
    }
  }

  #saw(value: number): void {
    for (const [number, acknowledgedMs] of this.#unseen) {
      if (number > value) continue;
      this.#unseen.delete(number);
      this.#longestDelayMs = Math.max(this.#longestDelayMs, performance.now() - acknowledgedMs);
    }
  }
}
