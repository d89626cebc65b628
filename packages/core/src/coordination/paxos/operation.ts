import type { StoreName } from '../../ids.ts';
import type { Ballot, ProposerId } from './ballot.ts';
import type { CacheEntry } from './cache-entry.ts';
import type { ChangeRequest, Verdict } from './change.ts';
import type { Accept, AcceptReply, Members, Prepare, PrepareReply, Query, QueryReply, Reply } from './messages.ts';
import { NO_FLAWS, type PlantedFlaws } from './planted-flaws.ts';
import type { Proposal, RegisterValue } from './register.ts';
import type { Round } from './round.ts';

/** What is handed in for each attempt. */
export interface Attempt {
  /** From `Rounds.above` of the last retry's `aboveRound`, or of 0. */
  readonly round: number;
  /** The proposer's clock. */
  readonly wallMs: number;
  /** The replicas whose ids are known now. */
  readonly members: Members;
}

export interface Proposer {
  readonly id: ProposerId;
  /** A majority of all replicas of the key. */
  readonly required: number;
  readonly flaws?: PlantedFlaws | undefined;
}

export type Phase =
  | { readonly kind: 'query'; readonly queries: Round<QueryReply> }
  /** The highest proposal seen is brought to those that lack it. */
  | {
      readonly kind: 'settle';
      readonly queries: Round<QueryReply>;
      readonly proposal: Proposal;
      readonly accepts: Round<AcceptReply>;
    }
  | { readonly kind: 'prepare'; readonly ballot: Ballot; readonly promises: Round<PrepareReply> }
  | {
      readonly kind: 'accept';
      readonly proposal: Proposal;
      readonly next: Ballot;
      readonly accepts: Round<AcceptReply>;
      /** Of a change: what is answered once the proposal is chosen. */
      readonly verdict: Verdict | undefined;
    }
  | { readonly kind: 'over' };

/** One read or change on its way: an accumulator of replies. Immutable. */
export interface Operation {
  readonly proposer: Proposer;
  /** `undefined` reads. */
  readonly change: ChangeRequest | undefined;
  /** Names the change over all its attempts. */
  readonly ownId: string;
  readonly attempt: Attempt;
  readonly attempts: number;
  /** Rounds of messages begun. */
  readonly rounds: number;
  readonly phase: Phase;
  /** Of a read: whether it has found something that only a proposal can answer. */
  readonly mustPrepare: boolean;
  /** Whether what is found is to be proposed anew, even where it is known to be chosen: see `startIdentity`. */
  readonly mustPropose: boolean;
  /** The lowest version that an accept sent for this change may have made; `null` while none was sent. */
  readonly doubtfulVersion: number | null;
  /** Whether a change that an earlier request had made, though perhaps nothing had come of it, was proposed once more. */
  readonly hasRevived: boolean;
  /** The highest round promised elsewhere that this operation has heard of. */
  readonly seenRound: number;
}

export interface Outgoing {
  readonly to: Members;
  readonly message: Prepare | Accept | Query;
}

export type OperationResult =
  | { readonly kind: 'read'; readonly value: RegisterValue | null; readonly rounds: number }
  | {
      readonly kind: 'change';
      readonly verdict: Verdict;
      /** What the register holds, as far as this operation knows: chosen. */
      readonly value: RegisterValue | null;
      readonly rounds: number;
    }
  /** The change may have taken effect, or may yet. */
  | { readonly kind: 'unknown' };

export type RetryReason =
  /** A higher ballot was promised elsewhere: back off at random. */
  | 'refused'
  /** Too few replicas answered. */
  | 'failed'
  /** A replica has another id than the attempt named. */
  | 'stale-member';

/** What an operation has come to. */
export interface Done {
  readonly result: OperationResult;
  /** To be told to the replicas, where not all that answered know it: this proposal is chosen. */
  readonly chosen: Ballot | null;
  /** Replicas that answered a read with less than what is chosen. */
  readonly behind: readonly StoreName[];
  readonly cache: CacheEntry | undefined;
}

export type Step =
  | {
      readonly kind: 'wait';
      readonly operation: Operation;
      /** To be sent now. */
      readonly send: Outgoing | undefined;
      /** A majority has answered, but not alike: more replies may decide it, `hurry` will. */
      readonly canHurry: boolean;
    }
  | {
      readonly kind: 'retry';
      readonly operation: Operation;
      /** The round of the next attempt must be above this. */
      readonly aboveRound: number;
      readonly reason: RetryReason;
    }
  | ({ readonly kind: 'done'; readonly operation: Operation } & Done);

export function flawsOf({ proposer }: Operation): PlantedFlaws {
  return proposer.flaws ?? NO_FLAWS;
}

export function waiting(operation: Operation, canHurry = false): Step {
  return { kind: 'wait', operation, send: undefined, canHurry };
}

/** Begins a round of messages. */
export function sending(operation: Operation, phase: Phase, send: Outgoing): Step {
  return { kind: 'wait', operation: { ...operation, phase, rounds: operation.rounds + 1 }, send, canHurry: false };
}

export function retrying(operation: Operation, replies: readonly Reply[]): Step {
  let aboveRound = operation.seenRound;
  let reason: RetryReason = 'failed';
  for (const reply of replies) {
    if (reply.kind === 'refused') aboveRound = Math.max(aboveRound, reply.promised.round);
    if (reply.kind === 'stale-member') reason = 'stale-member';
    else if (reply.kind === 'refused' && reason === 'failed') reason = 'refused';
  }
  const over: Operation = { ...operation, phase: { kind: 'over' }, seenRound: aboveRound };
  return { kind: 'retry', operation: over, aboveRound, reason };
}

export interface Ending {
  readonly chosen?: Ballot | null;
  readonly behind?: readonly StoreName[];
  readonly cache?: CacheEntry | undefined;
}

export function ended(operation: Operation, result: OperationResult, ending: Ending = {}): Step {
  const { chosen = null, behind = [], cache } = ending;
  return { kind: 'done', operation: { ...operation, phase: { kind: 'over' } }, result, chosen, behind, cache };
}
