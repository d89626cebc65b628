import type { RecordKey } from '@meridian/core/ids';
import type { CancelTimer, Clock } from '../../ports/clock.ts';
import { type Decide, StoreFailedError, type TurnMark } from '../../ports/store.ts';
import type { Amendment } from '../amendments.ts';
import { FLUSH_KEYS_MAX, Flush, type FlushChanges, type FlushRequest } from '../flush.ts';
import type { FoundState, SharedDatabase, SharedState, SharedTurn } from './shared-database.ts';

interface Request extends FlushRequest {
  readonly resolve: (result: never) => void;
  readonly reject: (failure: unknown) => void;
}

export interface TurnQueueOptions {
  readonly database: Pick<SharedDatabase, 'transact'>;
  readonly clock: Clock;
  /** The latest turn that this node has heard of. */
  readonly seen: () => TurnMark;
  /** Resolves once `seen` has all that other nodes say they have heard of. Never rejects. */
  readonly askOthers: () => Promise<void>;
  /** Looks at the state that a turn has found; says whether records may be written on top of it. */
  readonly onTurn: (state: FoundState) => boolean;
  /** Called once a turn is durable, before those who asked are told. `changes`: nothing where it wrote nothing. */
  readonly onDone: (state: SharedState, changes: FlushChanges | undefined) => void;
}

/**
 * A turn costs much, whatever it carries. So long the next one waits for those who were answered to ask again: longer than
 * answers take to bring the next requests, less than a turn takes.
 */
const GATHER_MS = 1;
/**
 * From so many on, a turn takes half of those who write: the others are answered, and ask again, while the database is at
 * work. With fewer, two turns cost more than is won.
 */
const HALVED_FROM = 40;
const NO_KEYS: readonly RecordKey[] = [];
/**
 * What may wait, counted as turns count it: 64 full ones, or 32,768 updates of one key. More than the writes that a node keeps
 * for its clients, who are refused with better words there. Bytes are not known here: they are in what decides.
 */
const WAITING_MAX = 64 * FLUSH_KEYS_MAX;
/** A turn that failed only after so long was tried again all the while, or hung: the database is away. Turns take milliseconds. */
const AWAY_MS = 1_000;
/** What the answer to a turn may bring, as far as that can be foreseen. Above it, memory and other nodes would feel each turn. */
const READ_BYTES_MAX = 32 * 1024 * 1024;
/** Of the first turn, which knows nothing of the records yet: 256 MiB, were each of the largest value. */
const FIRST_KEYS_MAX = 32;
/** No bound any more: a turn is full before. */
const ANY_KEYS_MAX = 2 * FLUSH_KEYS_MAX;

/** A turn has found less than this node has heard of since it was asked for. It is asked for anew, and told of that too. */
class HeardOfMore extends Error {
  override readonly name = 'HeardOfMore';
}

/**
 * Makes one transaction of the updates that came in while those before were under way. Nothing of it is told to anybody
 * before it is durable: also a decision that failed, or wrote nothing, may rest on writes of the same turn, and waits.
 */
export class TurnQueue {
  readonly #options: TurnQueueOptions;
  #queue: Request[] = [];
  /** As turns count it. */
  #waiting = 0;
  #readKeysMax = FIRST_KEYS_MAX;
  /** One turn at a time: a second would wait for the first with less in it, and keep other nodes from theirs. */
  #isRunning = false;
  #isScheduled = false;
  /**
   * Of those who were answered last, how many have not asked again yet. They do so at once, where clients wait for one answer
   * before their next request.
   */
  #comingBack = 0;
  #cancelGather: CancelTimer | undefined;
  #isClosed = false;
  #whenIdle: (() => void)[] = [];

