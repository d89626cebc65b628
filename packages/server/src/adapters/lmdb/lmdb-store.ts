import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { RecordKey, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { compareKeys, NO_SEQUENCE, storeIdFor, storeNameOf } from '@meridian/core/ids';
import type { Random } from '../../ports/random.ts';
import {
  type ChangesPage,
  type Commit,
  type Decide,
  type FollowPosition,
  type PageLimits,
  type RecentRecord,
  type RowPage,
  type Store,
  type StoredRow,
  StoreFailedError,
  type StoreFigures,
  StoreFullError,
  StoreOpenError,
} from '../../ports/store.ts';
import { noted, noteReplaced, renewed, withoutPositions } from '../amendments.ts';
import type { FlushChanges, StoreState } from '../flush.ts';
import { GroupCommit } from '../group-commit.ts';
import { CommitLog } from './commit-log.ts';
import { checkDataFile } from './data-file.ts';
import { Database, type TreeState, UnknownFormat } from './database.ts';
import { DiskSpace, OPEN_BYTES_MIN, RESERVE_BYTES } from './disk-space.ts';
import { isStorableKey } from './key-codec.ts';
import { BYTES_PER_ROW_WRITTEN, LoggedDatabase, replayLog, TURN_LIMITS, type TurnLimits } from './logged-database.ts';
import { makeDirectory } from './store-directory.ts';
import { lockStore, type StoreLock } from './store-lock.ts';

const ID_LENGTH = 16;

export interface LmdbStoreOptions {
  /** A directory; made where there is none. */
  readonly path: string;
  readonly storeName: StoreName;
  readonly random: Random;
  /** What went wrong where nobody waits for it: a listener that threw, or why commits fail. */
  readonly onError?: (error: unknown) => void;
  /** Free bytes below which writes are refused. */
  readonly reserveBytes?: number;
  /** How much the log takes in before the trees take it over. */
  readonly limits?: TurnLimits;
}

/**
 * Opens the store at `path`, or makes one.
 * @throws StoreOpenError with one line that says what is wrong
 */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<Store> {
  const { path } = options;
  const made = await makeDirectory(path);
  const space = new DiskSpace(path, options.reserveBytes ?? RESERVE_BYTES);
  const freeBytes = space.bytesFree();
  if (freeBytes < OPEN_BYTES_MIN) {
    throw new StoreOpenError(
      'NO_SPACE',
      `the disk of ${path} has ${freeBytes} bytes free: too few to open a store on it`,
    );
  }
  const lock = lockStore(path);
  try {
    await checkDataFile(path);
    return await openLocked({ ...options, topmostMade: made }, space, lock);
  } catch (error) {
    lock.free();
    throw error;
  }
}

interface OpenOptions extends LmdbStoreOptions {
  readonly topmostMade: string | undefined;
}

async function openLocked(options: OpenOptions, space: DiskSpace, lock: StoreLock): Promise<Store> {
  const { path, storeName, random } = options;
  const database = openDatabase(path);
  try {
    const found = readState(database, path);
    if (found && storeNameOf(found.state.id) !== storeName) {
      const owner = storeNameOf(found.state.id);
      throw new StoreOpenError('OTHER_STORE', `the data at ${path} belongs to the store ${owner}, not to ${storeName}`);
    }
    const made = found?.state ?? emptyState(storeIdFor(storeName, random.id(ID_LENGTH)));
    const { log, state } = await openLog(database, made, found, space, options);
    return new LmdbStore({ ...options, database, log, space, lock, state, isNew: !found });
  } catch (error) {
    await database.close();
    throw error;
  }
}

function openDatabase(path: string): Database {
  try {
    return new Database(path);
  } catch (error) {
    throw new StoreOpenError('UNREADABLE', `the store at ${path} cannot be opened: ${messageOf(error)}`, error);
  }
}

/** @throws StoreOpenError also where the data file is gone: LMDB would make an empty one, and all that the trees hold would be hidden by it */
async function reopenDatabase(path: string): Promise<Database> {
  if (await checkDataFile(path)) {
    const database = openDatabase(path);
    if (readState(database, path)) return database;
    await database.close();
  }
  throw new StoreOpenError('UNREADABLE', `the store at ${path} is not there any more`);
}

function readState(database: Database, path: string): TreeState | undefined {
  try {
    return database.state();
  } catch (error) {
    if (error instanceof UnknownFormat) {
      throw new StoreOpenError(
        'UNKNOWN_FORMAT',
        `the store at ${path} was written by another version (${error.message})`,
        error,
      );
    }
    throw new StoreOpenError('UNREADABLE', `the store at ${path} cannot be read: ${messageOf(error)}`, error);
  }
}

function emptyState(id: StoreId): StoreState {
  return { id, sequence: NO_SEQUENCE, positions: new Map(), notes: new Map() };
}

/** Makes the log where there is none yet, and brings the trees up to it where there is one. */
async function openLog(
  database: Database,
  made: StoreState,
  found: TreeState | undefined,
  space: DiskSpace,
  { path, random, topmostMade, limits = TURN_LIMITS }: OpenOptions,
): Promise<{ log: CommitLog; state: StoreState }> {
  if (!found) {
    const log = await CommitLog.create(path, limits.segmentBytes, random.uint32());
    try {
      // The trees name the log from here on, so it must be there first.
      await syncDirectories(path, topmostMade ?? path);
      database.putHead(made, 0, log.salt, log.bytesMin);
      return { log, state: made };
    } catch (error) {
      await log.close();
      throw failedOpening(`no store can be made at ${path}`, error);
    }
  }
  const { log, entries } = await CommitLog.open(path, found.logNumber, found.logSalt ?? 0, found.logBytes);
  try {
    const state = await replayLog(database, log, found.state, entries, (bytes) => space.hasRoomToOpenAfter(bytes));
    if (found.logBytes !== undefined) return { log, state };
    // No entry of before is needed any more, so those to come may be of another salt.
    const salted = log.withSalt(random.uint32());
    database.putHead(state, log.number, salted.salt, salted.bytesMin);
    return { log: salted, state };
  } catch (error) {
    await log.close();
    throw failedOpening(
      `the store at ${path} cannot be opened: what is in its log cannot be brought into its trees`,
      error,
    );
  }
}

function failedOpening(why: string, error: unknown): StoreOpenError {
  const problem = FULL_CODES.has((error as { code?: unknown }).code) ? 'NO_SPACE' : 'NOT_WRITABLE';
  return new StoreOpenError(problem, `${why} (${messageOf(error)})`, error);
}

/** A synced file can still be missing after a crash where the directory that names it was not. */
async function syncDirectories(path: string, topmostMade: string): Promise<void> {
  const last = dirname(resolve(topmostMade));
  for (let directory = resolve(path); ; directory = dirname(directory)) {
    const handle = await open(directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (directory === last || directory === dirname(directory)) return;
  }
}

interface LmdbStoreParts extends LmdbStoreOptions {
  readonly database: Database;
  readonly log: CommitLog;
  readonly space: DiskSpace;
  readonly lock: StoreLock;
  readonly state: StoreState;
  readonly isNew: boolean;
}

/** The embedded store. Reads are synchronous underneath: what is not in memory LMDB maps, so a read is a walk through pages. */
class LmdbStore implements Store {
  readonly isNew: boolean;
  readonly #storeName: StoreName;
  readonly #random: Random;
  readonly #onError: (error: unknown) => void;
  readonly #space: DiskSpace;
  readonly #lock: StoreLock;
  readonly #group: GroupCommit;
  readonly #logged: LoggedDatabase;
  #closing: Promise<void> | undefined;

  constructor(parts: LmdbStoreParts) {
    this.isNew = parts.isNew;
    this.#storeName = parts.storeName;
    this.#random = parts.random;
    this.#onError = parts.onError ?? (() => undefined);
    this.#space = parts.space;
    this.#lock = parts.lock;
    this.#logged = new LoggedDatabase({
      ...parts,
      limits: parts.limits ?? TURN_LIMITS,
      reopen: () => reopenDatabase(parts.path),
      hasRoomFor: (bytes) => parts.space.hasRoomToOpenAfter(bytes),
      onFlushFailure: (error) => this.#onFlushFailure(error),
    });
    this.#group = new GroupCommit({
      target: {
        read: (key) => this.#sound(() => this.#logged.read(key)),
        commit: (changes) => this.#commit(changes),
      },
      state: parts.state,
      soon: setImmediate,
      onError: this.#onError,
    });
  }

  get id(): StoreId {
    return this.#group.state.id;
  }

  get sequence(): Sequence {
    return this.#group.state.sequence;
  }

  get positions(): ReadonlyMap<StoreId, FollowPosition> {
    return this.#group.state.positions;
  }

  get(key: RecordKey): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#logged.read(key)?.record);
  }

  getRow(key: RecordKey): Promise<StoredRow | undefined> {
    return this.#read(() => {
      const row = this.#logged.read(key);
      return row && { key, ...row };
    });
  }

  getRecent(key: RecordKey): RecentRecord | Promise<RecentRecord> {
    if (this.#group.isClosed) return Promise.reject(closed());
    try {
      return { record: this.#sound(() => this.#logged.read(key)?.record), ageMs: 0 };
    } catch (error) {
      return Promise.reject(error);
    }
  }

  update<Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result> {
    for (const key of keys) {
      if (!isStorableKey(key)) return Promise.reject(new RangeError('a record key is empty or too long to be stored'));
    }
    return this.#group.update(keys, decide);
  }

  scan(from: RecordKey, to: RecordKey, limits: PageLimits): Promise<RowPage> {
    return this.#read(() => (compareKeys(from, to) < 0 ? page(this.#logged.rowsByKey(from, to), limits) : EMPTY_PAGE));
  }

  changes(after: Sequence, limits: PageLimits): Promise<ChangesPage> {
    return this.#read(() => {
      const { rows, isComplete } = page(this.#logged.rowsAfter(after), limits);
      const last = rows[rows.length - 1]?.sequence ?? after;
      return { rows, isComplete, upTo: isComplete ? this.#logged.sequence : last };
    });
  }

  renewId(): Promise<void> {
    return this.#group.amend(renewed(this.id, storeIdFor(this.#storeName, this.#random.id(ID_LENGTH))));
  }

  forgetPositions(): Promise<void> {
    return this.#group.amend(withoutPositions);
  }

  note(name: string): string | undefined {
    return this.#group.state.notes.get(name);
  }

  setNote(name: string, text: string): Promise<void> {
    return this.#group.amend(noted(name, text));
  }

  replaceNote(name: string, expected: string | undefined, text: string): Promise<boolean> {
    return this.#group.amend(noteReplaced(name, expected, text));
  }

  figures(): Promise<StoreFigures> {
    return this.#read(() => ({ engine: 'lmdb', ...this.#logged.figures(), bytesFree: this.#space.bytesFree() }));
  }

  onCommit(listener: (commit: Commit) => void): void {
    this.#group.onCommit(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#group
      .close()
      .then(() => this.#logged.close())
      .finally(() => this.#lock.free());
    return this.#closing;
  }

  #read<Result>(read: () => Result): Promise<Result> {
    if (this.#group.isClosed) return Promise.reject(closed());
    try {
      return Promise.resolve(this.#sound(read));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @throws StoreFailedError */
  #sound<Result>(read: () => Result): Result {
    try {
      return read();
    } catch (error) {
      this.#logged.recover();
      throw new StoreFailedError(messageOf(error), { cause: error });
    }
  }

  async #commit(changes: FlushChanges): Promise<void> {
    if (!this.#hasRoomFor(changes)) await this.#makeRoomFor(changes);
    try {
      await this.#logged.commit(changes);
    } catch (error) {
      this.#onError(error);
      throw this.#failureOf(error);
    }
  }

  #hasRoomFor(changes: FlushChanges): boolean {
    return this.#sound(() => this.#space.hasRoomFor(this.#bytesToWrite(changes)));
  }

  /**
   * Rows that the trees have still to take are counted at the most that each may need. They need far less as a rule, and
   * nothing else would start the flush that shows it: each commit would be refused from now on.
   */
  async #makeRoomFor(changes: FlushChanges): Promise<void> {
    if (this.#logged.pending.rows > 0) await this.#logged.drain();
    if (!this.#hasRoomFor(changes)) throw new StoreFullError('too little space is left on the disk');
  }

  /** What the trees have still to take of earlier commits needs its room too: it was acknowledged. */
  #bytesToWrite({ rows, removed }: FlushChanges): number {
    const { pending } = this.#logged;
    let bytes = pending.bytes + (1 + pending.rows + rows.length + removed.length) * BYTES_PER_ROW_WRITTEN;
    for (const { record } of rows) bytes += record.length;
    return bytes;
  }

  #onFlushFailure(error: unknown): void {
    this.#onError(
      new StoreFailedError(`the trees did not take what is in the log: ${messageOf(error)}`, { cause: error }),
    );
  }

  /** LMDB reports a write cut short by a full disk as a failed one. */
  #failureOf(error: unknown): Error {
    // That a disk is full says that nothing was kept, so doubt goes before it.
    const isDoubtful = this.#logged.hasDoubtfulTail;
    if (!isDoubtful && this.#isFull(error)) return new StoreFullError('the disk is full', { cause: error });
    return new StoreFailedError(`a commit failed: ${messageOf(error)}`, { cause: error, isDoubtful });
  }

  #isFull(error: unknown): boolean {
    if (FULL_CODES.has((error as { code?: unknown }).code)) return true;
    try {
      return !this.#space.hasRoomFor(0);
    } catch {
      return false;
    }
  }
}

/** ENOSPC, EDQUOT and MDB_MAP_FULL as LMDB gives them, and as Node does. */
const FULL_CODES: ReadonlySet<unknown> = new Set([28, 122, -30792, 'ENOSPC', 'EDQUOT']);

const EMPTY_PAGE: RowPage = { rows: [], isComplete: true };

function page(source: Iterable<StoredRow>, { rowsMax, bytesMax }: PageLimits): RowPage {
  const rows: StoredRow[] = [];
  let bytes = 0;
  for (const row of source) {
    if (rows.length > 0 && (rows.length >= rowsMax || bytes >= bytesMax)) return { rows, isComplete: false };
    rows.push(row);
    bytes += row.key.length + row.record.length;
  }
  return { rows, isComplete: true };
}

function closed(): StoreFailedError {
  return new StoreFailedError('the store is closed');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
