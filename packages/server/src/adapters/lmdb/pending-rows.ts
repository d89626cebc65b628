import type { RecordKey, Sequence } from '@meridian/core/ids';
import type { FlushChanges, StoreState } from '../flush.ts';
import { KeyFilter } from './key-filter.ts';
import { SortedKeys } from './sorted-keys.ts';

/** A row that is durable in the log and not yet in the trees. */
export interface PendingRow {
  readonly key: RecordKey;
  readonly sequence: Sequence;
  /** `undefined` where the key was removed. */
  readonly record: Uint8Array | undefined;
  /** The row that this one replaces in the trees, once those before have reached them; 0 for none. */
  readonly replaces: Sequence;
}

/** The rows of one log segment, by key and in the order of their sequences. */
export class PendingRows {
  readonly #byKey = new Map<RecordKey, PendingRow>();
  readonly #keys = new SortedKeys();
  readonly #filter = new KeyFilter();
  /** As they came: those that were replaced since stand there too. */
  readonly #inOrder: PendingRow[] = [];
  /** The state before the first of them. */
  readonly before: StoreState;
  #after: StoreState;
  #taken = 0;
  #recordBytes = 0;
  #added = 0;

  constructor(before: StoreState) {
    this.before = before;
    this.#after = before;
  }

  /** The state after the last of them. */
  get after(): StoreState {
    return this.#after;
  }

  get isEmpty(): boolean {
    return this.#after === this.before && this.#byKey.size === 0;
  }

  /** Rows taken in, removals too, and the bytes of their records: what this holds in memory. */
  get rowsTaken(): number {
    return this.#taken;
  }

  get recordBytes(): number {
    return this.#recordBytes;
  }

  /** Keys that there were not before, less those that there are no more. */
  get keysAdded(): number {
    return this.#added;
  }

  get(key: RecordKey): PendingRow | undefined {
    return this.#filter.mayHold(key) ? this.#byKey.get(key) : undefined;
  }

  take({ rows, removed, after }: Pick<FlushChanges, 'rows' | 'removed' | 'after'>): void {
    for (const { key, sequence, record, replaces } of rows) {
      this.#inOrder.push(this.#put({ key, sequence, record, replaces }));
      this.#recordBytes += record.length;
    }
    for (const { key, replaces } of removed) this.#put({ key, sequence: replaces, record: undefined, replaces });
    this.#taken += rows.length + removed.length;
    this.#after = after;
  }

  /** Gives the row as it stands now. */
  #put(row: PendingRow): PendingRow {
    const before = this.#byKey.get(row.key);
    const put = before ? { ...row, replaces: before.replaces } : row;
    const existed = before ? before.record !== undefined : row.replaces > 0;
    this.#added += (row.record ? 1 : 0) - (existed ? 1 : 0);
    this.#byKey.set(row.key, put);
    if (before) return put;
    this.#keys.add(row.key);
    this.#filter.add(row.key);
    return put;
  }

  /** Each key once, ordered by the bytes of the keys. None is taken in while they are walked. */
  sorted(): Generator<PendingRow> {
    return this.#rowsOf(this.#keys.all());
  }

  /** Likewise, with `from <= key < to`. */
  between(from: RecordKey, to: RecordKey): Generator<PendingRow> {
    return this.#rowsOf(this.#keys.between(from, to));
  }

  *#rowsOf(keys: Iterable<RecordKey>): Generator<PendingRow> {
    for (const key of keys) yield this.#byKey.get(key) as PendingRow;
  }

  /** Rows above a sequence, in order, each key at its latest. */
  *rowsAfter(after: Sequence): Generator<PendingRow> {
    for (let at = this.#firstAfter(after); at < this.#inOrder.length; at++) {
      const row = this.#inOrder[at] as PendingRow;
      if (this.#byKey.get(row.key) === row) yield row;
    }
  }

  #firstAfter(after: Sequence): number {
    let low = 0;
    let high = this.#inOrder.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#inOrder[middle] as PendingRow).sequence > after) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
