import { NO_SEQUENCE, type RecordKey, type Sequence, type StoreId } from '@meridian/core/ids';
import type { Cache, CacheFill, CacheLook, CacheWrite } from '../../ports/cache.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import { Breaker } from './breaker.ts';
import type { CacheCounters } from './counters.ts';

/**
 * A commit waits so long for the cache at the most. Longer than a read, which has the store to turn to: what a write could
 * not tell stays stale for as long as entries live.
 */
const WRITE_TIMEOUT_MS = 50;
/** Asked in the background: time enough for a cache that is merely far. */
const PROBE_TIMEOUT_MS = 100;
/** In one exchange; a cache that answers one caller at a time must not be held up by a large one. */
const BATCH_KEYS_MAX = 128;
const BATCH_BYTES_MAX = 512 * 1024;
/** Of keys without values. */
const DROPS_MAX = 512;

export interface GuardedCacheOptions {
  readonly cache: Cache;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: CacheCounters;
  /** A read waits so long at the most. */
  readonly timeoutMs: number;
}

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly bytes: number;
  readonly resolve: (answer: Answer | undefined) => void;
}

/**
 * A cache that costs no more than a bounded wait: what a tick asks goes in one exchange, each exchange has a time limit, and
 * after some that failed nobody waits any more until a probe is answered. Nothing here rejects.
 */
export class GuardedCache {
  readonly #cache: Cache;
  readonly #clock: Clock;
  readonly #counters: CacheCounters;
  readonly #timeoutMs: number;
  readonly #breaker: Breaker;
  readonly #looks: Batcher<RecordKey, CacheLook>;
  readonly #fills: Batcher<CacheFill, unknown>;
  readonly #writes: Batcher<CacheWrite, unknown>;
  /** Of the last look asked: whoever asked before it in the tick reads the store after it, and sees as much. */
  #reached = NO_SEQUENCE;
  #lastReason = 'no answer in time';

  constructor({ cache, clock, log, counters, timeoutMs }: GuardedCacheOptions) {
    this.#cache = cache;
    this.#clock = clock;
    this.#counters = counters;
    this.#timeoutMs = timeoutMs;
    this.#breaker = new Breaker({
      clock,
      probe: () => this.#probe(),
      onOpen: () => log.warn({ reason: this.#lastReason }, 'the cache does not answer; reads go to the store'),
      onClosed: () => log.info({}, 'the cache answers again'),
    });
    this.#looks = new Batcher(clock, (store, keys) => this.#look(store, keys));
    this.#fills = new Batcher(clock, (store, fills) => this.#fill(store, fills));
    this.#writes = new Batcher(clock, (store, writes) => this.#write(store, writes));
  }

  get breaker(): Breaker {
    return this.#breaker;
  }

  /** `undefined` where the cache could not be asked, or did not answer in time. */
  look(store: StoreId, reached: Sequence, key: RecordKey): Promise<CacheLook | undefined> {
    if (!this.#breaker.isClosed) return Promise.resolve(undefined);
    this.#reached = reached;
    return this.#looks.ask(store, key, 0);
  }

  /** Nobody waits for it. */
  fill(store: StoreId, fill: CacheFill): void {
    if (!this.#breaker.isClosed) return;
    void this.#fills.ask(store, fill, fill.entry.record?.length ?? 0);
  }

  /** Resolves once the cache has taken all of it, or the time is over. */
  async write(store: StoreId, writes: readonly CacheWrite[]): Promise<void> {
    if (!this.#breaker.isClosed) {
      this.#counters.writesMissed += writes.length;
      return;
    }
    await Promise.all(writes.map((write) => this.#writes.ask(store, write, write.entry?.record?.length ?? 0)));
  }

  /** Nobody waits for it: these are many, and what is read meanwhile is a moment old. */
  drop(store: StoreId, keys: readonly RecordKey[]): void {
    for (let from = 0; from < keys.length; from += DROPS_MAX) {
      const drops = keys.slice(from, from + DROPS_MAX).map((key) => ({ key, entry: undefined }));
      if (this.#breaker.isClosed) void this.#write(store, drops);
      else this.#counters.writesMissed += drops.length;
    }
  }

  async close(): Promise<void> {
    this.#breaker.stop();
    await this.#cache.close();
  }

  #look(store: StoreId, keys: readonly RecordKey[]): Promise<readonly CacheLook[] | undefined> {
    return this.#call(this.#timeoutMs, () => this.#cache.look(store, this.#reached, keys));
  }

  async #fill(store: StoreId, fills: readonly CacheFill[]): Promise<undefined> {
    const outcomes = await this.#call(WRITE_TIMEOUT_MS, () => this.#cache.fill(store, fills));
    if (!outcomes) return;
    const kept = outcomes.filter((outcome) => outcome === 'kept').length;
    this.#counters.fills += kept;
    this.#counters.fillsRefused += outcomes.length - kept;
  }

  async #write(store: StoreId, writes: readonly CacheWrite[]): Promise<undefined> {
    const outcomes = await this.#call(WRITE_TIMEOUT_MS, () => this.#cache.write(store, latest(writes)));
    if (!outcomes) this.#counters.writesMissed += writes.length;
    for (const outcome of outcomes ?? [])
      if (outcome === 'kept' || outcome === 'dropped') this.#counters.writeThroughs += 1;
  }

  #call<Answer>(timeoutMs: number, ask: () => Promise<Answer>): Promise<Answer | undefined> {
    if (!this.#breaker.isClosed) return Promise.resolve(undefined);
    return this.#within(timeoutMs, ask, (isAnswered) => {
      if (isAnswered) this.#breaker.succeeded();
      else this.#breaker.failed();
    });
  }

