import type { StoreId } from '../../ids.ts';

declare const brand: unique symbol;
/**
 * One life of a proposing process, `<store id>/<random>`: fresh at every start, so that a restarted proposer, which no
 * longer knows which ballots it used, can use none of them again.
 */
export type ProposerId = string & { readonly [brand]: 'ProposerId' };

/** The rank of a proposal: by round, then by proposer. One ballot names one value, for ever. */
export interface Ballot {
  readonly round: number;
  readonly proposer: ProposerId;
}

/** Rounds fit 48 bits, so that none on the wire can push a register to the end of the numbers. */
export const ROUND_MAX = 2 ** 48 - 1;

/** Below every ballot that a proposer uses. */
export const ZERO_BALLOT: Ballot = { round: 0, proposer: '' as ProposerId };

export function proposerIdFor(store: StoreId, random: string): ProposerId {
  return `${store}/${random}` as ProposerId;
}

export function proposerStoreOf(proposer: ProposerId): StoreId {
  return proposer.slice(0, proposer.lastIndexOf('/')) as StoreId;
}

export function compareBallots(left: Ballot, right: Ballot): number {
  if (left.round !== right.round) return left.round - right.round;
  if (left.proposer === right.proposer) return 0;
  return left.proposer < right.proposer ? -1 : 1;
}

export function sameBallot(left: Ballot | null | undefined, right: Ballot | null | undefined): boolean {
  if (!left || !right) return false;
  return left.round === right.round && left.proposer === right.proposer;
}

export function higherBallot(left: Ballot, right: Ballot): Ballot {
  return compareBallots(left, right) >= 0 ? left : right;
}

export function ballotText({ round, proposer }: Ballot): string {
  return `${round}@${proposer}`;
}

/**
 * The rounds of one proposer, over all its registers: each is given out once in the life of the process. An attempt gets
 * two, its own and the next, which it may promise ahead.
 */
export class Rounds {
  #last = 0;

  /** A round above `floor` and above every round given out before; the one after it is the caller's too. */
  above(floor: number): number {
    const round = Math.max(this.#last, floor) + 1;
    this.#last = round + 1;
    return round;
  }
}