  constructor(options: TurnQueueOptions) {
    this.#options = options;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Refused at once where too much waits already; but one without keys, which moves positions, is not.
   * @throws StoreFailedError, StoreFullError, or what `decide` throws
   */
  update<Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result> {
    return this.#ask(keys, decide, undefined);
  }

  /** Resolves with what it gave, once it is durable. There are few, and a store that is flooded needs them: none is refused. */
  amend<Result>(amendment: Amendment<Result>): Promise<Result> {
    return this.#ask(NO_KEYS, undefined, amendment);
  }

  /**
   * Refuses what comes from now on; resolves once all that was asked for before is settled: with the first turn that fails,
   * where the database is away.
   */
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
      if (keys.length > 0 && this.#waiting >= WAITING_MAX) {
        reject(new StoreFailedError('too much waits for the database; nothing was written'));
        return;
      }
      const request = { keys, decide, amend, resolve, reject, result: undefined, hasFailed: false };
      this.#queue.push(request);
      this.#waiting += sizeOf(request);
      if (this.#comingBack > 0) this.#comingBack -= 1;
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isRunning || this.#queue.length === 0) return;
    if (this.#queue.length < this.#share()) {
      this.#cancelGather ??= this.#options.clock.timer(GATHER_MS, () => {
        this.#comingBack = 0;
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

  /** How many updates make a turn, as far as is known. */
  #share(): number {
    const writers = this.#queue.length + this.#comingBack;
    return writers < HALVED_FROM ? writers : Math.ceil(writers / 2);
  }

  #begin(): void {
    const taken = this.#take();
    const keys = [...taken.keys];
    let { requests } = taken;
    const { database, clock, seen, askOthers, onDone } = this.#options;
    const beganAtMs = clock.monotonicMs();
    let changes: FlushChanges | undefined;
    let bytesPerKey: number | undefined;
    this.#isRunning = true;
    const decide = (turn: SharedTurn): FlushChanges | undefined => {
      const decision = this.#decide(turn, requests);
      // Those that a large one leaves no room for are the first of the next turn.
      this.#putBack(requests.slice(decision.ran));
      requests = requests.slice(0, decision.ran);
      changes = decision.changes;
      bytesPerKey = bytesPerKeyOf(turn, keys, requests, changes);
      return changes;
    };
    database
      .transact(keys, decide, (isReconnected) => (isReconnected ? askOthers().then(seen) : seen()))
      .then(
        (state) => {
          onDone(state, changes);
          for (const request of requests) settle(request);
          this.#learn(keys.length, bytesPerKey);
          this.#ended(requests.length);
        },
        (failure: unknown) => {
          if (failure instanceof HeardOfMore) {
            this.#putBack(requests);
            this.#ended(0);
            return;
          }
          for (const request of requests) request.reject(failure);
          this.#learn(keys.length, bytesPerKey);
          if (failure instanceof StoreFailedError) this.#onStoreFailed(failure, clock.monotonicMs() - beganAtMs);
          this.#ended(0);
        },
      );
  }

  /**
   * Where the database is away, all that waits fails with the turn, also what came during it: it would wait for turns that
   * fail likewise, 512 updates in five seconds, while thousands come; so nobody waits longer than one turn is tried, which is
   * about as long as a client does. None of it was in a turn, so nothing of it is in doubt. A turn that was refused at once
   * says nothing about those behind it, but a closed queue has no time to find out.
   */
  #onStoreFailed(cause: StoreFailedError, tookMs: number): void {
    if (tookMs < AWAY_MS && !this.#isClosed) return;
    const failure = new StoreFailedError('the database is away; nothing was written', { cause });
    for (const request of this.#queue.splice(0)) request.reject(failure);
    this.#waiting = 0;
  }

  /**
   * Falls at once to what the records of this turn allow, and grows by as many keys as were read, so each turn risks twice
   * what is known to go well. Of a turn whose records never came, their bytes may have been the reason.
   */
  #learn(keys: number, bytesPerKey: number | undefined): void {
    if (keys === 0) return;
    const fitting = bytesPerKey === undefined ? keys / 2 : READ_BYTES_MAX / Math.max(1, bytesPerKey);
    this.#readKeysMax = Math.min(Math.max(1, Math.floor(fitting)), this.#readKeysMax + keys, ANY_KEYS_MAX);
  }

  #ended(count: number): void {
    this.#isRunning = false;
    this.#comingBack = count;
    this.#schedule();
    if (this.#queue.length > 0) return;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #take(): { readonly requests: Request[]; readonly keys: ReadonlySet<RecordKey> } {
    const keys = new Set<RecordKey>();
    const share = this.#share();
    let size = 0;
    let count = 0;
    for (const request of this.#queue) {
      if (
        count === share ||
        size >= FLUSH_KEYS_MAX ||
        (count > 0 && keys.size + request.keys.length > this.#readKeysMax)
      )
        break;
      for (const key of request.keys) keys.add(key);
      size += sizeOf(request);
      count += 1;
    }
    this.#waiting -= size;
    return { requests: this.#queue.splice(0, count), keys };
  }

  #putBack(requests: readonly Request[]): void {
    this.#queue.unshift(...requests);
    for (const request of requests) this.#waiting += sizeOf(request);
  }

  /** How many ran: those that a large one leaves no room for wait for the next turn. */
  #decide(turn: SharedTurn, taken: readonly Request[]): { changes: FlushChanges | undefined; ran: number } {
    // Either the database has gone back while the turn was tried, or the turn's session has ended, and others came after it.
    if (turn.state.hasSeen && lacks(turn.state, this.#options.seen())) throw new HeardOfMore();
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

/** Nobody else takes a turn meanwhile, so nothing can have been heard of that is not in it. */
function lacks(found: TurnMark, seen: TurnMark): boolean {
  if (found.id !== seen.id) return false;
  return found.version < seen.version || (found.version === seen.version && found.turn !== seen.turn);
}

function sizeOf({ keys }: FlushRequest): number {
  return 1 + keys.length;
}

/** The average of what was read; or of what was written, if that is more: it is read when the keys are asked for again. */
function bytesPerKeyOf(
  turn: SharedTurn,
  keys: readonly RecordKey[],
  ran: readonly FlushRequest[],
  changes: FlushChanges | undefined,
): number {
  let bytesRead = 0;
  for (const key of keys) bytesRead += turn.read(key)?.record.length ?? 0;
  let bytesWritten = 0;
  for (const { record } of changes?.rows ?? []) bytesWritten += record.length;
  let keysRan = 0;
  for (const request of ran) keysRan += request.keys.length;
  return Math.max(bytesRead / Math.max(1, keys.length), bytesWritten / Math.max(1, keysRan));
}

function settle(request: Request): void {
  if (request.hasFailed) request.reject(request.result);
  else request.resolve(request.result as never);
}

function fail(request: Request, failure: Error): void {
  request.hasFailed = true;
  request.result = failure;
}
