import type { StoreId, StoreName } from '../../ids.ts';
import { ownRequestId } from './applied-requests.ts';
import { type Ballot, sameBallot } from './ballot.ts';
import { type CacheEntry, isUsable } from './cache-entry.ts';
import type { ChangeRequest } from './change.ts';
import type { AcceptReply, Members, PrepareReply, Reply } from './messages.ts';
import { type Attempt, flawsOf, type Operation, type Phase, type Proposer, type Step, waiting } from './operation.ts';
import type { PlantedFlaws } from './planted-flaws.ts';
import { afterAccept, afterPromise, startCached, startPrepare } from './proposing.ts';
import { afterQuery, afterSettle, startQuery, startSettle } from './reading.ts';
import { heldOf } from './register-read.ts';
import { addAnswer, addFailure, type Round, replyAt } from './round.ts';

/**
 * The proposer of CASPaxos, as decisions: each call takes what has happened and says what to send and wait for next.
 * Messages may be lost, come late, twice and in any order; but replies to the questions of another operation are not to be
 * handed in. Operations of one proposer on one register go one at a time.
 */

export function startRead(proposer: Proposer, attempt: Attempt): Step {
  return begin(proposer, undefined, attempt, undefined);
}

/**
 * Proposes what the register holds once more, under a ballot of this proposer: from then on it is this one's to tell. Ends as
 * a read does.
 */
export function startIdentity(proposer: Proposer, attempt: Attempt): Step {
  const { operation } = begin(proposer, undefined, attempt, undefined);
  return startPrepare({ ...operation, rounds: 0, mustPrepare: true, mustPropose: true });
}

/** `cached` must have been taken out of the cache before: see `CacheEntry`. */
export function startChange(
  proposer: Proposer,
  change: ChangeRequest,
  attempt: Attempt,
  cached: CacheEntry | undefined,
): Step {
  return begin(proposer, change, attempt, cached);
}

function begin(
  proposer: Proposer,
  change: ChangeRequest | undefined,
  attempt: Attempt,
  cached: CacheEntry | undefined,
): Step {
  const phase = { kind: 'over' } as const;
  const operation: Operation = {
    proposer,
    change,
    attempt,
    ownId: ownRequestId(proposer.id, attempt.round),
    attempts: 1,
    rounds: 0,
    phase,
    mustPrepare: false,
    mustPropose: false,
    doubtfulVersion: null,
    hasRevived: false,
    seenRound: 0,
  };
  if (!change) return startQuery(operation);
  const isCached = cached && isUsable(cached, proposer.id, attempt.members, attempt.round, attempt.wallMs);
  return (isCached ? startCached(operation, change, cached) : undefined) ?? startPrepare(operation);
}

/** The next attempt after a step `retry`. A read asks once more before it disturbs anybody with a ballot. */
export function again(before: Operation, attempt: Attempt): Step {
  const operation: Operation = { ...before, attempt, attempts: before.attempts + 1 };
  if (operation.change || operation.mustPrepare || operation.attempts > 2) return startPrepare(operation);
  return startQuery(operation);
}

/** `from` is the id of the store that answered: one that the attempt did not name is not counted. */
export function onReply(operation: Operation, from: StoreId, reply: Reply): Step {
  const { phase } = operation;
  const phaseAfter = withReply(phase, from, reply, flawsOf(operation));
  return phaseAfter === phase ? waiting(operation) : next({ ...operation, phase: phaseAfter });
}

/** The message to this replica could not be sent, or its answer will not come. It may have been taken all the same. */
export function onFailure(operation: Operation, name: StoreName): Step {
  const { phase } = operation;
  const phaseAfter = withFailure(phase, name);
  return phaseAfter === phase ? waiting(operation) : next({ ...operation, phase: phaseAfter });
}

