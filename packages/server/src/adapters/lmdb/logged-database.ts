import { compareKeys, type RecordKey, type Sequence } from '@meridian/core/ids';
import type { FlushChanges, StoreState } from '../flush.ts';
import { type CommitLog, SEGMENT_BYTES } from './commit-log.ts';
import type { Database, Row, TreeBatch } from './database.ts';
import { type LogEntry, LogEntryWriter, stateAfter } from './log-entry.ts';
import { type PendingRow, PendingRows } from './pending-rows.ts';

/** When a segment's turn ends. */
export interface TurnLimits {
  /** Rows: to sort and hand over more would be felt by the requests that wait meanwhile. */
  readonly rowsMax: number;
  readonly segmentBytes: number;
}

export const TURN_LIMITS: TurnLimits = { rowsMax: 8_192, segmentBytes: SEGMENT_BYTES };
/** A segment's turn ends before a commit of usual size would no longer fit into its room: a 32nd of it. */
const SEGMENT_SHARE_USED = 31 / 32;
/** Pages that a put may touch: those of its record, its index row and the row it leaves, and the way down to them. */
export const BYTES_PER_ROW_WRITTEN = 4 * 4096;
/** How many times over a segment's turn may go on while the trees are slow to take the one before. Then commits wait. */
const OVERDUE_MAX = 4;
/** Rows that go to the trees in one transaction: some 2 ms of the event loop. */
const ROWS_PER_BATCH = 512;
const BYTES_PER_BATCH = 2 * 1024 * 1024;

/** Whether the disk has room for so many bytes. LMDB must not meet a full one, and what it leaves must do for the next opening. */
export type RoomCheck = (bytes: number) => boolean;

export interface LoggedDatabaseParts {
  readonly database: Database;
  /** Opens the trees anew, after they were closed. */
  readonly reopen: () => Promise<Database>;
  readonly log: CommitLog;
  /** That of the trees, which hold all that is in the log. */
  readonly state: StoreState;
  readonly limits: TurnLimits;
  readonly hasRoomFor: RoomCheck;
  readonly onFlushFailure: (error: unknown) => void;
}

type KeyedRow = Row & { readonly key: RecordKey };

/**
 * The trees with a log before them. A commit is durable once it is in the log, and visible from then on out of memory;
 * the trees take what a whole segment has gathered, ordered by key, so that rows that share a page go with one write of it.
 * A start after a crash takes from the log what the trees lack.
 */
export class LoggedDatabase {
  #database: Database;
  readonly #reopen: () => Promise<Database>;
  readonly #log: CommitLog;
  readonly #writer: LogEntryWriter;
  readonly #limits: TurnLimits;
  readonly #hasRoomFor: RoomCheck;
  readonly #onFlushFailure: (error: unknown) => void;
  /** What the active segment holds. */
  #active: PendingRows;
  /** What the other one holds, while the trees take it. */
  #leaving: { readonly rows: PendingRows; readonly logNumber: number } | undefined;
  /** Keys in the trees, as of the last segment they took: LMDB's own count moves while they take one. */
  #keysInTrees: number;
  #flushing: Promise<void> | undefined;
  #flushFailure: unknown;
  /** Whether the trees had to be closed, and are not open again yet. */
  #isDown = false;

  constructor({ database, reopen, log, state, limits, hasRoomFor, onFlushFailure }: LoggedDatabaseParts) {
    this.#database = database;
    this.#reopen = reopen;
    this.#log = log;
    this.#writer = new LogEntryWriter(log.salt);
    this.#active = new PendingRows(state);
    this.#keysInTrees = database.figures().records;
    this.#limits = limits;
    this.#hasRoomFor = hasRoomFor;
    this.#onFlushFailure = onFlushFailure;
  }

  /** Of what is visible. */
  get sequence(): Sequence {
    return this.#active.after.sequence;
  }

  /** Whether a commit that failed might be found by the next opening all the same. */
  get hasDoubtfulTail(): boolean {
    return this.#log.hasDoubtfulTail;
  }

  /** What the trees still have to take: the disk must keep room for it. */
  get pending(): { readonly rows: number; readonly bytes: number } {
    const rows = this.#active.rowsTaken + (this.#leaving?.rows.rowsTaken ?? 0);
    return { rows, bytes: this.#active.recordBytes + (this.#leaving?.rows.recordBytes ?? 0) };
  }

  read(key: RecordKey): Row | undefined {
    const row = this.#pendingRow(key);
    if (row === undefined) return this.#trees.read(key);
    return row.record && { sequence: row.sequence, record: row.record };
  }

  /** For reads. LMDB that is asked while it is being closed throws once more from a timer, where nobody can catch it. */
  get #trees(): Database {
    if (this.#isDown) throw new Error('the trees are closed, because they failed');
    return this.#database;
  }

  #pendingRow(key: RecordKey): PendingRow | undefined {
    return this.#active.get(key) ?? this.#leaving?.rows.get(key);
  }

