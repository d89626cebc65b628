import { EMPTY_VECTOR } from '../../causality/version-vector.ts';
import type { StoreId, StoreName } from '../../ids.ts';
import type { Ballot, ProposerId } from './ballot.ts';
import type { ChangeRequest } from './change.ts';
import type { Holding, Members } from './messages.ts';
import type { AppliedRequest, Proposal, RegisterState, RegisterValue } from './register.ts';

export const MEMBERS: Members = ['a', 'b', 'c'].map((name) => ({
  name: name as StoreName,
  id: `${name}.1` as StoreId,
}));
export const [A, B, C] = MEMBERS.map(({ id }) => id) as [StoreId, StoreId, StoreId];
export const P = 'p.1/life' as ProposerId;
export const Q = 'q.1/other' as ProposerId;

export function ballot(round: number, proposer: ProposerId = P): Ballot {
  return { round, proposer };
}

export function value(version: number, changes: Partial<RegisterValue> = {}): RegisterValue {
  return {
    version,
    writer: 'p.1' as StoreId,
    timeMs: version * 10,
    body: Uint8Array.of(version),
    contentType: 'text/plain',
    expiresAtMs: null,
    session: EMPTY_VECTOR,
    requests: [],
    ...changes,
  };
}

export function applied(id: string, version: number, changes: Partial<AppliedRequest> = {}): AppliedRequest {
  return {
    id,
    isClients: true,
    version,
    timeMs: version * 10,
    expiresAtMs: null,
    existed: true,
    writer: null,
    ...changes,
  };
}

export function proposal(round: number, version = round, proposer: ProposerId = P): Proposal {
  return { ballot: ballot(round, proposer), value: value(version) };
}

export function state(promised: Ballot, accepted?: Proposal, committed?: Proposal): RegisterState {
  return { promised, accepted, committed, isHearsay: false };
}

export function holding(accepted?: Proposal, changes: Partial<Holding> = {}): Holding {
  return { accepted, isHearsay: false, committed: null, wallMs: 0, ...changes };
}

export function request(changes: Partial<ChangeRequest> = {}): ChangeRequest {
  return {
    clientsId: null,
    body: Uint8Array.of(7),
    contentType: 'text/plain',
    ttlMs: null,
    session: EMPTY_VECTOR,
    condition: { kind: 'always' },
    ...changes,
  };
}
