import { compareBallots, sameBallot } from './ballot.ts';
import type { Held, Holding, QueryReply } from './messages.ts';
import { NO_FLAWS, type PlantedFlaws } from './planted-flaws.ts';
import type { Proposal } from './register.ts';
import { type Round, repliesOf } from './round.ts';

/** A proposal known to be chosen; `undefined` for a register that nobody has written. */
export interface Chosen {
  readonly proposal: Proposal | undefined;
}

/**
 * What a linearizable read may answer by these replies of distinct stores, each given after the read began. Undefined where
 * they do not tell yet.
 * - A majority reports the same accepted ballot, or none: that one is chosen; and whatever was chosen before the read began
 *   is not above it, since every majority holds a store that would have reported more. What has been promised since, and
 *   what a minority has accepted above it, does not matter: the one-round write promises ahead all the time.
 * - A store knows that a ballot is chosen, and a majority has accepted nothing above that.
 */
export function chosenBy(
  holdings: readonly Holding[],
  required: number,
  flaws: PlantedFlaws = NO_FLAWS,
): Chosen | undefined {
  if (holdings.length < required) return undefined;
  const highest = highestAccepted(holdings);
  if (flaws.has('unchosen-returned')) return { proposal: highest };
  let best: Proposal | undefined;
  for (const { accepted } of holdings) {
    if (!accepted || (best && compareBallots(accepted.ballot, best.ballot) <= 0)) continue;
    if (isKnownChosen(accepted, holdings, required)) best = accepted;
  }
  if (best) return { proposal: best };
  const empty = holdings.filter(({ accepted }) => accepted === undefined).length;
  const isUnwritten = empty >= required || (flaws.has('absence-unsettled') && empty > 0);
  return isUnwritten ? { proposal: undefined } : undefined;
}

/** Whether replies of distinct stores show that a proposal is chosen, and that nothing above it was when they were asked. */
export function isKnownChosen({ ballot }: Proposal, holdings: readonly Holding[], required: number): boolean {
  let same = 0;
  let notAbove = 0;
  let isCommitted = false;
  for (const { accepted, committed, isHearsay } of holdings) {
    if (sameBallot(committed, ballot)) isCommitted = true;
    const order = accepted ? compareBallots(accepted.ballot, ballot) : -1;
    if (order === 0 && !isHearsay) same += 1;
    if (order <= 0) notAbove += 1;
  }
  return same >= required || (isCommitted && notAbove >= required);
}

export function highestAccepted(holdings: readonly Holding[]): Proposal | undefined {
  let highest: Proposal | undefined;
  for (const { accepted } of holdings) {
    if (accepted && (!highest || compareBallots(accepted.ballot, highest.ballot) > 0)) highest = accepted;
  }
  return highest;
}

export function heldOf(round: Round<QueryReply>): readonly Held[] {
  return repliesOf(round).filter((reply) => reply.kind === 'held');
}

/**
 * Whether the value has expired: by most of these replicas' clocks, so that one that is wrong decides nothing. Then a
 * tombstone is to be chosen over it before anybody is told that it is gone.
 */
export function isExpiredBy(holdings: readonly Holding[], expiresAtMs: number | null): boolean {
  if (expiresAtMs === null) return false;
  const expired = holdings.filter(({ wallMs }) => wallMs >= expiresAtMs).length;
  return expired * 2 > holdings.length;
}

/** The clock in the middle: of an even number the earlier one. */
export function middleClockMs(holdings: readonly Holding[]): number {
  const clocks = holdings.map(({ wallMs }) => wallMs).sort((left, right) => left - right);
  return clocks[(clocks.length - 1) >> 1] ?? 0;
}
