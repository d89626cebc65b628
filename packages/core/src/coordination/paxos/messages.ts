import type { StoreId, StoreName } from '../../ids.ts';
import type { Ballot } from './ballot.ts';
import type { Proposal, RegisterValue } from './register.ts';

/** A replica by the id that its disk has now: another id under the same name is another acceptor, which promised nothing. */
export interface Member {
  readonly name: StoreName;
  readonly id: StoreId;
}

/**
 * Who the asking proposer takes the replicas to be. Every question names them, and a replica that knows one of the names
 * by another id refuses it: so what a store had promised or accepted before it was wiped counts in no quorum whose other
 * members were asked when it was filled again (`recover`).
 */
export type Members = readonly Member[];

export interface Prepare {
  readonly kind: 'prepare';
  readonly ballot: Ballot;
  readonly members: Members;
}

export interface Accept {
  readonly kind: 'accept';
  readonly ballot: Ballot;
  readonly value: RegisterValue | null;
  /** The ballot promised along with the acceptance, for a next change in one round. Above `ballot`, of the same proposer. */
  readonly next: Ballot | null;
  readonly members: Members;
  /** A ballot that the proposer knows to be chosen. */
  readonly chosen: Ballot | null;
}

export interface Query {
  readonly kind: 'query';
  readonly members: Members;
}

/** Tells what was chosen. Nobody waits for an answer. */
export interface Commit {
  readonly kind: 'commit';
  readonly ballot: Ballot;
}

export type Question = Prepare | Accept | Query;

/** What one acceptor holds of a register, as it tells a proposer. */
export interface Holding {
  readonly accepted: Proposal | undefined;
  /** See `RegisterState`: it may have been accepted, but this replica does not say so. */
  readonly isHearsay: boolean;
  /** The ballot last known there to be chosen. */
  readonly committed: Ballot | null;
  /** The replica's own clock. */
  readonly wallMs: number;
}

export interface Promised extends Holding {
  readonly kind: 'promised';
  readonly ballot: Ballot;
}

export interface Accepted {
  readonly kind: 'accepted';
  readonly ballot: Ballot;
  /** What is promised now: the `next` asked for, or whatever came above it. */
  readonly promised: Ballot;
}

/** A higher ballot was promised. */
export interface Refused {
  readonly kind: 'refused';
  readonly ballot: Ballot;
  readonly promised: Ballot;
}

export interface Held extends Holding {
  readonly kind: 'held';
  readonly promised: Ballot;
}

/** The question names a replica by another id than the one answering knows it by: one of the two is out of date. */
export interface StaleMember {
  readonly kind: 'stale-member';
  /** As the one answering knows it. */
  readonly member: Member;
}

export type PrepareReply = Promised | Refused | StaleMember;
export type AcceptReply = Accepted | Refused | StaleMember;
export type QueryReply = Held | StaleMember;
export type Reply = PrepareReply | AcceptReply | QueryReply;
