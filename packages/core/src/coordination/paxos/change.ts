import { TIME_MS_MAX } from '../../causality/hybrid-clock.ts';
import type { VersionVector } from '../../causality/version-vector.ts';
import type { StoreId } from '../../ids.ts';
import { appliedUnderKey, appliedUnderName, keptRequests, mayBeSame, REQUESTS_MAX } from './applied-requests.ts';
import { type ProposerId, proposerStoreOf } from './ballot.ts';
import { NO_FLAWS, type PlantedFlaws } from './planted-flaws.ts';
import { type AppliedRequest, isAbsent, type RegisterValue } from './register.ts';

export type Condition =
  | { readonly kind: 'always' }
  /** `If-None-Match: *`, `POST`. */
  | { readonly kind: 'absent' }
  /** `If-Match: *`. */
  | { readonly kind: 'present' }
  /** `If-Match` with one of these. */
  | { readonly kind: 'versions'; readonly versions: readonly number[] }
  /** Nothing was changed since this version, a tombstone's too; 0: never written. */
  | { readonly kind: 'seen'; readonly version: number };

export interface ChangeRequest {
  /** Stands for the client's idempotency key and for what it asks (`CLIENTS_KEY_LENGTH`); `null` where it sent none. */
  readonly clientsId: string | null;
  /** `null` deletes. */
  readonly body: Uint8Array | null;
  readonly contentType: string;
  /** Milliseconds from when it is applied; `null` lives for ever. */
  readonly ttlMs: number | null;
  readonly session: VersionVector;
  readonly condition: Condition;
}

export interface ChangeSetting {
  readonly proposer: ProposerId;
  /** Names the request over all its attempts where the client has not: of `ownRequestId`. */
  readonly ownId: string;
  /** The proposer's clock. */
  readonly wallMs: number;
  /** Whether most clocks say that the current value has expired. */
  readonly isExpired: boolean;
  /** What most clocks say the time is, for forgetting old requests; `null` where none was asked, and then none is forgotten. */
  readonly agreedMs: number | null;
}

export type VerdictKind =
  /** The value is new. */
  | 'changed'
  /** A delete found nothing alive. */
  | 'unchanged'
  | 'condition-failed'
  /** A create found a live value. */
  | 'exists'
  /** The request had been applied before. */
  | 'repeated'
  /** Another request had been applied under the client's idempotency key. */
  | 'key-reused'
  | 'too-many-requests';

export interface Verdict {
  readonly kind: VerdictKind;
  /** Of the value that the request made, or, where it made none, of what was found; 0 for a register never written. */
  readonly version: number;
  readonly timeMs: number;
  readonly expiresAtMs: number | null;
  /** Whether a live value was there before. */
  readonly existed: boolean;
  /** The store that made that version; `null` for a register never written. */
  readonly writer: StoreId | null;
}

export interface ChangeOutcome {
  readonly verdict: Verdict;
  /** What is to be proposed: the value found where nothing changes, unless that has expired: then a tombstone. */
  readonly value: RegisterValue | null;
}

/** What becomes of a register's value under a request. Answers may be given only once `value` is known to be chosen. */
export function applyChange(
  current: RegisterValue | null,
  request: ChangeRequest,
  setting: ChangeSetting,
  flaws: PlantedFlaws = NO_FLAWS,
): ChangeOutcome {
  const { clientsId } = request;
  const before = clientsId === null ? appliedUnderName(current, setting.ownId) : appliedUnderKey(current, clientsId);
  if (before && clientsId !== null && !mayBeSame(before.id, clientsId))
    return { verdict: foundVerdict('key-reused', current, !isAbsent(current)), value: current };
  if (before && current && !flaws.has('retry-applied-again'))
    return { verdict: repeatedVerdict(before, current, setting.proposer), value: current };
  if (before && current) current = forgetting(current, before);
  const live = isAbsent(current) || setting.isExpired ? null : current;
  const refused = refusal(current, live, request);
  if (refused) return left(refused, current, live, setting);
  const kept = keptRequests(current, setting.proposer, setting.agreedMs);
  if (clientsId !== null && kept.filter(({ isClients }) => isClients).length >= REQUESTS_MAX)
    return left('too-many-requests', current, live, setting);
  return changed(current, request, setting, kept, live !== null);
}

