import { constants } from 'node:fs';
import { access, mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { RecordKey, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { compareKeys, NO_SEQUENCE, storeIdFor, storeNameOf } from '@meridian/core/ids';
import type { Random } from '../../ports/random.ts';
import {
  type ChangesPage,
  type Commit,
  type Decide,
  type FollowPosition,
  type PageLimits,
  type RowPage,
  type Store,
  type StoredRow,
  StoreFailedError,
  type StoreFigures,
  StoreFullError,
  StoreOpenError,
} from '../../ports/store.ts';
import { type FlushChanges, GroupCommit, type StoreState } from '../group-commit.ts';
import { checkDataFile } from './data-file.ts';
import { Database, UnknownFormat } from './database.ts';
import { DiskSpace, OPEN_BYTES_MIN, RESERVE_BYTES } from './disk-space.ts';
import { isStorableKey } from './key-codec.ts';
import { lockStore, type StoreLock } from './store-lock.ts';

const ID_LENGTH = 16;
/** Pages that a put may touch: those of its record, its index row and the row it leaves, and the way down to them. */
const BYTES_PER_ROW_WRITTEN = 4 * 4096;

export interface LmdbStoreOptions {
  /** A directory; made where there is none. */
  readonly path: string;
  readonly storeName: StoreName;
  readonly random: Random;
  /** What went wrong where nobody waits for it: a listener that threw, or why commits fail. */
  readonly onError?: (error: unknown) => void;
  /** Free bytes below which writes are refused. */
  readonly reserveBytes?: number;
}

/**
 * Opens the store at `path`, or makes one.
 * @throws StoreOpenError with one line that says what is wrong
 */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<Store> {
  const { path } = options;
  await makeDirectory(path);
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
    return await openLocked(options, space, lock);
  } catch (error) {
    lock.free();
    throw error;
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
    if (!(await stat(path)).isDirectory()) throw Object.assign(new Error('not a directory'), { code: 'ENOTDIR' });
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR' || code === 'EEXIST') {
      throw new StoreOpenError('NOT_A_DIRECTORY', `${path} is not a directory, so it cannot hold a store`, error);
    }
    if (code === 'ENOSPC') throw new StoreOpenError('NO_SPACE', `the disk of ${path} is full`, error);
    throw new StoreOpenError('NOT_WRITABLE', `the directory ${path} cannot be read and written (${code})`, error);
  }
}

