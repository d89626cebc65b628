import {
  compareKeys,
  type RecordKey,
  type Sequence,
  type StoreId,
  type StoreName,
  storeIdFor,
} from '@meridian/core/ids';
import type { CancelTimer, Clock } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import {
  type ChangesPage,
  type Commit,
  type CommitNotice,
  type Decide,
  type FollowPosition,
  type PageLimits,
  type RecentRecord,
  type RowPage,
  type Shared,
  type Store,
  type StoredRow,
  StoreFailedError,
  type StoreFigures,
  type TurnMark,
} from '../../ports/store.ts';
import { noted, noteReplaced, renewed, withoutPositions } from '../amendments.ts';
import type { FlushChanges } from '../flush.ts';
import { CommitLine } from './commit-line.ts';
import { KnownState } from './known-state.ts';
import { ReadBatches } from './read-batches.ts';
import type { FoundState, SharedDatabase, SharedRows, SharedState } from './shared-database.ts';
import { TurnQueue } from './turn-queue.ts';

const ID_LENGTH = 16;
/** How often the database is asked what others have done, where nobody says so. */
const POLL_MS = 500;
/** How long a commit may be missing before the index is read for it: the node that made it has most often just not said so yet. */
const GAP_MS = 5;
/** Of the index, at a time, when others' commits are read from it. */
const WALK: PageLimits = { rowsMax: 1_000, bytesMax: 4 * 1024 * 1024 };
const NOTICE_ROWS_MAX = 512;
const NOTICE_BYTES_MAX = 512 * 1024;

export interface SharedStoreOptions {
  readonly database: SharedDatabase;
  readonly storeName: StoreName;
  readonly clock: Clock;
  readonly random: Random;
  /** What went wrong where nobody waits for it. */
  readonly onError?: (error: unknown) => void;
}

/** A store that several nodes have open at once, on a database that keeps their transactions apart. */
export class SharedStore implements Store {
  readonly isNew: boolean;
  readonly shared: Shared;
  readonly #database: SharedDatabase;
  readonly #storeName: StoreName;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #onError: (error: unknown) => void;
  readonly #turns: TurnQueue;
  readonly #reads: ReadBatches;
  readonly #line: CommitLine;
  readonly #commitListeners: ((commit: Commit) => void)[] = [];
  readonly #changeListeners: ((notice: CommitNotice) => void)[] = [];
  readonly #known: KnownState;
  /** What the turn under way has found. */
  #found: TurnMark;
  #whatOthersSay: () => Promise<readonly TurnMark[]> = () => Promise.resolve([]);
  #refreshing: Promise<void> | undefined;
  #refreshNext: Promise<void> | undefined;
  #cancelPoll: CancelTimer = () => {};
  #cancelGap: CancelTimer | undefined;
  #closing: Promise<void> | undefined;

