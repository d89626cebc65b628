import type { RecordKey } from '@meridian/core/ids';
import type { CancelTimer, Clock } from '../../ports/clock.ts';
import { type Decide, StoreFailedError } from '../../ports/store.ts';
import type { Amendment } from '../amendments.ts';
import { FLUSH_KEYS_MAX, Flush, type FlushChanges, type FlushRequest } from '../flush.ts';
import type { SharedDatabase, SharedState, SharedTurn } from './shared-database.ts';

interface Request extends FlushRequest {
  readonly resolve: (result: never) => void;
  readonly reject: (failure: unknown) => void;
}

export interface TurnQueueOptions {
  readonly database: SharedDatabase;
  readonly clock: Clock;
  /** Looks at the state that a turn has found; says whether records may be written on top of it. */
  readonly onTurn: (state: SharedState) => boolean;
  /** Called once a turn is durable, before those who asked are told. `changes`: nothing where it wrote nothing. */
  readonly onDone: (state: SharedState, changes: FlushChanges | undefined) => void;
}

/**
 * A turn costs much, whatever it carries. So long the next one waits for as many updates as the one before had: longer than
 * answers take to bring the next requests, less than a turn takes.
 */
const GATHER_MS = 1;
const NO_KEYS: readonly RecordKey[] = [];

/**
 * Makes one transaction of the updates that came in while those before were under way. Nothing of it is told to anybody
 * before it is durable: also a decision that failed, or wrote nothing, may rest on writes of the same turn, and waits.
 */
export class TurnQueue {
  readonly #options: TurnQueueOptions;
  #queue: Request[] = [];
  /** One turn at a time: a second would wait for the first with less in it, and keep other nodes from theirs. */
  #isRunning = false;
  #isScheduled = false;
  /** Who was answered last asks again at once, where clients wait for one answer before their next request. */
  #lastCount = 0;
  #cancelGather: CancelTimer | undefined;
  #isClosed = false;
  #whenIdle: (() => void)[] = [];

  constructor(options: TurnQueueOptions) {
    this.#options = options;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  update<Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result> {
    return this.#ask(keys, decide, undefined);
  }

  /** Resolves with what it gave, once it is durable. */
  amend<Result>(amendment: Amendment<Result>): Promise<Result> {
    return this.#ask(NO_KEYS, undefined, amendment);
  }

  /** Refuses what comes from now on; resolves once all that was asked for before is settled. */
  close(): Promise<void> {
    this.#isClosed = true;
    if (!this.#isRunning && this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  #ask<Result>(
    keys: readonly RecordKey[],
    decide: Decide<Result> | undefined,
    amend: Amendment | undefined,
  ): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      if (this.#isClosed) {
        reject(new StoreFailedError('the store is closed'));
        return;
      }
      this.#queue.push({ keys, decide, amend, resolve, reject, result: undefined, hasFailed: false });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isRunning || this.#queue.length === 0) return;
    if (this.#queue.length < this.#lastCount) {
      this.#cancelGather ??= this.#options.clock.timer(GATHER_MS, () => {
        this.#lastCount = 0;
        this.#schedule();
      });
      return;
    }
    this.#cancelGather?.();
    this.#cancelGather = undefined;
    this.#isScheduled = true;
    this.#options.clock.soon(() => {
      this.#isScheduled = false;
      if (this.#queue.length > 0) this.#begin();
    });
  }

  #begin(): void {
    let requests = this.#take();
    const keys = [...new Set(requests.flatMap((request) => request.keys))];
    let changes: FlushChanges | undefined;
    this.#isRunning = true;
    const decide = (turn: SharedTurn): FlushChanges | undefined => {
      const decision = this.#decide(turn, requests);
      // Those that a large one leaves no room for are the first of the next turn.
      this.#queue.unshift(...requests.slice(decision.ran));
      requests = requests.slice(0, decision.ran);
      changes = decision.changes;
      return changes;
    };
    this.#options.database.transact(keys, decide).then(
      (state) => {
        this.#options.onDone(state, changes);
        for (const request of requests) settle(request);
        this.#ended(requests.length);
      },
      (failure: unknown) => {
        for (const request of requests) request.reject(failure);
        this.#ended(0);
      },
    );
  }

  #ended(count: number): void {
    this.#isRunning = false;
    this.#lastCount = count;
    this.#schedule();
    if (this.#queue.length > 0) return;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #take(): Request[] {
    let keys = 0;
    let count = 0;
    while (count < this.#queue.length && keys < FLUSH_KEYS_MAX)
      keys += 1 + (this.#queue[count++] as Request).keys.length;
    return this.#queue.splice(0, count);
  }

  /** How many ran: those that a large one leaves no room for wait for the next turn. */
  #decide(turn: SharedTurn, taken: readonly Request[]): { changes: FlushChanges | undefined; ran: number } {
    const isSound = this.#options.onTurn(turn.state);
    const flush = new Flush(turn, turn.state);
    let ran = 0;
    for (const request of taken) {
      if (ran > 0 && flush.isLarge) break;
      request.hasFailed = false;
      request.result = undefined;
      if (isSound || !request.decide) flush.run(request);
      else fail(request, new StoreFailedError('the database is older than what this node has seen of it'));
      ran += 1;
    }
    return { changes: flush.changes(), ran };
  }
}

function settle(request: Request): void {
  if (request.hasFailed) request.reject(request.result);
  else request.resolve(request.result as never);
}

function fail(request: Request, failure: Error): void {
  request.hasFailed = true;
  request.result = failure;
}
