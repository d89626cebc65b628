import type { Operation } from './operation.ts';

interface Effort {
  /** Places that were tried. */
  readonly steps: number;
}

export interface Linearizable extends Effort {
  readonly verdict: 'linearizable';
  /** A sequential order that explains everything. Open operations that are not in it have not taken effect. */
  readonly order: readonly Operation[];
}

/** How far the best attempt came. */
export interface Progress {
  /** How many operations were placed, and the last of them, in their order. */
  readonly placed: number;
  readonly tail: readonly Operation[];
  /** What the key holds after them, as the model shows it. */
  readonly state: string;
  /** Of these one must come next, and none can. The first of them is the one whose answer came first. */
  readonly stuck: readonly Operation[];
  /** Those whose outcome is not known, and that were not placed. */
  readonly open: readonly Operation[];
}

export interface Violated extends Effort, Progress {
  readonly verdict: 'violated';
}

/** Neither shown nor refuted. Never to be taken for a pass. */
export interface Undecided extends Effort, Progress {
  readonly verdict: 'undecided';
}

export type Verdict = Linearizable | Violated | Undecided;