async function openLocked(options: LmdbStoreOptions, space: DiskSpace, lock: StoreLock): Promise<Store> {
  const { path, storeName, random } = options;
  const database = openDatabase(path);
  try {
    const found = readState(database, path);
    if (found && storeNameOf(found.id) !== storeName) {
      const owner = storeNameOf(found.id);
      throw new StoreOpenError('OTHER_STORE', `the data at ${path} belongs to the store ${owner}, not to ${storeName}`);
    }
    const state = found ?? emptyState(storeIdFor(storeName, random.id(ID_LENGTH)));
    if (!found) await create(database, state, path);
    return new LmdbStore({ ...options, database, space, lock, state, isNew: !found });
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

function readState(database: Database, path: string): StoreState | undefined {
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

/** LMDB syncs its file, but not the directories that name it. */
async function create(database: Database, state: StoreState, path: string): Promise<void> {
  database.create(state);
  for (const directory of [path, dirname(path)]) {
    const handle = await open(directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

interface LmdbStoreParts extends LmdbStoreOptions {
  readonly database: Database;
  readonly space: DiskSpace;
  readonly lock: StoreLock;
  readonly state: StoreState;
  readonly isNew: boolean;
}

/** The embedded store. Reads are synchronous underneath: LMDB maps its file, so a read is a walk through memory. */
class LmdbStore implements Store {
  readonly isNew: boolean;
  readonly #storeName: StoreName;
  readonly #random: Random;
  readonly #path: string;
  readonly #onError: (error: unknown) => void;
  readonly #space: DiskSpace;
  readonly #lock: StoreLock;
  readonly #group: GroupCommit;
  #database: Database;
  #closing: Promise<void> | undefined;
  /** Set once this store can no longer say what is durable. */
  #lost: StoreFailedError | undefined;

  constructor(parts: LmdbStoreParts) {
    this.isNew = parts.isNew;
    this.#storeName = parts.storeName;
    this.#random = parts.random;
    this.#path = parts.path;
    this.#onError = parts.onError ?? (() => undefined);
    this.#space = parts.space;
    this.#lock = parts.lock;
    this.#database = parts.database;
    this.#group = new GroupCommit({
      target: {
        read: (key) => this.#sound(() => this.#database.read(key)),
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
    return this.#read(() => this.#database.read(key)?.record);
  }

  update<Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result> {
    for (const key of keys) {
      if (!isStorableKey(key)) return Promise.reject(new RangeError('a record key is empty or too long to be stored'));
    }
    return this.#group.update(keys, decide);
  }

  scan(from: RecordKey, to: RecordKey, limits: PageLimits): Promise<RowPage> {
    return this.#read(() =>
      compareKeys(from, to) < 0 ? page(this.#database.rowsByKey(from, to), limits) : EMPTY_PAGE,
    );
  }

  changes(after: Sequence, limits: PageLimits): Promise<ChangesPage> {
    return this.#read(() => {
      // All reads of one tick share a view.
      const { rows, isComplete } = page(this.#database.rowsAfter(after), limits);
      const last = rows[rows.length - 1]?.sequence ?? after;
      return { rows, isComplete, upTo: isComplete ? (this.#database.head()?.sequence ?? last) : last };
    });
  }

  renewId(): Promise<void> {
    return this.#group.renewId(storeIdFor(this.#storeName, this.#random.id(ID_LENGTH)));
  }

  forgetPositions(): Promise<void> {
    return this.#group.forgetPositions();
  }

  note(name: string): string | undefined {
    return this.#group.state.notes.get(name);
  }

  setNote(name: string, text: string): Promise<void> {
    return this.#group.setNote(name, text);
  }

  figures(): Promise<StoreFigures> {
    return this.#read(() => ({ engine: 'lmdb', ...this.#database.figures(), bytesFree: this.#space.bytesFree() }));
  }

  onCommit(listener: (commit: Commit) => void): void {
    this.#group.onCommit(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#group
      .close()
      .then(() => this.#database.close())
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
    if (this.#lost) throw this.#lost;
    try {
      return read();
    } catch (error) {
      throw new StoreFailedError(messageOf(error), { cause: error });
    }
  }

  async #commit(changes: FlushChanges): Promise<void> {
    if (this.#lost) throw this.#lost;
    if (!this.#space.hasRoomFor(bytesOf(changes))) throw new StoreFullError('too little space is left on the disk');
    try {
      await this.#database.commit(changes);
    } catch (error) {
      this.#onError(error);
      if (!this.#database.isUsable) await this.#reopen(changes.before);
      throw this.#failureOf(error);
    }
  }

  /**
   * Goes on with what is on disk. Where that is not what was last acknowledged, nobody knows whether the failed commit
   * is durable: all calls fail until the store is opened anew, and then it stands.
   */
  async #reopen({ id, sequence }: StoreState): Promise<void> {
    try {
      await this.#database.close();
      await checkDataFile(this.#path);
      this.#database = new Database(this.#path);
      const head = this.#database.head();
      if (head?.id === id && head.sequence === sequence) return;
      this.#lost = new StoreFailedError('a commit failed half-way; the store must be opened anew');
    } catch (error) {
      this.#lost = new StoreFailedError(`the store failed and cannot be opened anew: ${messageOf(error)}`, {
        cause: error,
      });
    }
    this.#onError(this.#lost);
  }

  /** LMDB reports a write cut short by a full disk as a failed one. */
  #failureOf(error: unknown): Error {
    const isFull = FULL_CODES.has((error as { code?: unknown }).code) || !this.#space.hasRoomFor(0);
    if (isFull) return new StoreFullError('the disk is full', { cause: error });
    return new StoreFailedError(`a commit failed: ${messageOf(error)}`, { cause: error });
  }
}

/** ENOSPC, EDQUOT and MDB_MAP_FULL as LMDB gives them. */
const FULL_CODES: ReadonlySet<unknown> = new Set([28, 122, -30792]);

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

function bytesOf({ rows, removed }: FlushChanges): number {
  let bytes = (1 + rows.length + removed.length) * BYTES_PER_ROW_WRITTEN;
  for (const { record } of rows) bytes += record.length;
  return bytes;
}

function closed(): StoreFailedError {
  return new StoreFailedError('the store is closed');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
