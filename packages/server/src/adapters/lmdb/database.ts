import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import * as lmdb from 'lmdb';
import type { FollowPosition, StoredRow } from '../../ports/store.ts';
import type { StoreState } from '../flush.ts';
import { CopyPool } from './copy-pool.ts';
import { DataFileLength } from './data-file.ts';
import { IndexSweep } from './index-sweep.ts';
import {
  KEY_BYTES_MAX,
  type KeyCodec,
  readSequence,
  SEQUENCE_BYTES,
  SEQUENCE_KEYS,
  TEXT_KEYS,
  writeSequence,
  writeText,
} from './key-codec.ts';
import { ValueArena } from './value-arena.ts';

/** History: 1, the first; 2, with a log before the trees (`logNumber` is the last commit of it that they hold), and namespaces in registers. */
const FORMAT = 2;
const STATE_KEY = 'state';
const POSITION_PREFIX = 'position/';
const NOTE_PREFIX = 'note/';

/** Address space, not memory or disk: the map grows by itself, this spares it growing in steps from 128 KiB. */
const MAP_BYTES = 1024 * 1024 * 1024;

/** Pages that a transaction may take for each row it touches, and for itself, beside those of the record: more than it ever does. */
const PAGES_PER_ROW = 8;
const PAGES_PER_BATCH = 256;

/** One row as it is kept: 8 bytes of sequence, then the record. */
export interface Row {
  readonly sequence: Sequence;
  readonly record: Uint8Array;
}

/** What the trees take in one transaction. */
export interface TreeBatch {
  readonly rows: readonly StoredRow[];
  readonly removed: readonly RecordKey[];
  /** Rows of the index that stand no longer: their keys moved to another row or were removed. */
  readonly staleRows: readonly Sequence[];
  /** All of the log up to `logNumber` is in the trees with this batch. */
  readonly state?: { readonly before: StoreState; readonly after: StoreState; readonly logNumber: number };
}

/**
 * LMDB's B+ trees: `records` by key and `index` by sequence. What is kept beside them stands in the root, whose page each
 * commit writes anyway, because it names the trees.
 */
export class Database {
  readonly #root: lmdb.RootDatabase<Buffer, string>;
  readonly #records: lmdb.Database<Buffer, string>;
  readonly #index: lmdb.Database<Buffer, number>;
  readonly #arena = new ValueArena();
  readonly #copies = new CopyPool();
  readonly #sweep: IndexSweep;
  readonly #length: DataFileLength;
  #logSalt: number | undefined;
  #logBytes: number | undefined;

