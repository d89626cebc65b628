import type { StoreId, StoreName } from '../../ids.ts';
import { type Ballot, compareBallots, higherBallot, sameBallot } from './ballot.ts';
import type {
  Accept,
  AcceptReply,
  Commit,
  Member,
  Members,
  Prepare,
  PrepareReply,
  Query,
  QueryReply,
} from './messages.ts';
import { EMPTY_REGISTER, type Proposal, type RegisterState } from './register.ts';

/** `state` is to be durable before `reply` leaves. `changed: false` says that it is the state of before, and needs no write. */
export interface AcceptorStep<Reply> {
  readonly state: RegisterState;
  readonly reply: Reply;
  readonly changed: boolean;
}

/** The id under which this store knows a replica now; `undefined` where it has never heard of one. */
export type KnownId = (name: StoreName) => StoreId | undefined;

/**
 * The acceptor of CASPaxos (Rystsov, *CASPaxos: Replicated State Machines without logs*, 2018), one register at a time.
 * A state of `undefined` is a register that this replica has never heard of.
 */
export function prepare(
  before: RegisterState | undefined,
  { ballot, members }: Prepare,
  knownId: KnownId,
  wallMs: number,
): AcceptorStep<PrepareReply> {
  const state = before ?? EMPTY_REGISTER;
  const stale = staleMember(members, knownId);
  if (stale) return unchanged(state, { kind: 'stale-member', member: stale });
  if (compareBallots(ballot, state.promised) <= 0) return unchanged(state, refusal(ballot, state));
  const { accepted, isHearsay } = state;
  const committed = committedBallot(state);
  const reply: PrepareReply = { kind: 'promised', ballot, accepted, isHearsay, committed, wallMs };
  return { state: { ...state, promised: ballot }, reply, changed: true };
}

/** A proposal that was accepted before is answered as accepted again: the message may come twice, or after its repair. */
export function accept(
  before: RegisterState | undefined,
  { ballot, value, next, members, chosen }: Accept,
  knownId: KnownId,
): AcceptorStep<AcceptReply> {
  const state = before ?? EMPTY_REGISTER;
  const stale = staleMember(members, knownId);
  if (stale) return unchanged(state, { kind: 'stale-member', member: stale });
  const isRepeat = sameBallot(state.accepted?.ballot, ballot) && !state.isHearsay;
  if (!isRepeat && compareBallots(ballot, state.promised) < 0) return unchanged(state, refusal(ballot, state));
  const known = chosen ? marked(state, chosen) : state;
  const promised = higherBallot(state.promised, next ?? ballot);
  const reply: AcceptReply = { kind: 'accepted', ballot, promised };
  if (isRepeat && promised === state.promised) return { state: known, reply, changed: known !== state };
  const accepted = isRepeat ? known.accepted : { ballot, value };
  return { state: { promised, accepted, committed: known.committed, isHearsay: false }, reply, changed: true };
}

/** What is held here. Promises nothing, changes nothing. */
export function query(
  before: RegisterState | undefined,
  { members }: Query,
  knownId: KnownId,
  wallMs: number,
): AcceptorStep<QueryReply> {
  const state = before ?? EMPTY_REGISTER;
  const stale = staleMember(members, knownId);
  if (stale) return unchanged(state, { kind: 'stale-member', member: stale });
  const { accepted, promised, isHearsay } = state;
  const committed = committedBallot(state);
  return unchanged(state, { kind: 'held', accepted, isHearsay, promised, committed, wallMs });
}

/** Marks what is chosen, where it is what was accepted last. */
export function commit(before: RegisterState | undefined, { ballot }: Commit): AcceptorStep<undefined> {
  const state = before ?? EMPTY_REGISTER;
  const after = marked(state, ballot);
  return { state: after, reply: undefined, changed: after !== state };
}

/**
 * Repair: takes from another replica's state what its messages, come late, would have brought here: its accepted proposal
 * through the ballot check, and its committed one whatever was promised, for what is chosen is chosen.
 */
export function replay(before: RegisterState | undefined, other: RegisterState): AcceptorStep<undefined> {
  const state = before ?? EMPTY_REGISTER;
  const { accepted } = other;
  const isRepeat = sameBallot(accepted?.ballot, state.accepted?.ballot) && !state.isHearsay;
  const isTaken = accepted !== undefined && !isRepeat && compareBallots(accepted.ballot, state.promised) >= 0;
  return isTaken ? combined(state, other, accepted, false) : combined(state, other, state.accepted, state.isHearsay);
}

/**
 * For a store made anew under a name that another had: the maximum of all, without the ballot check. It must come to know
 * whatever the lost store may have promised or accepted together with others; so it answers nothing before it has taken in
 * the states of n + 1 - majority of the other replicas, each of which has learned its new id first, and durably.
 */
export function recover(before: RegisterState | undefined, other: RegisterState): AcceptorStep<undefined> {
  const state = before ?? EMPTY_REGISTER;
  const taken = later(state.accepted, other.accepted);
  return combined(state, other, taken, taken !== state.accepted || state.isHearsay);
}

function combined(
  state: RegisterState,
  other: RegisterState,
  taken: Proposal | undefined,
  isTakenHearsay: boolean,
): AcceptorStep<undefined> {
  const committed = later(state.committed, other.committed);
  const accepted = later(committed, taken);
  const promised = higherBallot(state.promised, other.promised);
  const isSame = accepted === undefined || sameBallot(committed?.ballot, accepted.ballot);
  const after = { promised, accepted, committed: isSame ? accepted : committed, isHearsay: !isSame && isTakenHearsay };
  const changed =
    after.committed !== state.committed ||
    accepted !== state.accepted ||
    after.isHearsay !== state.isHearsay ||
    compareBallots(promised, state.promised) > 0;
  return changed ? { state: after, reply: undefined, changed } : unchanged(state, undefined);
}

function later(left: Proposal | undefined, right: Proposal | undefined): Proposal | undefined {
  if (!left || !right) return left ?? right;
  return compareBallots(left.ballot, right.ballot) >= 0 ? left : right;
}

function marked(state: RegisterState, ballot: Ballot): RegisterState {
  const { accepted, committed } = state;
  if (!sameBallot(accepted?.ballot, ballot) || accepted === committed) return state;
  return { ...state, committed: accepted, isHearsay: false };
}

function staleMember(members: Members, knownId: KnownId): Member | undefined {
  for (const { name, id } of members) {
    const known = knownId(name);
    if (known !== undefined && known !== id) return { name, id: known };
  }
  return undefined;
}

function committedBallot({ committed }: RegisterState): Ballot | null {
  return committed?.ballot ?? null;
}

function refusal(ballot: Ballot, { promised }: RegisterState): { kind: 'refused'; ballot: Ballot; promised: Ballot } {
  return { kind: 'refused', ballot, promised };
}

function unchanged<Reply>(state: RegisterState, reply: Reply): AcceptorStep<Reply> {
  return { state, reply, changed: false };
}
