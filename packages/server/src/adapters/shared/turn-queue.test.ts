import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../ports/clock.ts';
import { StoreFailedError, StoreFullError } from '../../ports/store.ts';
import { noted } from '../amendments.ts';
import type { SharedState, TurnDecision } from './shared-database.ts';
import { TurnQueue } from './turn-queue.ts';

const MIB = 1024 * 1024;
/** Far more than may wait. */
const TOO_MANY = 50_000;
/** Requests of one key that fit into a turn. */
const FULL_TURN = 512;
const PATIENCE_MS = 5_000;

const keyOf = (at: number): RecordKey => `shop.1\0${at}` as RecordKey;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class ManualClock implements Clock {
  #nowMs = 0;
  #timers: { readonly atMs: number; readonly fire: () => void }[] = [];

  wallMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  timer(delayMs: number, fire: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  soon(fire: () => void): void {
    queueMicrotask(fire);
  }

  async pass(byMs: number): Promise<void> {
    this.#nowMs += byMs;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    for (const { fire } of due) fire();
    await settled();
  }
}

interface HeldTurn {
  readonly keys: readonly RecordKey[];
  readonly decide: TurnDecision;
  readonly end: (of: SharedState | Error) => void;
}

/** Answers a turn when it is told to. Each key has a record of `recordBytes`, whatever was written. */
class HeldDatabase {
  recordBytes = 0;
  readonly sizes: number[] = [];
  #state: SharedState = {
    id: 'eu-1.0123456789abcdef' as StoreId,
    sequence: 0 as Sequence,
    positions: new Map(),
    notes: new Map(),
    version: 0,
    turn: 'none',
  };
  #turn: HeldTurn | undefined;

  get isAsked(): boolean {
    return this.#turn !== undefined;
  }

  get bytesRead(): number {
    return (this.sizes.at(-1) ?? 0) * this.recordBytes;
  }

  transact(keys: readonly RecordKey[], decide: TurnDecision): Promise<SharedState> {
    expect(this.#turn).toBeUndefined();
    this.sizes.push(keys.length);
    return new Promise((resolve, reject) => {
      const end = (of: SharedState | Error): void => {
        this.#turn = undefined;
        if (of instanceof Error) reject(of);
        else resolve(of);
      };
      this.#turn = { keys, decide, end };
    });
  }

  async answer(): Promise<void> {
    const { keys, decide, end } = this.#turn as HeldTurn;
    const record = new Uint8Array(this.recordBytes);
    const asked = new Set(keys);
    const read = (key: RecordKey) =>
      asked.has(key) && this.recordBytes > 0 ? { sequence: 1 as Sequence, record } : undefined;
    try {
      const changes = decide({ state: { ...this.#state, hasSeen: true }, read });
      if (changes) this.#state = { ...this.#state, ...changes.after, version: this.#state.version + 1 };
      end(this.#state);
    } catch (error) {
      end(error as Error);
    }
    await settled();
  }

  async fail(failure: Error): Promise<void> {
    this.#turn?.end(failure);
    await settled();
  }
}

function setting() {
  const clock = new ManualClock();
  const database = new HeldDatabase();
  const heard = { id: 'eu-1.0123456789abcdef' as StoreId, version: 0, turn: 'none' };
  const seen = () => heard;
  const askOthers = () => Promise.resolve();
  const queue = new TurnQueue({ database, clock, seen, askOthers, onTurn: () => true, onDone: () => undefined });
  const outcomes = { made: 0, failures: [] as unknown[] };
  const watch = (promise: Promise<unknown>): void =>
    void promise.then(
      () => {
        outcomes.made += 1;
      },
      (failure: unknown) => outcomes.failures.push(failure),
    );
  /** `count` updates, of `each` keys that follow those of the one before, and begin again after `distinct`; each gets a record of `bytes`. */
  const put = (count: number, more: { each?: number; bytes?: number; distinct?: number } = {}): void => {
    const { each = 1, bytes = 0, distinct = count * each } = more;
    const record = new Uint8Array(bytes);
    for (let at = 0; at < count; at++) {
      const keys = Array.from({ length: each }, (_, index) => keyOf((at * each + index) % distinct));
      const writes = bytes > 0 ? keys.map((key) => ({ key, record })) : [];
      watch(queue.update(keys, () => ({ writes, result: undefined })));
    }
  };
  const note = (): void => watch(queue.amend(noted('layout', 'one')));
  const claim = (): void =>
    watch(
      queue.update([], () => {
        const position = { cursor: 1 as Sequence, applied: 1 as Sequence, isFilled: true };
        return { writes: [], positions: new Map([['us-1.0' as StoreId, position]]), result: undefined };
      }),
    );
  /** Answers turns until nothing waits. */
  const drain = async (): Promise<void> => {
    await clock.pass(1);
    while (database.isAsked) {
      await database.answer();
      await clock.pass(1);
    }
  };
  /** Makes turns with records of `bytes` until they no longer grow, or `turns` of them. */
  const warm = async (bytes: number, turns = 20): Promise<void> => {
    database.recordBytes = bytes;
    for (let turn = 0; turn < turns; turn++) {
      put(FULL_TURN);
      await drain();
    }
  };
  /** How many keys the next turn takes, of as many as it wants. */
  const nextSize = async (): Promise<number> => {
    put(2 * FULL_TURN);
    await clock.pass(1);
    const size = database.sizes.at(-1) as number;
    await drain();
    return size;
  };
  return { clock, database, queue, heard, outcomes, put, note, claim, drain, warm, nextSize };
}

describe('turns while the database is away', () => {
  it('fail with all that waits, of which nothing was written for certain', async () => {
    const { clock, database, outcomes, put, note } = setting();
    put(3);
    await settled();
    put(2_000);
    note();
    await clock.pass(PATIENCE_MS);
    expect(outcomes.failures).toEqual([]);
    await database.fail(new StoreFailedError('the outcome is not known', { isDoubtful: true }));
    const doubtful = outcomes.failures.map((failure) => (failure as StoreFailedError).isDoubtful);
    expect(doubtful).toEqual([true, true, true, ...Array(2_001).fill(false)]);
    for (const failure of outcomes.failures) expect(failure).toBeInstanceOf(StoreFailedError);
    expect([database.isAsked, database.sizes]).toEqual([false, [3]]);
  });

  it('are taken for what comes after such a failure, and go on once it is back', async () => {
    const { clock, database, outcomes, put, drain } = setting();
    put(1);
    await clock.pass(PATIENCE_MS);
    await database.fail(new StoreFailedError('away'));
    put(600);
    await drain();
    expect([outcomes.failures.length, outcomes.made]).toEqual([1, 600]);
  });

  it.each([
    ['is refused at once', 5, new StoreFailedError('a check constraint')],
    ['finds the disk full, however long it takes', PATIENCE_MS, new StoreFullError('full')],
    ['holds a decision that cannot be made', PATIENCE_MS, new TypeError('a fault')],
  ])('leave the others their own turn where one %s', async (_what, tookMs, failure) => {
    const { clock, database, outcomes, put, drain } = setting();
    put(3);
    await settled();
    put(5);
    await clock.pass(tookMs);
    await database.fail(failure);
    await drain();
    expect([outcomes.failures, outcomes.made]).toEqual([Array(3).fill(failure), 5]);
  });

  it('end soon after the queue is closed: with the turn under way, however soon that fails', async () => {
    const { database, queue, outcomes, put } = setting();
    put(3);
    await settled();
    put(2_000);
    let isClosed = false;
    void queue.close().then(() => {
      isClosed = true;
    });
    await settled();
    expect(isClosed).toBe(false);
    await database.fail(new StoreFailedError('refused'));
    expect([isClosed, database.isAsked, outcomes.failures.length]).toEqual([true, false, 2_003]);
  });
});

describe('a turn that finds less than was heard of since it was asked for', () => {
  it('decides nothing, and is asked for anew with all that was in it, in the same order', async () => {
    const { clock, database, queue, heard } = setting();
    const decided: string[] = [];
    const ask = (name: string): Promise<void> =>
      queue.update([keyOf(0)], () => {
        decided.push(name);
        return { writes: [], result: undefined };
      });
    const asked = [ask('first'), ask('second')];
    await clock.pass(1);
    heard.turn = 'of another node';
    await database.answer();
    asked.push(ask('third'));
    await clock.pass(1);
    expect([database.isAsked, decided]).toEqual([true, []]);
    heard.turn = 'none';
    await database.answer();
    await clock.pass(1);
    await database.answer();
    await Promise.all(asked);
    expect(decided).toEqual(['first', 'second', 'third']);
    await queue.close();
  });
});

describe('clients that ask again once they are answered', () => {
  /** The sizes of the first turns where so many clients write without a pause. */
  const sizesOf = async (clients: number, turns: number): Promise<readonly number[]> => {
    const { clock, database, queue } = setting();
    // The bound on what is read grows from turn to turn.
    for (let turn = 0; turn < 6; turn++) {
      void queue.update(
        Array.from({ length: 100 }, (_, at) => keyOf(at)),
        () => ({ writes: [], result: undefined }),
      );
      await clock.pass(1);
      await database.answer();
    }
    database.sizes.length = 0;
    const client = async (key: RecordKey): Promise<void> => {
      for (;;) await queue.update([key], () => ({ writes: [], result: undefined }));
    };
    for (let at = 0; at < clients; at++) void client(keyOf(at));
    await clock.pass(1);
    while (database.sizes.length < turns) {
      await database.answer();
      if (!database.isAsked) await clock.pass(1);
    }
    return database.sizes.slice(0, turns);
  };

  it.each([1, 7, 39])('share one turn while they are few: %i', async (clients) => {
    expect((await sizesOf(clients, 5)).slice(1)).toEqual(Array(4).fill(clients));
  });

  it.each([40, 64, 200])('take turns by halves where they are many: %i', async (clients) => {
    expect((await sizesOf(clients, 5)).slice(1)).toEqual(Array(4).fill(clients / 2));
  });
});

describe('a queue that is closed', () => {
  it('still carries out what waits, where the database answers', async () => {
    const { queue, outcomes, put, drain } = setting();
    put(2_000);
    const closed = queue.close();
    await drain();
    await closed;
    expect(outcomes).toEqual({ made: 2_000, failures: [] });
  });
});

describe('a queue that grows while a turn hangs', () => {
  it('refuses at once what it has no room for, and says that nothing was written', async () => {
    const { outcomes, put, drain } = setting();
    put(TOO_MANY);
    await settled();
    const refused = outcomes.failures.length;
    expect(refused).toBeGreaterThan(10_000);
    for (const failure of outcomes.failures) {
      expect(failure).toBeInstanceOf(StoreFailedError);
      expect((failure as StoreFailedError).isDoubtful).toBe(false);
    }
    await drain();
    expect([outcomes.failures.length, outcomes.made]).toEqual([refused, TOO_MANY - refused]);
  });

  it('has room for as many of its clients as a node lets wait for their writes', async () => {
    const { outcomes, put } = setting();
    put(20_000);
    await settled();
    expect(outcomes.failures).toEqual([]);
  });

  it('counts the keys: fewer requests of many keys have room', async () => {
    const { outcomes, put } = setting();
    put(1_000, { each: 255 });
    await settled();
    expect(outcomes.failures.length).toBeGreaterThan(700);
  });

  it('takes notes, ids and positions all the same', async () => {
    const { outcomes, put, note, claim, drain } = setting();
    put(TOO_MANY);
    await settled();
    // In place of what the turn under way has taken.
    put(FULL_TURN);
    await settled();
    const refused = outcomes.failures.length;
    expect(refused).toBeGreaterThan(0);
    note();
    claim();
    await drain();
    expect([outcomes.failures.length, outcomes.made]).toEqual([refused, TOO_MANY + FULL_TURN - refused + 2]);
  });

  it('has as much room again once all is made, divided by large turns or failed', async () => {
    const { clock, database, outcomes, put, drain } = setting();
    put(TOO_MANY);
    await settled();
    const refused = outcomes.failures.length;
    expect(refused).toBeGreaterThan(0);
    await clock.pass(PATIENCE_MS);
    await database.fail(new StoreFailedError('away'));
    // Each turn has room for one of these, and hands back the others that it took.
    put(20, { bytes: 5 * MIB });
    await drain();
    outcomes.failures = [];
    put(TOO_MANY);
    await settled();
    expect(outcomes.failures).toHaveLength(refused);
  });
});

describe('the size of a turn', () => {
  it('is what it always was where records are small', async () => {
    const { warm, nextSize } = setting();
    await warm(16 * 1024);
    expect(await nextSize()).toBe(FULL_TURN);
  });

  it('gets there within a few turns of the start', async () => {
    const { database, put, drain } = setting();
    database.recordBytes = 200;
    put(3 * FULL_TURN);
    await drain();
    expect(database.sizes.length).toBeLessThanOrEqual(9);
    expect(Math.max(...database.sizes)).toBe(FULL_TURN);
  });

  it('is full from the start where all want the same few keys', async () => {
    const { database, outcomes, put } = setting();
    put(2 * FULL_TURN, { distinct: 10 });
    await settled();
    expect(database.sizes).toEqual([10]);
    await database.answer();
    expect(outcomes.made).toBe(FULL_TURN);
  });

  it('is bounded in bytes already at the start, where nothing is known of the records', async () => {
    const { database, put } = setting();
    database.recordBytes = 8 * MIB;
    put(FULL_TURN);
    await settled();
    expect(database.bytesRead).toBeLessThanOrEqual(256 * MIB);
  });

  it('falls at once after a turn that read much, and grows back as small records are read', async () => {
    const { database, put, drain, warm, nextSize } = setting();
    await warm(200);
    database.recordBytes = 8 * MIB;
    put(1);
    await drain();
    database.sizes.length = 0;
    database.recordBytes = 200;
    put(3 * FULL_TURN);
    await drain();
    expect(database.sizes.slice(0, 4)).toEqual([4, 8, 16, 32]);
    expect(await nextSize()).toBe(FULL_TURN);
  });

  it('stays within its bytes for as long as records are large', async () => {
    const { database, put, drain, warm } = setting();
    await warm(8 * MIB, 1);
    database.sizes.length = 0;
    put(100);
    await drain();
    expect(database.sizes).toEqual(Array(25).fill(4));
  });

  it('is little touched by a large record among many small ones', async () => {
    const { database, put, drain, warm, nextSize } = setting();
    await warm(200);
    database.recordBytes = (8 * MIB) / 256;
    put(256);
    await drain();
    expect(await nextSize()).toBe(FULL_TURN);
  });

  it('foresees that what is written large will be read', async () => {
    const { database, put, drain, warm, nextSize } = setting();
    await warm(0);
    database.sizes.length = 0;
    put(2 * FULL_TURN, { bytes: 5 * MIB });
    await drain();
    expect(database.sizes.slice(0, 2)).toEqual([FULL_TURN, 6]);
    expect(await nextSize()).toBe(6);
  });

  it('is one request at least, however many keys that has', async () => {
    const { database, outcomes, put, drain, warm } = setting();
    await warm(8 * MIB, 1);
    database.sizes.length = 0;
    put(3, { each: 100 });
    await drain();
    expect(database.sizes).toEqual([100, 100, 100]);
    expect(outcomes.failures).toEqual([]);
  });

  it('is half of what did not come back: it may have been too much to be answered', async () => {
    const { clock, database, put, warm, nextSize } = setting();
    await warm(200);
    for (let turn = 0; turn < 2; turn++) {
      put(FULL_TURN);
      await clock.pass(PATIENCE_MS);
      await database.fail(new StoreFailedError('no answer in time'));
    }
    expect(await nextSize()).toBeLessThanOrEqual(FULL_TURN / 2);
  });
});
