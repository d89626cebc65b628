import type { VersionVector } from '@meridian/core/causality/version-vector';
import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import {
  type Commit,
  type Decide,
  type FollowPosition,
  type RecordWrite,
  type StoredRow,
  StoreFailedError,
  type UpdateDecision,
  type UpdateView,
} from '../ports/store.ts';

/** What a store keeps beside its records. Never changed once published: each flush makes the next one. */
export interface StoreState {
  readonly id: StoreId;
  readonly sequence: Sequence;
  readonly positions: ReadonlyMap<StoreId, FollowPosition>;
  readonly notes: ReadonlyMap<string, string>;
}

/** A row put by a flush, and the row of its key that it replaces: 0 for none. */
export interface FlushedRow extends StoredRow {
  readonly replaces: Sequence;
}

/** All that one flush changes: durable together, or not at all. */
export interface FlushChanges {
  readonly before: StoreState;
  readonly after: StoreState;
  /** Records put, in the order of their sequences, one a key. */
  readonly rows: readonly FlushedRow[];
  readonly removed: readonly { readonly key: RecordKey; readonly replaces: Sequence }[];
}

/** Where a group commit reads and writes. */
export interface CommitTarget {
  /** The row as the last successful commit left it. */
  read(key: RecordKey): Omit<StoredRow, 'key'> | undefined;
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

/** A flush of so many keys takes the event loop about 10 ms; more would be felt by reads that wait behind it. */
export const FLUSH_KEYS_MAX = 1024;
/** Bytes written by one flush after which it takes no further updates. One update is never divided. */
export const FLUSH_BYTES_MAX = 4 * 1024 * 1024;

interface Request {
  readonly keys: readonly RecordKey[];
  readonly decide: Decide<unknown> | undefined;
  readonly amend: ((draft: Draft) => void) | undefined;
  readonly resolve: (result: never) => void;
  readonly reject: (failure: unknown) => void;
  result: unknown;
  hasFailed: boolean;
}

/** The state that a flush is about to make durable. */
interface Draft {
  id: StoreId;
  sequence: number;
  positions: ReadonlyMap<StoreId, FollowPosition>;
  notes: ReadonlyMap<string, string>;
}

/** One key in a flush: what the decisions before left of it. */
interface Entry {
  readonly key: RecordKey;
  /** Its row before this flush; 0 for none. */
  readonly durableSequence: number;
  sequence: number;
  record: Uint8Array | undefined;
  isWritten: boolean;
  /** The turns at which a request asked for it and wrote it, so that a decision cannot write what it did not ask for. */
  askedAt: number;
  writtenAt: number;
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

  renewId(id: StoreId): Promise<void> {
    return this.#ask(NO_KEYS, undefined, (draft) => {
      const sequence = draft.sequence as Sequence;
      draft.positions = extended(draft.positions, draft.id, { cursor: sequence, applied: sequence, isFilled: true });
      draft.id = id;
    });
  }

  forgetPositions(): Promise<void> {
    return this.#ask(NO_KEYS, undefined, (draft) => {
      if (draft.positions.size > 0) draft.positions = new Map();
    });
  }

  setNote(name: string, text: string): Promise<void> {
    return this.#ask(NO_KEYS, undefined, (draft) => {
      if (draft.notes.get(name) !== text) draft.notes = extended(draft.notes, name, text);
    });
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
    amend: ((draft: Draft) => void) | undefined,
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
    const commit: Commit = { from: before.sequence, upTo: after.sequence, rows };
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

/** Decisions of one flush, each on top of those before it. */
class Flush implements UpdateView {
  readonly #target: CommitTarget;
  readonly #before: StoreState;
  readonly #draft: Draft;
  readonly #entries = new Map<RecordKey, Entry>();
  /** In the order written; an entry written again stands twice. */
  readonly #written: Entry[] = [];
  readonly #writtenSequences: number[] = [];
  #turn = 0;
  #keysSeen = 0;
  #bytesWritten = 0;
  /** The entries of the request whose turn it is, as its keys. */
  #asked: Entry[] = [];

  constructor(target: CommitTarget, before: StoreState) {
    this.#target = target;
    this.#before = before;
    this.#draft = { ...before };
  }

  get isLarge(): boolean {
    return this.#keysSeen >= FLUSH_KEYS_MAX || this.#bytesWritten >= FLUSH_BYTES_MAX;
  }