  /** @throws what LMDB fails with */
  constructor(path: string) {
    this.#root = lmdb.open<Buffer, string>({
      path,
      noSubdir: false,
      mapSize: MAP_BYTES,
      maxDbs: 2,
      maxReaders: 32,
      encoding: 'binary',
      keyEncoder: TEXT_KEYS,
      // What was written must not be readable before it is durable, nor after a failed sync.
      overlappingSync: false,
      // With one `batch` a flush it would only add a turn, and a rejection that nobody can catch.
      eventTurnBatching: false,
    });
    try {
      this.#records = this.#root.openDB<Buffer, string>(tree('records', TEXT_KEYS));
      this.#index = this.#root.openDB<Buffer, number>(tree('index', SEQUENCE_KEYS));
      this.#length = new DataFileLength(path);
    } catch (error) {
      void this.#root.close();
      throw error;
    }
    this.#sweep = new IndexSweep({
      counts: () => ({ live: entriesOf(this.#records), all: entriesOf(this.#index) }),
      rowsAfter: (after) => this.#index.getRange({ start: after + 1, end: Number.MAX_SAFE_INTEGER }),
      sequenceOf: (key) => this.read(key)?.sequence,
    });
  }

  /** LMDB gives up its whole environment, reads too, where it could not write the page that makes a commit valid. */
  get isUsable(): boolean {
    try {
      // In a snapshot from before the failure a read succeeds, and the next commit would never end.
      this.#root.resetReadTxn();
      this.#root.getBinary(STATE_KEY);
      return true;
    } catch {
      return false;
    }
  }

  read(key: RecordKey): Row | undefined {
    const value = this.#records.getBinaryFast(key) as (Buffer & { readonly isGlobal?: boolean }) | undefined;
    if (!value) return undefined;
    if (!value.isGlobal) return rowOf(this.#records.getBinary(key) as Buffer);
    // One buffer that all reads share, as long as the longest: what is in it is copied before the next read.
    const { lastSize } = this.#records as unknown as { readonly lastSize: number };
    const sequence = readSequence(value, 0) as Sequence;
    return { sequence, record: this.#copies.take(value, SEQUENCE_BYTES, lastSize) };
  }

  *rowsByKey(from: RecordKey, to: RecordKey): Generator<Row & { readonly key: RecordKey }> {
    for (const { key, value } of this.#records.getRange({ start: from, end: to })) {
      const { sequence, record } = rowOf(value);
      yield { key: key as RecordKey, sequence, record };
    }
  }

  /** Rows whose keys have moved on to later ones, or were removed, are still in the index until the sweep takes them: they are passed over. */
  *rowsAfter(after: Sequence): Generator<Row & { readonly key: RecordKey }> {
    for (const { key: sequence, value } of this.#index.getRange({ start: after + 1, end: Number.MAX_SAFE_INTEGER })) {
      const key = value.toString('utf8') as RecordKey;
      const row = this.read(key);
      if (row?.sequence === sequence) yield { key, sequence: row.sequence, record: row.record };
    }
  }

  /** `undefined` for a store that was never written. @throws UnknownFormat */
  state(): TreeState | undefined {
    const bytes = this.#root.getBinary(STATE_KEY);
    if (!bytes) return undefined;
    const { format, id, sequence, logNumber, logSalt, logBytes } = parse(bytes) as Head;
    if (format !== FORMAT) throw new UnknownFormat(`format ${format}`);
    const positions = new Map<StoreId, FollowPosition>();
    const notes = new Map<string, string>();
    for (const [name, value] of this.#named(POSITION_PREFIX))
      positions.set(name as StoreId, parse(value) as FollowPosition);
    for (const [name, value] of this.#named(NOTE_PREFIX)) notes.set(name, value.toString('utf8'));
    this.#logSalt = logSalt;
    this.#logBytes = logBytes;
    return { state: { id, sequence, positions, notes }, logNumber, logSalt, logBytes };
  }

  *#named(prefix: string): Generator<[name: string, value: Buffer]> {
    for (const { key, value } of this.#root.getRange({ start: prefix, end: `${prefix}\u{10ffff}` })) {
      yield [key.slice(prefix.length), value];
    }
  }

  /** What the trees hold beside positions and notes, with the salt of their log and its least length. Durable when it returns. */
  putHead(state: StoreState, logNumber: number, logSalt: number | undefined, logBytes?: number): void {
    this.#logSalt = logSalt;
    this.#logBytes = logBytes;
    this.#root.transactionSync(() => void this.#root.put(STATE_KEY, this.#headBytes(state, logNumber)));
  }

  #headBytes({ id, sequence }: StoreState, logNumber: number): Buffer {
    const log = { logNumber, logSalt: this.#logSalt, logBytes: this.#logBytes };
    return jsonBytes({ format: FORMAT, id, sequence, ...log } satisfies Head);
  }

  /**
   * One transaction; durable, and only then readable, when it resolves.
   * @throws what LMDB failed with
   */
  async commit(batch: TreeBatch): Promise<void> {
    const swept = this.#sweep.next(batch.rows.length);
    try {
      await this.#length.reach(this.#bytesAtMost(batch, swept.length));
      await this.#root.batch(() => this.#write(batch, swept));
      this.#sweep.remember(batch.staleRows);
    } catch (error) {
      throw await causeOf(error);
    } finally {
      this.#arena.reset();
    }
  }

  /** The length that the data file may come to need with a batch. */
  #bytesAtMost({ rows, removed }: TreeBatch, swept: number): number {
    const { lastPageNumber, root } = statsOf(this.#records);
    const pages = lastPageNumber + PAGES_PER_BATCH + (rows.length + removed.length + swept) * PAGES_PER_ROW;
    return rows.reduce((bytes, { record }) => bytes + record.length, pages * root.pageSize);
  }

  /** Nothing in here may throw: what was put before would be committed alone. */
  #write({ rows, removed, state }: TreeBatch, swept: readonly number[]): void {
    for (const { key, sequence, record } of rows) {
      const value = this.#arena.take(SEQUENCE_BYTES + record.length);
      writeSequence(sequence, value, 0);
      value.set(record, SEQUENCE_BYTES);
      void this.#records.put(key, value);
      void this.#index.put(sequence, this.#textBytes(key));
    }
    for (const key of removed) void this.#records.remove(key);
    for (const sequence of swept) void this.#index.remove(sequence);
    if (state) this.#writeState(state);
  }

  #textBytes(key: string): Buffer {
    const room = this.#arena.take(Math.min(key.length * 3, KEY_BYTES_MAX));
    return room.subarray(0, writeText(key, room, 0));
  }

  #writeState({ before, after, logNumber }: NonNullable<TreeBatch['state']>): void {
    void this.#root.put(STATE_KEY, this.#headBytes(after, logNumber));
    if (after.positions !== before.positions) {
      for (const [origin, position] of after.positions) {
        if (before.positions.get(origin) !== position)
          void this.#root.put(POSITION_PREFIX + origin, jsonBytes(position));
      }
      for (const origin of before.positions.keys()) {
        if (!after.positions.has(origin)) void this.#root.remove(POSITION_PREFIX + origin);
      }
    }
    if (after.notes === before.notes) return;
    for (const [name, text] of after.notes) {
      if (before.notes.get(name) !== text) void this.#root.put(NOTE_PREFIX + name, Buffer.from(text));
    }
  }

  /** Rows of the index, stale ones among them. */
  get indexRows(): number {
    return entriesOf(this.#index);
  }

  figures(): { records: number; bytesUsed: number } {
    const stats = statsOf(this.#records);
    return { records: stats.entryCount, bytesUsed: (stats.lastPageNumber + 1) * stats.root.pageSize };
  }

  async close(): Promise<void> {
    try {
      await this.#root.close();
    } finally {
      this.#length.close();
    }
  }
}

/** The part of what `getStats` gives that is used here; its type declares nothing. */
interface TreeStats {
  readonly entryCount: number;
  readonly lastPageNumber: number;
  readonly root: { readonly pageSize: number };
}

function statsOf(database: { getStats(): object }): TreeStats {
  return database.getStats() as TreeStats;
}

function entriesOf(database: { getStats(): object }): number {
  return statsOf(database).entryCount;
}

export class UnknownFormat extends Error {
  override readonly name = 'UnknownFormat';
}

function tree<Key>(name: string, keyEncoder: KeyCodec<Key>): lmdb.RootDatabaseOptions & { name: string } {
  return { name, keyEncoder, encoding: 'binary' };
}

function rowOf(value: Buffer): Row {
  const sequence = readSequence(value, 0) as Sequence;
  const record = new Uint8Array(value.buffer, value.byteOffset + SEQUENCE_BYTES, value.length - SEQUENCE_BYTES);
  return { sequence, record };
}

interface Head {
  readonly format: number;
  readonly id: StoreId;
  readonly sequence: Sequence;
  readonly logNumber: number;
  readonly logSalt?: number | undefined;
  readonly logBytes?: number | undefined;
}

/** What the trees hold beside the records. */
export interface TreeState {
  readonly state: StoreState;
  /** The last commit of the log that they hold. */
  readonly logNumber: number;
  /** Of the log's entries; `undefined` for a store from before there was one: that of its entries is 0. */
  readonly logSalt: number | undefined;
  /** What each file of the log has at least; `undefined` for a store from before that was kept. */
  readonly logBytes: number | undefined;
}

function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function parse(bytes: Buffer): unknown {
  return JSON.parse(bytes.toString('utf8'));
}

/** `lmdb` rejects with an error whose `commitError` is a promise that is rejected with the cause. */
async function causeOf(error: unknown): Promise<unknown> {
  const cause = (error as { commitError?: Promise<never> }).commitError;
  if (cause === undefined) return error;
  try {
    return await cause;
  } catch (found) {
    return found;
  }
}