/** Of a read: does not wait for more replicas, where a majority has answered, but makes them agree. */
export function hurry(operation: Operation): Step {
  const { phase } = operation;
  if (phase.kind !== 'query' || heldOf(phase.queries).length < phase.queries.required) return waiting(operation);
  return startSettle(operation, phase.queries);
}

/**
 * What to answer where the time has run out: `QUORUM_UNAVAILABLE` only where nothing can have happened, for no acceptor was
 * ever asked to accept the change; `OUTCOME_UNKNOWN` otherwise.
 */
export function outcomeIfStopped({ doubtfulVersion, hasRevived }: Operation): 'unavailable' | 'unknown' {
  return doubtfulVersion === null && !hasRevived ? 'unavailable' : 'unknown';
}

/** The replicas that have not answered in the round under way. */
export function unanswered({ phase, attempt }: Operation): Members {
  const round = roundOf(phase);
  return round ? round.members.filter((_member, at) => replyAt(round, at) === undefined) : attempt.members;
}

function roundOf(phase: Phase): Round<unknown> | undefined {
  if (phase.kind === 'query') return phase.queries;
  if (phase.kind === 'prepare') return phase.promises;
  return phase.kind === 'over' ? undefined : phase.accepts;
}

function next(operation: Operation): Step {
  const { phase } = operation;
  if (phase.kind === 'query') return afterQuery(operation, phase);
  if (phase.kind === 'settle') return afterSettle(operation, phase);
  if (phase.kind === 'prepare') return afterPromise(operation, phase);
  return phase.kind === 'accept' ? afterAccept(operation, phase) : waiting(operation);
}

/** The same phase where the reply counts for nothing: to another question, of a store not named, or come again. */
function withReply(phase: Phase, from: StoreId, reply: Reply, flaws: PlantedFlaws): Phase {
  if (phase.kind === 'settle' && reply.kind === 'stale-member') {
    // To either question: what refuses the one will not accept by the other, and may have no more to say.
    const queries = addAnswer(phase.queries, from, reply, flaws);
    const accepts = addAnswer(phase.accepts, from, reply, flaws);
    return queries === phase.queries && accepts === phase.accepts ? phase : { ...phase, queries, accepts };
  }
  if ((phase.kind === 'query' || phase.kind === 'settle') && (reply.kind === 'held' || reply.kind === 'stale-member')) {
    const queries = addAnswer(phase.queries, from, reply, flaws);
    if (queries !== phase.queries) return { ...phase, queries };
  }
  if (reply.kind === 'held' || phase.kind === 'query' || phase.kind === 'over') return phase;
  if (phase.kind === 'prepare') {
    if (reply.kind === 'accepted' || !isAbout(phase.ballot, reply)) return phase;
    const promises = addAnswer(phase.promises, from, reply, flaws);
    return promises === phase.promises ? phase : { ...phase, promises };
  }
  if (reply.kind === 'promised' || !isAbout(phase.proposal.ballot, reply)) return phase;
  const accepts = addAnswer(phase.accepts, from, reply, flaws);
  return accepts === phase.accepts ? phase : { ...phase, accepts };
}

/** A refusal that names the very ballot as promised answers a message that came twice. */
function isAbout(ballot: Ballot, reply: PrepareReply | AcceptReply): boolean {
  if (reply.kind === 'stale-member') return true;
  return sameBallot(reply.ballot, ballot) && !(reply.kind === 'refused' && sameBallot(reply.promised, ballot));
}

function withFailure(phase: Phase, name: StoreName): Phase {
  if (phase.kind === 'query') return { ...phase, queries: addFailure(phase.queries, name) };
  if (phase.kind === 'prepare') return { ...phase, promises: addFailure(phase.promises, name) };
  if (phase.kind === 'accept') return { ...phase, accepts: addFailure(phase.accepts, name) };
  if (phase.kind === 'over') return phase;
  return { ...phase, queries: addFailure(phase.queries, name), accepts: addFailure(phase.accepts, name) };
}