  /** One consistent view, where it is walked without a pause. */
  *rowsByKey(from: RecordKey, to: RecordKey): Generator<KeyedRow> {
    const leaving = this.#leaving?.rows.between(from, to) ?? [];
    const pending = overlaid(leaving, this.#active.between(from, to));
    for (const row of overlaid(this.#trees.rowsByKey(from, to), pending)) if (row.record) yield row as KeyedRow;
  }

  /** Likewise. */
  *rowsAfter(after: Sequence): Generator<KeyedRow> {
    const inTrees = (this.#leaving?.rows ?? this.#active).before.sequence;
    if (after < inTrees) {
      for (const row of this.#trees.rowsAfter(after)) if (this.#pendingRow(row.key) === undefined) yield row;
    }
    if (this.#leaving) {
      for (const row of this.#leaving.rows.rowsAfter(after))
        if (this.#active.get(row.key) === undefined) yield row as KeyedRow;
    }
    yield* this.#active.rowsAfter(after) as Generator<KeyedRow>;
  }

  figures(): { records: number; bytesUsed: number } {
    const records = this.#keysInTrees + (this.#leaving?.rows.keysAdded ?? 0) + this.#active.keysAdded;
    return { records, bytesUsed: this.#trees.figures().bytesUsed + this.#log.bytesOnDisk };
  }

  /**
   * Durable, and only then visible, when it resolves.
   * @throws what the disk failed with; then it is not visible, and gone unless `hasDoubtfulTail`
   */
  async commit(changes: FlushChanges): Promise<void> {
    if (this.#isOver(OVERDUE_MAX)) await this.#catchUp();
    await this.#log.append(this.#writer.encode(this.#log.number + 1, changes));
    this.#active.take(changes);
    if (this.#isOver(1) && !this.#flushing) this.#startFlush();
  }

  #isOver(turns: number): boolean {
    const { rowsMax, segmentBytes } = this.#limits;
    return this.#active.rowsTaken >= rowsMax * turns || this.#log.used >= segmentBytes * turns * SEGMENT_SHARE_USED;
  }

  /** The trees are behind by more than memory shall hold. @throws what keeps them from taking it */
  async #catchUp(): Promise<void> {
    await this.#flushOnce();
    if (this.#flushFailure !== undefined) throw this.#flushFailure;
  }

  /** Waits for the flush that is under way, or for a new one. @throws where the log is not fit for a turn */
  async #flushOnce(): Promise<void> {
    if (!this.#flushing) {
      if (!this.#leaving) await this.#log.settle();
      this.#startFlush();
    }
    await this.#flushing;
  }

  /** The trees take what they can of what is pending, before its turn. What fails stays where it is. */
  async drain(): Promise<void> {
    try {
      const rows = Math.min(this.pending.rows, ROWS_PER_BATCH);
      if (!this.#hasRoomFor(rows * BYTES_PER_ROW_WRITTEN)) return;
      for (let turn = 0; turn < 2 && (this.#leaving || !this.#active.isEmpty); turn++) await this.#flushOnce();
    } catch (error) {
      this.#onFlushFailure(error);
    }
  }

  #startFlush(): void {
    if (!this.#leaving) {
      this.#leaving = { rows: this.#active, logNumber: this.#log.number };
      this.#active = new PendingRows(this.#active.after);
      this.#log.turn();
    }
    this.#flushing = this.#flush(this.#leaving).then(
      () => {
        this.#keysInTrees += this.#leaving?.rows.keysAdded ?? 0;
        this.#leaving = undefined;
        this.#flushFailure = undefined;
        this.#flushing = undefined;
      },
      (error: unknown) => this.#afterFailure(error),
    );
  }

  /** Nothing is lost: it is in the log, and read from memory. The next commit tries again. */
  async #afterFailure(error: unknown): Promise<void> {
    // It may be tried with every request, and is told once.
    if (String(error) !== String(this.#flushFailure)) this.#onFlushFailure(error);
    this.#flushFailure = error;
    try {
      if (!this.#isDown && !this.#database.isUsable) {
        this.#isDown = true;
        await this.#database.close();
        await this.#bringUp();
      }
    } catch (failure) {
      this.#flushFailure = failure;
      this.#onFlushFailure(failure);
    }
    this.#flushing = undefined;
  }

  async #bringUp(): Promise<void> {
    if (!this.#isDown) return;
    this.#database = await this.#reopen();
    this.#isDown = false;
  }

  /** After a read that failed: where the trees are closed no commit gets as far as to try again, because each reads before. */
  recover(): void {
    if (this.#isDown && !this.#flushing) this.#startFlush();
  }

  async #flush({ rows, logNumber }: { readonly rows: PendingRows; readonly logNumber: number }): Promise<void> {
    await this.#bringUp();
    await commitAll(this.#database, rows, logNumber, this.#hasRoomFor);
    await this.#log.trim(this.#limits.segmentBytes);
  }

  /** Brings the trees up to all that was committed, then lets go of both. What fails is in the log for the next opening. */
  async close(): Promise<void> {
    await this.#flushing;
    await this.drain();
    await this.#log.close();
    if (!this.#isDown) await this.#database.close();
  }
}

const NOTHING: TreeBatch = { rows: [], removed: [], staleRows: [] };

/** Each batch alone, then the state, which says that all of them are there. @throws NoRoomForTrees, or what LMDB failed with */
async function commitAll(
  database: Database,
  rows: PendingRows,
  logNumber: number,
  hasRoomFor: RoomCheck,
): Promise<void> {
  for (const batch of batchesOf(rows.sorted())) {
    const bytes = bytesToWrite(batch);
    if (!hasRoomFor(bytes)) throw new NoRoomForTrees(bytes);
    await database.commit(batch);
  }
  await database.commit({ ...NOTHING, state: { before: rows.before, after: rows.after, logNumber } });
}

function bytesToWrite({ rows, removed }: TreeBatch): number {
  let bytes = (1 + rows.length + removed.length) * BYTES_PER_ROW_WRITTEN;
  for (const { record } of rows) bytes += record.length;
  return bytes;
}

class NoRoomForTrees extends Error {
  override readonly name = 'NoRoomForTrees';
  readonly code = 'ENOSPC';

  constructor(bytes: number) {
    super(`the disk has too little room for the next ${bytes} bytes`);
  }
}

/** What the log holds above the trees goes into them. Gives the state they have then. */
export async function replayLog(
  database: Database,
  log: CommitLog,
  state: StoreState,
  entries: readonly LogEntry[],
  hasRoomFor: RoomCheck,
): Promise<StoreState> {
  if (entries.length === 0) return state;
  const rows = new PendingRows(state);
  for (const entry of entries) {
    // A flush may have been cut off: of what it brought, the trees hold rows as young as those of the log.
    const replacing = (key: RecordKey): Sequence =>
      (rows.get(key) ? 0 : (database.read(key)?.sequence ?? 0)) as Sequence;
    rows.take({
      rows: entry.rows.map((row) => ({ ...row, replaces: replacing(row.key) })),
      removed: entry.removed.map((key) => ({ key, replaces: replacing(key) })),
      after: stateAfter(rows.after, entry),
    });
  }
  await commitAll(database, rows, log.number, hasRoomFor);
  return rows.after;
}

/** Both in the order of their keys; of a key that both have, the row of the upper one. */
function* overlaid<Lower extends { readonly key: RecordKey }, Upper extends { readonly key: RecordKey }>(
  lower: Iterable<Lower>,
  upper: Iterable<Upper>,
): Generator<Lower | Upper> {
  const uppers = upper[Symbol.iterator]();
  let next = uppers.next();
  for (const row of lower) {
    let order = next.done ? 1 : compareKeys(next.value.key, row.key);
    for (; !next.done && order < 0; order = next.done ? 1 : compareKeys(next.value.key, row.key)) {
      yield next.value;
      next = uppers.next();
    }
    if (order !== 0) yield row;
  }
  for (; !next.done; next = uppers.next()) yield next.value;
}

function* batchesOf(sorted: Iterable<PendingRow>): Generator<TreeBatch> {
  let batch = emptyBatch();
  let count = 0;
  let bytes = 0;
  for (const row of sorted) {
    if (row.record) batch.rows.push(row as KeyedRow);
    else batch.removed.push(row.key);
    if (row.replaces > 0 && !(row.record && row.replaces === row.sequence)) batch.staleRows.push(row.replaces);
    count += 1;
    bytes += row.record?.length ?? 0;
    if (count < ROWS_PER_BATCH && bytes < BYTES_PER_BATCH) continue;
    yield batch;
    batch = emptyBatch();
    count = 0;
    bytes = 0;
  }
  if (count > 0) yield batch;
}

function emptyBatch(): { rows: KeyedRow[]; removed: RecordKey[]; staleRows: Sequence[] } {
  return { rows: [], removed: [], staleRows: [] };
}
