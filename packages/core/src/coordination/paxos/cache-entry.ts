import { outdatedRequests } from './applied-requests.ts';
import { type Ballot, type ProposerId, sameBallot } from './ballot.ts';
import type { AcceptReply, Members } from './messages.ts';
import type { Proposal } from './register.ts';
import { type Round, repliesOf } from './round.ts';

/**
 * What lets a proposer change a register in one round: a majority of `members` has promised `ballot`, and of what they have
 * accepted `proposal` is the highest, and chosen. `ballot` has been used for no proposal.
 *
 * The keeper takes the entry *out* before it starts an operation with it, and puts in what the operation gives at its end,
 * if anything: an entry that outlives an accept whose fate is unknown makes two values of one ballot.
 */
export interface CacheEntry {
  readonly ballot: Ballot;
  readonly proposal: Proposal | undefined;
  readonly members: Members;
}

/** So many of a value's requests may be out of date before a change asks the clocks of others, to forget them. */
const OUTDATED_REQUESTS_MAX = 64;

/** Whether the next change may go to acceptance at once: it knows no clock but its own, so nothing may hang on the time. */
export function isUsable(
  { ballot, proposal, members }: CacheEntry,
  proposer: ProposerId,
  now: Members,
  round: number,
  wallMs: number,
): boolean {
  if (ballot.proposer !== proposer || ballot.round >= round) return false;
  if (!members.every((member) => now.some(({ name, id }) => name === member.name && id === member.id))) return false;
  const value = proposal?.value ?? null;
  if (value === null) return true;
  return value.expiresAtMs === null && outdatedRequests(value, wallMs) <= OUTDATED_REQUESTS_MAX;
}

/** The entry after an acceptance: only where a majority has promised the next ballot along with it. */
export function entryAfter(accepts: Round<AcceptReply>, proposal: Proposal, next: Ballot): CacheEntry | undefined {
  const promised = repliesOf(accepts).filter((reply) => reply.kind === 'accepted' && sameBallot(reply.promised, next));
  return promised.length >= accepts.required ? { ballot: next, proposal, members: accepts.members } : undefined;
}
