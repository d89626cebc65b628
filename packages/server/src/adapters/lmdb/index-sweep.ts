import type { RecordKey, Sequence } from '@meridian/core/ids';

/** Stale rows that are remembered before they are taken out together: of a store's keys, and in all (512 KiB of numbers). */
const REMEMBERED_MIN = 4_096;
const REMEMBERED_SHARE = 1 / 16;
const REMEMBERED_MAX = 65_536;
/** Rows that one commit takes out; the next goes on. */
const REMOVED_MAX = 1_024;
/** Stale rows that nobody remembers, from before the last start: let be, beside half as many as there are live ones. */
const FORGOTTEN_MIN = 10_000;
/** How many rows are written between two looks for them, and looked at by each commit once there are many. */
const WRITES_BETWEEN_LOOKS = 10_000;
const LOOKED_AT_MAX = 512;

export interface SweptIndex {
  /** How many keys there are, and how many rows the index has for them. */
  counts(): { readonly live: number; readonly all: number };
  rowsAfter(sequence: number): Iterable<{ readonly key: number; readonly value: Buffer }>;
  sequenceOf(key: RecordKey): Sequence | undefined;
}

/**
 * Takes the rows out of the index whose keys have moved on. To remove each as its key moves would touch a page somewhere in
 * the index for every write, and a commit writes whole pages: half of all that it wrote. So they are remembered, and go
 * many at a time, in order: those that share a page go with one write of it. What a restart forgets is found by looking
 * through the index, when there is enough of it. A reader passes stale rows over; there are never more than about one for
 * every two keys.
 */
export class IndexSweep {
  readonly #index: SweptIndex;
  #remembered: number[] = [];
  #leaving: number[] = [];
  #threshold = REMEMBERED_MIN;
  #writesSinceLook = WRITES_BETWEEN_LOOKS;
  #lookingAt: number | undefined;

  constructor(index: SweptIndex) {
    this.#index = index;
  }

  /** Rows to remove with a commit that writes so many. Where it fails they are forgotten, and found again some day. */
  next(writes: number): readonly number[] {
    return this.#leaving.length > 0 ? this.#leaving.splice(-REMOVED_MAX) : this.#look(writes);
  }

  /** Rows that a commit has left behind. Only once it is durable: had it failed, they would still be the rows of their keys. */
  remember(stale: readonly number[]): void {
    for (const sequence of stale) this.#remembered.push(sequence);
    if (this.#remembered.length >= this.#threshold && this.#leaving.length === 0) this.#turn();
  }

  #turn(): void {
    this.#leaving = this.#remembered.sort((left, right) => right - left);
    this.#remembered = [];
    const share = Math.floor(this.#index.counts().live * REMEMBERED_SHARE);
    this.#threshold = Math.min(REMEMBERED_MAX, Math.max(REMEMBERED_MIN, share));
  }

  #look(writes: number): readonly number[] {
    this.#writesSinceLook += writes;
    if (this.#lookingAt === undefined) {
      if (this.#writesSinceLook < WRITES_BETWEEN_LOOKS) return [];
      this.#writesSinceLook = 0;
      const { live, all } = this.#index.counts();
      if (all - live - this.#remembered.length < FORGOTTEN_MIN + live / 2) return [];
      this.#lookingAt = 0;
    }
    let left = LOOKED_AT_MAX;
    const stale: number[] = [];
    for (const { key: sequence, value } of this.#index.rowsAfter(this.#lookingAt)) {
      if (left-- === 0) return stale;
      this.#lookingAt = sequence;
      if (this.#index.sequenceOf(value.toString('utf8') as RecordKey) !== sequence) stale.push(sequence);
    }
    this.#lookingAt = undefined;
    return stale;
  }
}