/** The answer that the request got, or would have got. */
function repeatedVerdict(request: AppliedRequest, current: RegisterValue, proposer: ProposerId): Verdict {
  const { version, timeMs, expiresAtMs, existed, isClients } = request;
  // By its own name a change is asked for again only by the proposer that made it.
  const writer = isClients ? (request.writer ?? current.writer) : proposerStoreOf(proposer);
  return { kind: 'repeated', version, timeMs, expiresAtMs, existed, writer };
}

function forgetting(value: RegisterValue, request: AppliedRequest): RegisterValue {
  const { version, writer, timeMs, body, contentType, expiresAtMs, session, requests } = value;
  const left = requests.filter((applied) => applied !== request);
  return { version, writer, timeMs, body, contentType, expiresAtMs, session, requests: left };
}

function refusal(
  current: RegisterValue | null,
  live: RegisterValue | null,
  { body, condition }: ChangeRequest,
): VerdictKind | undefined {
  if (condition.kind === 'absent' && live) return 'exists';
  if (condition.kind === 'present' && !live) return 'condition-failed';
  if (condition.kind === 'versions' && !(live && condition.versions.includes(live.version))) return 'condition-failed';
  if (condition.kind === 'seen' && condition.version !== (current?.version ?? 0)) return 'condition-failed';
  return body === null && !live ? 'unchanged' : undefined;
}

function left(
  kind: VerdictKind,
  current: RegisterValue | null,
  live: RegisterValue | null,
  setting: ChangeSetting,
): ChangeOutcome {
  const value = current && setting.isExpired ? expireValue(current, setting.proposer, setting.wallMs) : current;
  return { verdict: foundVerdict(kind, value, live !== null), value };
}

function foundVerdict(kind: VerdictKind, value: RegisterValue | null, existed: boolean): Verdict {
  const { version, timeMs, expiresAtMs, writer } = value ?? { version: 0, timeMs: 0, expiresAtMs: null, writer: null };
  return { kind, version, timeMs, expiresAtMs, existed, writer };
}

function changed(
  current: RegisterValue | null,
  request: ChangeRequest,
  { proposer, ownId, wallMs }: ChangeSetting,
  kept: readonly AppliedRequest[],
  existed: boolean,
): ChangeOutcome {
  const { clientsId, body, contentType, ttlMs, session } = request;
  const writer = proposerStoreOf(proposer);
  const version = (current?.version ?? 0) + 1;
  const timeMs = timeAfter(current, wallMs);
  const expiresAtMs = body === null || ttlMs === null ? null : Math.min(Math.floor(wallMs) + ttlMs, TIME_MS_MAX);
  const told = { version, timeMs, expiresAtMs, existed };
  const made: AppliedRequest =
    clientsId === null
      ? { id: ownId, isClients: false, ...told, writer: null }
      : { id: clientsId, isClients: true, ...told, writer };
  return {
    verdict: { kind: 'changed', ...told, writer },
    value: { version, writer, timeMs, body, contentType, expiresAtMs, session, requests: [...kept, made] },
  };
}

/** The tombstone that takes the place of an expired value. */
export function expireValue(value: RegisterValue, proposer: ProposerId, wallMs: number): RegisterValue {
  const { version, session, requests } = value;
  return {
    version: version + 1,
    writer: proposerStoreOf(proposer),
    timeMs: timeAfter(value, wallMs),
    body: null,
    contentType: '',
    expiresAtMs: null,
    session,
    requests,
  };
}

/** `max(now, 1 + before)`, milliseconds: see causality/hybrid-clock.ts. */
function timeAfter(current: RegisterValue | null, wallMs: number): number {
  return Math.min(Math.max(0, Math.floor(wallMs), (current?.timeMs ?? -1) + 1), TIME_MS_MAX);
}