  #probe(): Promise<boolean> {
    const ask = (): Promise<boolean> => this.#cache.probe().then(() => true);
    return this.#within(PROBE_TIMEOUT_MS, ask, () => undefined).then((answer) => answer === true);
  }

  #within<Answer>(
    timeoutMs: number,
    ask: () => Promise<Answer>,
    onSettled: (isAnswered: boolean) => void,
  ): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      let isSettled = false;
      const settle = (answer: Answer | undefined, isTimeout: boolean): void => {
        if (isSettled) return;
        isSettled = true;
        cancel();
        if (answer === undefined) this.#counters.errors += 1;
        if (isTimeout) {
          this.#counters.timeouts += 1;
          this.#lastReason = 'no answer in time';
        }
        onSettled(answer !== undefined);
        resolve(answer);
      };
      // Where this process itself was held up, the answer may lie there already: it is read before `soon` fires.
      const cancel = this.#clock.timer(timeoutMs, () => this.#clock.soon(() => settle(undefined, true)));
      ask().then(
        (answer) => settle(answer, false),
        (error: unknown) => {
          this.#lastReason = (error as Error).message;
          settle(undefined, false);
        },
      );
    });
  }
}

/** Of several writes of a key in one tick the last alone says what is there now. */
function latest(writes: readonly CacheWrite[]): readonly CacheWrite[] {
  const byKey = new Map<RecordKey, CacheWrite>();
  for (const write of writes) {
    const before = byKey.get(write.key);
    if (before && !before.entry) continue;
    if (before?.entry && write.entry && before.entry.sequence > write.entry.sequence) continue;
    byKey.set(write.key, write);
  }
  return byKey.size === writes.length ? writes : [...byKey.values()];
}

/** Gathers what one tick asks of one store's entries. */
class Batcher<Item, Answer> {
  readonly #clock: Clock;
  readonly #send: (store: StoreId, items: readonly Item[]) => Promise<readonly Answer[] | undefined>;
  #store: StoreId | undefined;
  #waiting: Waiting<Item, Answer>[] = [];
  #bytes = 0;
  #isScheduled = false;

  constructor(clock: Clock, send: (store: StoreId, items: readonly Item[]) => Promise<readonly Answer[] | undefined>) {
    this.#clock = clock;
    this.#send = send;
  }

  ask(store: StoreId, item: Item, bytes: number): Promise<Answer | undefined> {
    if (store !== this.#store || this.#waiting.length >= BATCH_KEYS_MAX || this.#bytes + bytes > BATCH_BYTES_MAX)
      this.#flush();
    this.#store = store;
    this.#bytes += bytes;
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#clock.soon(() => {
        this.#isScheduled = false;
        this.#flush();
      });
    }
    return new Promise((resolve) => this.#waiting.push({ item, bytes, resolve }));
  }

  #flush(): void {
    const waiting = this.#waiting;
    const store = this.#store;
    if (waiting.length === 0 || store === undefined) return;
    this.#waiting = [];
    this.#bytes = 0;
    void this.#send(
      store,
      waiting.map(({ item }) => item),
    ).then((answers) => {
      waiting.forEach(({ resolve }, at) => {
        resolve(answers?.[at]);
      });
    });
  }
}
