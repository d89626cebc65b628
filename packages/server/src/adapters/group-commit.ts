import type { RecordKey } from '@meridian/core/ids';
import { type Commit, type Decide, StoreFailedError } from '../ports/store.ts';
import type { Amendment } from './amendments.ts';
import {
  FLUSH_KEYS_MAX,
  Flush,
  type FlushChanges,
  type FlushRequest,
  type RowSource,
  type StoreState,
} from './flush.ts';

/** Where a group commit reads and writes. */
export interface CommitTarget extends RowSource {
  /**
   * Makes `changes` durable, and then visible to `read`.
   * @throws StoreFullError, StoreFailedError; nothing of them is visible then
   */
  commit(changes: FlushChanges): Promise<void>;
}

export interface GroupCommitOptions {
  readonly target: CommitTarget;
  readonly state: StoreState;
  /** Runs a function after what this tick brought in. */
  readonly soon: (fire: () => void) => void;
  readonly onError: (error: unknown) => void;
}

interface Request extends FlushRequest {
  readonly resolve: (result: never) => void;
  readonly reject: (failure: unknown) => void;
}

const NO_KEYS: readonly RecordKey[] = [];

/**
 * Makes one durable commit of the updates that came in while the one before was on its way to disk. One flush is in
 * flight at a time, so `read` always gives what the flush before left. Nothing of a flush is told to anybody before it
 * is durable: also a decision that failed, or wrote nothing, may rest on writes of the same flush, and waits for them.
 */
export class GroupCommit {
  readonly #target: CommitTarget;
  readonly #soon: (fire: () => void) => void;
  readonly #onError: (error: unknown) => void;
  readonly #listeners: ((commit: Commit) => void)[] = [];
  #state: StoreState;
  #queue: Request[] = [];
  #taken = 0;
  /** Whether a flush is scheduled or in flight. */
  #isBusy = false;
  #isClosed = false;
  #isHalted = false;
  #whenIdle: (() => void)[] = [];

  constructor(options: GroupCommitOptions) {
    this.#target = options.target;
    this.#state = options.state;
    this.#soon = options.soon;
    this.#onError = options.onError;
  }

  /** As of the last durable commit. */
  get state(): StoreState {
    return this.#state;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  onCommit(listener: (commit: Commit) => void): void {
    this.#listeners.push(listener);
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
    if (!this.#isBusy) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** The process is dead: nothing is settled, called or written any more. For the simulator. */
  halt(): void {
    this.#isHalted = true;
    this.#isClosed = true;
    this.#queue = [];
  }

  #ask<Result>(
    keys: readonly RecordKey[],
    decide: Decide<Result> | undefined,
    amend: Amendment | undefined,
  ): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      if (this.#isHalted) return;
      if (this.#isClosed) {
        reject(new StoreFailedError('the store is closed'));
        return;
      }
      this.#queue.push({ keys, decide, amend, resolve, reject, result: undefined, hasFailed: false });
      if (!this.#isBusy) this.#schedule();
    });
  }

  #schedule(): void {
    this.#isBusy = true;
    this.#soon(() => {
      if (!this.#isHalted) this.#await(this.#begin());
    });
  }

  /** Takes what is queued, decides it, and hands it to the disk. */
  #begin(): FlushInFlight {
    const flush = new Flush(this.#target, this.#state);
    const requests = this.#take(flush);
    const changes = flush.changes();
    return { requests, changes, committed: changes && this.#target.commit(changes) };
  }

  #await({ requests, changes, committed }: FlushInFlight): void {
    if (committed === undefined) {
      this.#finish(requests, undefined, undefined);
      return;
    }
    committed.then(
      () => this.#finish(requests, changes, undefined),
      (failure: unknown) => this.#finish(requests, changes, failure),
    );
  }

  #take(flush: Flush): Request[] {
    const requests: Request[] = [];
    const queue = this.#queue;
    while (this.#taken < queue.length && !flush.isLarge) {
      const request = queue[this.#taken++] as Request;
      flush.run(request);
      requests.push(request);
    }
    if (this.#taken === queue.length) {
      this.#queue = [];
      this.#taken = 0;
    } else if (this.#taken > FLUSH_KEYS_MAX) {
      this.#queue = queue.slice(this.#taken);
      this.#taken = 0;
    }
    return requests;
  }

  #finish(requests: readonly Request[], changes: FlushChanges | undefined, failure: unknown): void {
    if (this.#isHalted) return;
    if (changes && !failure) this.#state = changes.after;
    // The disk gets its next work before anybody is told of what it has done: the two then go on side by side.
    const next = this.#taken < this.#queue.length ? this.#begin() : undefined;
    for (const request of requests) {
      if (failure) request.reject(failure);
      else if (request.hasFailed) request.reject(request.result);
      else request.resolve(request.result as never);
    }
    if (changes && !failure) this.#announce(changes);
    if (next) {
      this.#await(next);
      return;
    }
    if (this.#taken < this.#queue.length) {
      this.#schedule();
      return;
    }
    this.#isBusy = false;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #announce({ before, after, rows }: FlushChanges): void {
    if (after.sequence === before.sequence) return;
    const commit: Commit = { from: before.sequence, upTo: after.sequence, rows, isWhole: true };
    for (const listener of this.#listeners) {
      try {
        listener(commit);
      } catch (error) {
        this.#onError(error);
      }
    }
  }
}

interface FlushInFlight {
  readonly requests: readonly Request[];
  readonly changes: FlushChanges | undefined;
  readonly committed: Promise<void> | undefined;
}