  constructor({ database, storeName, clock, random, onError }: SharedStoreOptions) {
    this.isNew = database.isNew;
    this.#database = database;
    this.#storeName = storeName;
    this.#clock = clock;
    this.#random = random;
    this.#onError = onError ?? (() => undefined);
    this.#known = new KnownState({
      state: database.state,
      onNewId: (renewedAt) => this.#onNewId(renewedAt),
      onWentBack: () => this.#line.reset(),
      guard: (act) => this.#guard(act),
    });
    this.#found = this.#known.seen;
    const soon = (fire: () => void): void => clock.soon(fire);
    this.#turns = new TurnQueue({
      database,
      clock,
      seen: () => this.#known.seen,
      askOthers: () => this.#askOthers(),
      onTurn: (state) => this.#onTurn(state),
      onDone: (state, changes) => this.#onDone(state, changes),
    });
    this.#reads = new ReadBatches({
      database,
      soon,
      seen: () => this.#known.seen,
      isSound: (view) => this.#isSound(view),
    });
    this.#line = new CommitLine(
      database.state.sequence,
      (commit) => this.#tell(commit),
      () => this.#onGap(),
    );
    const known = this.#known;
    this.shared = {
      get latest() {
        return known.latest;
      },
      onReconnected: (ask) => {
        this.#whatOthersSay = ask;
      },
      refresh: () => this.#refresh(),
      notice: (notice) => this.#onNotice(notice),
      onChange: (listener) => this.#changeListeners.push(listener),
      onRegressed: (listener) => this.#known.onRegressed(listener),
    };
    this.#poll();
  }

  get id(): StoreId {
    return this.#known.state.id;
  }

  get sequence(): Sequence {
    return this.#known.state.sequence;
  }

  get positions(): ReadonlyMap<StoreId, FollowPosition> {
    return this.#known.state.positions;
  }

  async get(key: RecordKey): Promise<Uint8Array | undefined> {
    return (await this.getRow(key))?.record;
  }

  getRow(key: RecordKey): Promise<StoredRow | undefined> {
    return this.#ask(() => this.#reads.read(key));
  }

  async getRecent(key: RecordKey): Promise<RecentRecord> {
    return { record: (await this.getRow(key))?.record, ageMs: 0 };
  }

  update<Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result> {
    // Here, for a turn has the updates of others in it too.
    for (const key of keys) {
      const bytes = Buffer.byteLength(key);
      if (bytes === 0 || bytes > this.#database.keyBytesMax)
        return Promise.reject(new RangeError('a record key is empty or too long to be stored'));
    }
    return this.#turns.update(keys, decide);
  }

  scan(from: RecordKey, to: RecordKey, limits: PageLimits): Promise<RowPage> {
    return this.#ask(async () => {
      if (compareKeys(from, to) >= 0) return { rows: [], isComplete: true };
      return this.#sound(() => this.#database.scan(from, to, limits));
    });
  }

  changes(after: Sequence, limits: PageLimits): Promise<ChangesPage> {
    return this.#ask(() => this.#sound(() => this.#database.changes(after, limits)));
  }

  async renewId(): Promise<void> {
    await this.#turns.amend(renewed(this.id, storeIdFor(this.#storeName, this.#random.id(ID_LENGTH))));
    this.#known.renewed();
  }

  forgetPositions(): Promise<void> {
    return this.#turns.amend(withoutPositions);
  }

  note(name: string): string | undefined {
    return this.#known.state.notes.get(name);
  }

  setNote(name: string, text: string): Promise<void> {
    return this.#turns.amend(noted(name, text));
  }

  replaceNote(name: string, expected: string | undefined, text: string): Promise<boolean> {
    return this.#turns.amend(noteReplaced(name, expected, text));
  }

  figures(): Promise<StoreFigures> {
    return this.#ask(() => this.#database.figures());
  }

  onCommit(listener: (commit: Commit) => void): void {
    this.#commitListeners.push(listener);
  }

  close(): Promise<void> {
    this.#cancelPoll();
    this.#cancelGap?.();
    this.#closing ??= this.#turns.close().then(() => this.#database.close());
    return this.#closing;
  }

  #ask<Result>(ask: () => Promise<Result>): Promise<Result> {
    if (this.#turns.isClosed) return Promise.reject(new StoreFailedError('the store is closed'));
    return ask();
  }

  /** A turn has the store to itself, so what it finds is what there is. */
  #onTurn(found: FoundState): boolean {
    this.#found = found;
    this.#known.take(found, this.#known.epoch);
    return !this.#known.isRegressed;
  }

  #onDone(after: SharedState, changes: FlushChanges | undefined): void {
    this.#known.learn(after);
    if (!changes) return;
    const { before, rows } = changes;
    const { id: store, sequence: upTo } = changes.after;
    if (upTo > before.sequence) this.#line.take({ from: before.sequence, upTo, rows, isWhole: true });
    const changesState =
      before.id !== store || before.positions !== changes.after.positions || before.notes !== changes.after.notes;
    const turn = { version: after.version, name: after.turn, before: this.#found.turn };
    const sent = isSmall(rows) ? rows : undefined;
    const notice = { store, from: before.sequence, upTo, rows: sent, changesState, turn };
    for (const listener of this.#changeListeners) this.#guard(() => listener(notice));
  }

  /**
   * What is said of the store under another id is found in the database. Each turn that is named is looked for there, this
   * node's own too: to hear of a later one hides none that is gone.
   */
  async #askOthers(): Promise<void> {
    const { epoch, seen } = this.#known;
    const said = (await this.#whatOthersSay()).filter(({ id }) => id === seen.id);
    for (const mark of said.length > 0 ? [seen, ...said] : []) {
      const found = await this.#database.readState(mark).catch(() => undefined);
      if (found) this.#known.take(found, epoch);
      else if (mark.id === this.#known.seen.id) this.#known.see(mark);
    }
  }

  /** From where a store was renewed that had gone back it holds other rows than were told of. */
  #onNewId(renewedAt: Sequence): void {
    if (renewedAt < this.#line.toldTo) this.#line.reset();
  }

  #isSound(view: SharedRows): boolean {
    const isSound = this.#known.covers(view);
    if (!isSound) this.#refreshQuietly();
    return isSound;
  }

  /** What was read without a look at the state is held against it after: the database may have gone back meanwhile. */
  async #sound<Page>(read: () => Promise<Page>): Promise<Page> {
    const { epoch, seen } = this.#known;
    const page = await read();
    const isSame = this.#known.take(await this.#database.readState(seen), epoch) && epoch === this.#known.epoch;
    if (!isSame) throw new StoreFailedError('the database is older than what this node has seen of it');
    return page;
  }

  #tell(commit: Commit): void {
    for (const listener of this.#commitListeners) this.#guard(() => listener(commit));
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#onError(error);
    }
  }

  #onNotice({ store, from, upTo, rows, changesState, turn }: CommitNotice): void {
    if (this.#turns.isClosed) return;
    const { state, seen } = this.#known;
    const isOurs = store === state.id && store === seen.id;
    const ahead = turn.version - seen.version;
    const isNext = ahead === 1 && turn.before === seen.turn;
    // Beside what was seen here: the database has gone back, and which of the two it has must be seen there.
    const isOther = (ahead === 1 && !isNext) || (ahead === 0 && turn.name !== seen.turn);
    if (!isOurs || isOther || ahead > 1 || changesState || !rows) this.#refreshQuietly();
    if (!isOurs || isOther) return;
    if (isNext) this.#known.see({ id: store, version: turn.version, turn: turn.name });
    if (!rows || upTo <= from) return;
    this.#line.take({ from, upTo, rows, isWhole: true });
    // So far, all is told.
    if (!changesState) this.#known.moveTo(this.#line.toldTo);
  }

  #onGap(): void {
    this.#cancelGap ??= this.#clock.timer(GAP_MS, () => {
      this.#cancelGap = undefined;
      if (this.#line.hasGap || this.#line.toldTo < this.#known.state.sequence) this.#refreshQuietly();
    });
  }

  #poll(): void {
    this.#cancelPoll = this.#clock.timer(POLL_MS, () => {
      this.#refreshQuietly();
      this.#poll();
    });
  }

  #refreshQuietly(): void {
    if (this.#turns.isClosed) return;
    // Where the database is away, those who wait for it hear of it, and it is asked again soon.
    this.#refresh().catch(() => undefined);
  }

  /** One look serves all who asked before it began. */
  #refresh(): Promise<void> {
    if (this.#turns.isClosed) return Promise.reject(new StoreFailedError('the store is closed'));
    if (!this.#refreshing) {
      this.#refreshing = this.#look().finally(() => {
        this.#refreshing = undefined;
      });
      return this.#refreshing;
    }
    this.#refreshNext ??= this.#refreshing
      .catch(() => undefined)
      .then(() => {
        this.#refreshNext = undefined;
        return this.#refresh();
      });
    return this.#refreshNext;
  }

  async #look(): Promise<void> {
    const { epoch, seen } = this.#known;
    const found = await this.#database.readState(seen);
    this.#known.take(found, epoch);
    if (this.#line.toldTo < found.sequence) await this.#walk();
  }

  /** To the end of the index: only there a view is complete. */
  async #walk(): Promise<void> {
    for (let isComplete = false; !isComplete && !this.#turns.isClosed; ) {
      const from = this.#line.toldTo;
      const page = await this.#database.changes(from, WALK);
      const commit = { from, upTo: page.upTo, rows: page.rows, isWhole: page.isComplete };
      isComplete = this.#line.walked(commit) && page.isComplete;
    }
  }
}

function isSmall(rows: readonly StoredRow[]): boolean {
  if (rows.length > NOTICE_ROWS_MAX) return false;
  let bytes = 0;
  for (const { record } of rows) bytes += record.length;
  return bytes <= NOTICE_BYTES_MAX;
}
