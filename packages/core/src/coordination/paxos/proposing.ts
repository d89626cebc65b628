import { mayBeForgotten } from './applied-requests.ts';
import type { Ballot } from './ballot.ts';
import { type CacheEntry, entryAfter } from './cache-entry.ts';
import { applyChange, type ChangeRequest, expireValue, type Verdict } from './change.ts';
import type { Promised } from './messages.ts';
import { ended, flawsOf, type Operation, type Phase, retrying, type Step, sending, waiting } from './operation.ts';
import type { Proposal, RegisterValue } from './register.ts';
import { highestAccepted, isExpiredBy, isKnownChosen, middleClockMs } from './register-read.ts';
import { isImpossible, repliesOf, startRound } from './round.ts';

/** The two rounds of a proposal. */

export function startPrepare(operation: Operation): Step {
  const { proposer, attempt } = operation;
  const ballot: Ballot = { round: attempt.round, proposer: proposer.id };
  const promises = startRound<never>(attempt.members, proposer.required);
  if (isImpossible(promises, 0)) return retrying(operation, []);
  const message = { kind: 'prepare', ballot, members: attempt.members } as const;
  return sending(operation, { kind: 'prepare', ballot, promises }, { to: attempt.members, message });
}

export function afterPromise(operation: Operation, phase: Phase & { kind: 'prepare' }): Step {
  const replies = repliesOf(phase.promises);
  const promised = replies.filter((reply) => reply.kind === 'promised');
  if (promised.length >= phase.promises.required) return onPromised(operation, phase.ballot, promised);
  return isImpossible(phase.promises, promised.length) ? retrying(operation, replies) : waiting(operation);
}

/** The value of the highest ballot accepted in the majority is the current one, or about to be. */
function onPromised(operation: Operation, ballot: Ballot, promised: readonly Promised[]): Step {
  const { proposer, attempt, change } = operation;
  const found = highestAccepted(promised);
  const value = found?.value ?? null;
  const isSettled = found === undefined || isKnownChosen(found, promised, proposer.required);
  const isExpired = value !== null && value.body !== null && isExpiredBy(promised, value.expiresAtMs);
  const decided = change
    ? decideChange(operation, change, value, isExpired, middleClockMs(promised))
    : { verdict: undefined, value: isExpired && value ? expired(operation, value) : value };
  if (decided === 'unknown') return ended(operation, { kind: 'unknown' });
  const isKept = operation.mustPropose && found !== undefined;
  const maySkip =
    (isSettled && !isKept) || (change !== undefined && flawsOf(operation).has('failed-condition-unsettled'));
  if (decided.value === value && maySkip) {
    // Promised and not used: the next change may go on from here.
    const cache: CacheEntry = { ballot, proposal: found, members: attempt.members };
    return answered(operation, decided.verdict, value, isSettled && found ? found.ballot : null, cache);
  }
  const next: Ballot = { round: ballot.round + 1, proposer: proposer.id };
  const chosen = isSettled && found ? found.ballot : null;
  return startAccept(operation, { ballot, value: decided.value }, next, chosen, decided.verdict);
}

function expired({ proposer, attempt }: Operation, value: RegisterValue): RegisterValue {
  return expireValue(value, proposer.id, attempt.wallMs);
}

function decideChange(
  operation: Operation,
  change: ChangeRequest,
  value: RegisterValue | null,
  isExpired: boolean,
  agreedMs: number | null,
): { readonly verdict: Verdict; readonly value: RegisterValue | null } | 'unknown' {
  const { proposer, attempt, ownId, doubtfulVersion } = operation;
  const setting = { proposer: proposer.id, ownId, wallMs: attempt.wallMs, isExpired, agreedMs };
  const outcome = applyChange(value, change, setting, flawsOf(operation));
  const isLost =
    doubtfulVersion !== null &&
    outcome.verdict.kind !== 'repeated' &&
    change.clientsId === null &&
    mayBeForgotten(value, doubtfulVersion);
  return isLost ? 'unknown' : outcome;
}

/**
 * The one-round change: straight to acceptance under a ballot promised before. Nothing where the change is better made with
 * the word of others.
 */
export function startCached(operation: Operation, change: ChangeRequest, entry: CacheEntry): Step | undefined {
  const { proposer, attempt } = operation;
  const value = entry.proposal?.value ?? null;
  const decided = decideChange(operation, change, value, false, null);
  if (decided === 'unknown' || decided.verdict.kind === 'too-many-requests') return undefined;
  const next: Ballot = { round: attempt.round, proposer: proposer.id };
  const proposal = { ballot: entry.ballot, value: decided.value };
  return startAccept(operation, proposal, next, entry.proposal?.ballot ?? null, decided.verdict);
}

function startAccept(
  operation: Operation,
  proposal: Proposal,
  next: Ballot,
  chosen: Ballot | null,
  verdict: Verdict | undefined,
): Step {
  const { members } = operation.attempt;
  const accepts = startRound<never>(members, operation.proposer.required);
  if (isImpossible(accepts, 0)) return retrying(operation, []);
  const { doubtfulVersion } = operation;
  const made = verdict?.kind === 'changed' ? verdict.version : null;
  const doubtful =
    made === null || doubtfulVersion === null ? (made ?? doubtfulVersion) : Math.min(made, doubtfulVersion);
  const hasRevived = operation.hasRevived || (verdict?.kind === 'repeated' && chosen === null);
  return sending(
    { ...operation, doubtfulVersion: doubtful, hasRevived },
    { kind: 'accept', proposal, next, accepts, verdict },
    { to: members, message: { kind: 'accept', ...proposal, next, members, chosen } },
  );
}

export function afterAccept(operation: Operation, phase: Phase & { kind: 'accept' }): Step {
  const { accepts, proposal, next, verdict } = phase;
  const replies = repliesOf(accepts);
  const accepted = replies.filter((reply) => reply.kind === 'accepted').length;
  if (accepted >= accepts.required) {
    return answered(operation, verdict, proposal.value, proposal.ballot, entryAfter(accepts, proposal, next));
  }
  return isImpossible(accepts, accepted) ? retrying(operation, replies) : waiting(operation);
}

function answered(
  operation: Operation,
  verdict: Verdict | undefined,
  value: RegisterValue | null,
  chosen: Ballot | null,
  cache: CacheEntry | undefined,
): Step {
  const { rounds, doubtfulVersion } = operation;
  if (!verdict) return ended(operation, { kind: 'read', value, rounds }, { chosen, cache });
  // A retry that finds what an earlier attempt of its own has done.
  const isOwn = verdict.kind === 'repeated' && doubtfulVersion !== null;
  const told: Verdict = isOwn ? { ...verdict, kind: 'changed' } : verdict;
  return ended(operation, { kind: 'change', verdict: told, value, rounds }, { chosen, cache });
}
