import type { Sequence } from '@meridian/core/ids';

const CHECKPOINTS_MAX = 2048;

/** When sequences were committed, coarsely and in bounded memory: enough to tell the age of the first that a peer lacks. */
export class CommitTimes {
  #checkpoints: { readonly upTo: Sequence; readonly atMs: number }[];

  constructor(sequence: Sequence, atMs: number) {
    this.#checkpoints = [{ upTo: sequence, atMs }];
  }

  add(upTo: Sequence, atMs: number): void {
    this.#checkpoints.push({ upTo, atMs });
    if (this.#checkpoints.length <= CHECKPOINTS_MAX) return;
    // The older a gap, the coarser it may be told: every other checkpoint of the older half goes.
    const half = CHECKPOINTS_MAX / 2;
    this.#checkpoints = this.#checkpoints.filter((_checkpoint, at) => at >= half || at % 2 === 0);
  }

  /** When the first sequence above this one was committed, or the earliest time known after it. */
  after(sequence: Sequence): number {
    let low = 0;
    let high = this.#checkpoints.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#checkpoints[middle]?.upTo ?? 0) > sequence) high = middle;
      else low = middle + 1;
    }
    return this.#checkpoints[low]?.atMs ?? 0;
  }
}