  get store(): StoreId {
    return this.#draft.id;
  }

  get nextSequence(): Sequence {
    return (this.#draft.sequence + 1) as Sequence;
  }

  get applied(): VersionVector {
    const applied = new Map<StoreId, Sequence>();
    for (const [origin, position] of this.#draft.positions) {
      if (position.applied > 0) applied.set(origin, position.applied);
    }
    if (this.#draft.sequence > 0) applied.set(this.#draft.id, this.#draft.sequence as Sequence);
    return applied;
  }

  record(at: number): Uint8Array | undefined {
    return this.#asked[at]?.record;
  }

  position(origin: StoreId): FollowPosition | undefined {
    return this.#draft.positions.get(origin);
  }

  run(request: Request): void {
    this.#turn++;
    this.#keysSeen += 1 + request.keys.length;
    try {
      if (request.decide) {
        this.#readKeys(request.keys);
        const decision = request.decide(this);
        this.#check(decision.writes);
        this.#apply(decision);
        request.result = decision.result;
      } else {
        request.amend?.(this.#draft);
      }
    } catch (error) {
      request.hasFailed = true;
      request.result = error;
    }
  }

  #readKeys(keys: readonly RecordKey[]): void {
    const asked: Entry[] = [];
    for (const key of keys) {
      let entry = this.#entries.get(key);
      if (entry === undefined) {
        entry = this.#load(key);
        this.#entries.set(key, entry);
      }
      entry.askedAt = this.#turn;
      asked.push(entry);
    }
    this.#asked = asked;
  }

  #load(key: RecordKey): Entry {
    const row = this.#target.read(key);
    const sequence = row?.sequence ?? 0;
    const record = row?.record;
    return { key, durableSequence: sequence, sequence, record, isWritten: false, askedAt: 0, writtenAt: 0 };
  }

  /** Before anything is applied: of a decision that fails nothing may remain. */
  #check(writes: readonly RecordWrite[]): void {
    for (const { key } of writes) {
      const entry = this.#entries.get(key);
      if (entry?.askedAt !== this.#turn) throw new Error('a decision writes a key that was not asked for');
      if (entry.writtenAt === this.#turn) throw new Error('a decision writes a key twice');
      entry.writtenAt = this.#turn;
    }
  }

  #apply(decision: UpdateDecision<unknown>): void {
    for (const { key, record } of decision.writes) {
      const entry = this.#entries.get(key) as Entry;
      if (record === null) {
        // A removal takes no sequence; where there is nothing it changes nothing.
        if (entry.record === undefined && !entry.isWritten) continue;
        entry.record = undefined;
        entry.sequence = 0;
      } else {
        entry.record = record;
        entry.sequence = ++this.#draft.sequence;
        this.#bytesWritten += record.length;
        this.#written.push(entry);
        this.#writtenSequences.push(entry.sequence);
      }
      entry.isWritten = true;
    }
    if (decision.positions && decision.positions.size > 0) {
      this.#draft.positions = new Map([...this.#draft.positions, ...decision.positions]);
    }
  }

  /** What must be committed; `undefined` where nothing changed. */
  changes(): FlushChanges | undefined {
    const before = this.#before;
    const { id, sequence, positions, notes } = this.#draft;
    const removed: { key: RecordKey; replaces: Sequence }[] = [];
    for (const { key, isWritten, durableSequence, record } of this.#entries.values()) {
      if (isWritten && durableSequence > 0 && record === undefined)
        removed.push({ key, replaces: durableSequence as Sequence });
    }
    const isSame = sequence === before.sequence && positions === before.positions && id === before.id;
    if (isSame && notes === before.notes && removed.length === 0) return undefined;
    const after: StoreState = { id, sequence: sequence as Sequence, positions, notes };
    return { before, after, rows: this.#rows(), removed };
  }

  #rows(): FlushedRow[] {
    const rows: FlushedRow[] = [];
    for (let at = 0; at < this.#written.length; at++) {
      const { key, sequence, record, durableSequence } = this.#written[at] as Entry;
      if (record === undefined || sequence !== this.#writtenSequences[at]) continue;
      rows.push({ key, sequence: sequence as Sequence, record, replaces: durableSequence as Sequence });
    }
    return rows;
  }
}

function extended<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key, value: Value): ReadonlyMap<Key, Value> {
  return new Map(map).set(key, value);
}
