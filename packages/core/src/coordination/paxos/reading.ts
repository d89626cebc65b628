import type { StoreName } from '../../ids.ts';
import { type Ballot, compareBallots, sameBallot } from './ballot.ts';
import type { AcceptReply, Held, Member, QueryReply, Reply } from './messages.ts';
import {
  type Done,
  ended,
  flawsOf,
  type Operation,
  type Phase,
  retrying,
  type Step,
  sending,
  waiting,
} from './operation.ts';
import { NO_FLAWS, type PlantedFlaws } from './planted-flaws.ts';
import { startPrepare } from './proposing.ts';
import type { Proposal, RegisterValue } from './register.ts';
import { chosenBy, heldOf, highestAccepted, isExpiredBy } from './register-read.ts';
import { addAnswer, isImpossible, outstanding, type Round, repliesOf, replyAt, startRound } from './round.ts';

/** A read: one round where a majority agrees, a second that makes it agree where it does not. */

/** What a replica has said to a query. */
export interface Answered {
  readonly member: Member;
  readonly reply: Reply;
}

/**
 * What a read ends with where the first replies, one of each replica, tell at once: the very same as an operation from
 * `startRead` comes to by them, at a fraction of its cost. `undefined` where it takes more than to look.
 */
export function agreedRead(
  answers: readonly Answered[],
  required: number,
  flaws: PlantedFlaws = NO_FLAWS,
): Done | undefined {
  const held: Held[] = [];
  for (const { reply } of answers) {
    if (reply.kind !== 'held') return undefined;
    held.push(reply);
  }
  const agreed = chosenBy(held, required, flaws);
  if (!agreed) return undefined;
  const { proposal } = agreed;
  const value = proposal?.value ?? null;
  if (value !== null && isGone(held, value)) return undefined;
  const result = { kind: 'read', value, rounds: 1 } as const;
  if (!proposal) return { result, chosen: null, behind: NOBODY, cache: undefined };
  const { ballot } = proposal;
  const behind = held.every(({ accepted }) => isAtLeast(accepted, ballot))
    ? NOBODY
    : answers.filter((_answer, at) => !isAtLeast(held[at]?.accepted, ballot)).map(({ member }) => member.name);
  return { result, chosen: isNews(held, ballot) ? ballot : null, behind, cache: undefined };
}

const NOBODY: readonly StoreName[] = [];

export function startQuery(operation: Operation): Step {
  const { members } = operation.attempt;
  const queries = startRound<never>(members, operation.proposer.required);
  if (isImpossible(queries, 0)) return retrying(operation, []);
  return sending(operation, { kind: 'query', queries }, { to: members, message: { kind: 'query', members } });
}

export function afterQuery(operation: Operation, phase: Phase & { kind: 'query' }): Step {
  const { queries } = phase;
  const held = heldOf(queries);
  const chosen = chosenBy(held, queries.required, flawsOf(operation));
  if (chosen) return found(operation, queries, chosen.proposal);
  if (held.length < queries.required) {
    return isImpossible(queries, held.length) ? retrying(operation, repliesOf(queries)) : waiting(operation);
  }
  return outstanding(queries) > 0 ? waiting(operation, true) : startSettle(operation, queries);
}

/** The highest proposal seen is at or above whatever was chosen before the read began: once it is chosen, it is the answer. */
export function startSettle(operation: Operation, queries: Round<QueryReply>): Step {
  const proposal = highestAccepted(heldOf(queries));
  // Undecided, so somebody has accepted something.
  if (!proposal) return retrying(operation, repliesOf(queries));
  const { members } = operation.attempt;
  let accepts = startRound<AcceptReply>(members, queries.required);
  const lacking: Member[] = [];
  for (const [at, member] of members.entries()) {
    const reply = replyAt(queries, at);
    const { ballot } = proposal;
    if (reply?.kind === 'held' && !reply.isHearsay && sameBallot(reply.accepted?.ballot, ballot))
      accepts = addAnswer(accepts, member.id, { kind: 'accepted', ballot, promised: reply.promised });
    else lacking.push(member);
  }
  const message = { kind: 'accept', ...proposal, next: null, members, chosen: null } as const;
  return sending(operation, { kind: 'settle', queries, proposal, accepts }, { to: lacking, message });
}

export function afterSettle(operation: Operation, phase: Phase & { kind: 'settle' }): Step {
  const { queries, proposal, accepts } = phase;
  const replies = repliesOf(accepts);
  const accepted = replies.filter((reply) => reply.kind === 'accepted').length;
  if (accepted >= accepts.required) return found(operation, queries, proposal);
  const chosen = chosenBy(heldOf(queries), queries.required, flawsOf(operation));
  if (chosen) return found(operation, queries, chosen.proposal);
  return isImpossible(accepts, accepted) ? retrying(operation, replies) : waiting(operation);
}

/** What is chosen is known. Only what has expired must be replaced by its tombstone first. */
function found(operation: Operation, queries: Round<QueryReply>, proposal: Proposal | undefined): Step {
  const held = heldOf(queries);
  const value = proposal?.value ?? null;
  if (value !== null && isGone(held, value)) {
    const seenRound = Math.max(operation.seenRound, ...held.map(({ promised }) => promised.round));
    const seen = { ...operation, seenRound, mustPrepare: true };
    return seenRound < seen.attempt.round ? startPrepare(seen) : retrying(seen, []);
  }
  return ended(
    operation,
    { kind: 'read', value, rounds: operation.rounds },
    {
      chosen: proposal && isNews(held, proposal.ballot) ? proposal.ballot : null,
      behind: proposal ? behind(queries, proposal) : NOBODY,
    },
  );
}

function isGone(held: readonly Held[], { body, expiresAtMs }: RegisterValue): boolean {
  return body !== null && isExpiredBy(held, expiresAtMs);
}

/** Whether one that answered does not know yet that it is chosen. */
function isNews(held: readonly Held[], ballot: Ballot): boolean {
  return held.some(({ committed }) => !sameBallot(committed, ballot));
}

function isAtLeast(accepted: Proposal | undefined, ballot: Ballot): boolean {
  return accepted !== undefined && compareBallots(accepted.ballot, ballot) >= 0;
}

function behind(queries: Round<QueryReply>, { ballot }: Proposal): readonly StoreName[] {
  return queries.members
    .filter((_member, at) => {
      const reply = replyAt(queries, at);
      if (reply?.kind !== 'held') return false;
      return !isAtLeast(reply.accepted, ballot);
    })
    .map(({ name }) => name);
}
