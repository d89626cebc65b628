import type { RecordKey, Sequence } from '@meridian/core/ids';

/** Stale rows that are let be, beside half as many as there are live ones. */
const STALE_ROWS_MIN = 10_000;
/** Rows that a commit looks at while a sweep is under way: for each row it writes, so that the sweep outruns the writes, and at the least. */
const ROWS_PER_WRITE = 4;
const ROWS_MIN = 64;
const ROWS_MAX = 1_024;

export interface SweptIndex {
  /** How many keys there are, and how many rows the index has for them. */
  counts(): { readonly live: number; readonly all: number };
  rowsAfter(sequence: number): Iterable<{ readonly key: number; readonly value: Buffer }>;
  sequenceOf(key: RecordKey): Sequence | undefined;
}

/**
 * Takes the rows out of the index whose keys have moved on. To remove each as its key moves would touch a page somewhere in
 * the index for every write, and a commit writes whole pages: half of all that it wrote. The sweep comes by in order
 * instead, so that many rows of one page go at once, and only when there are enough of them: the index never has more than
 * about one and a half rows a key, and a catch-up that walks it passes over no more than that.
 */
export class IndexSweep {
  readonly #index: SweptIndex;
  #at: number | undefined;

  constructor(index: SweptIndex) {
    this.#index = index;
  }

  /** Rows to remove with a commit that writes so many. What is stale once stays so: it does not matter what the commit writes. */
  next(writes: number): readonly number[] {
    if (this.#at === undefined) {
      const { live, all } = this.#index.counts();
      if (all - live < STALE_ROWS_MIN + live / 2) return [];
      this.#at = 0;
    }
    let left = Math.min(ROWS_MAX, Math.max(ROWS_MIN, writes * ROWS_PER_WRITE));
    const stale: number[] = [];
    for (const { key: sequence, value } of this.#index.rowsAfter(this.#at)) {
      if (left-- === 0) return stale;
      this.#at = sequence;
      if (this.#index.sequenceOf(value.toString('utf8') as RecordKey) !== sequence) stale.push(sequence);
    }
    this.#at = undefined;
    return stale;
  }
}
