import type { VersionedRecord } from '../../causality/record.ts';
import type { VersionVector } from '../../causality/version-vector.ts';
import type { Sequence, StoreId } from '../../ids.ts';
import { type Ballot, ZERO_BALLOT } from './ballot.ts';

/** A change that the register has taken, so that a retry of it is answered and not applied again. */
export interface AppliedRequest {
  /** A name that the proposer gave, or what stands for a client's request (`CLIENTS_KEY_LENGTH`); up to 32 characters. */
  readonly id: string;
  /** Whether the client named it. Such a one is kept for `REQUEST_KEEP_MS`, others as long as their proposer may ask for them. */
  readonly isClients: boolean;
  /** What it was answered with. */
  readonly version: number;
  readonly timeMs: number;
  readonly expiresAtMs: number | null;
  readonly existed: boolean;
  /** The store that proposed it; `null` for what the client has not named, and where it was kept before writers were. */
  readonly writer: StoreId | null;
}

/** What a register holds. Immutable; each change of it makes another with the next version. */
export interface RegisterValue {
  /** From 1, one more with each change. Names the value for ever: its `ETag`. */
  readonly version: number;
  /** The proposing store. */
  readonly writer: StoreId;
  /** Hybrid clock, milliseconds: rises with the version. For display only. */
  readonly timeMs: number;
  /** The value's bytes as they were sent; `null` is a tombstone. */
  readonly body: Uint8Array | null;
  readonly contentType: string;
  /** Wall clock, milliseconds; `null` lives for ever. It reads as absent only once a tombstone is chosen over it. */
  readonly expiresAtMs: number | null;
  /** What the writer's session had seen. */
  readonly session: VersionVector;
  /** Oldest first. */
  readonly requests: readonly AppliedRequest[];
}

/** `null` is the value of a register never written: what identity proposes for it. */
export interface Proposal {
  readonly ballot: Ballot;
  readonly value: RegisterValue | null;
}

/**
 * What an acceptor keeps of one register. Durable before any reply that speaks of it.
 *
 * Invariants, kept by acceptor.ts, checked by register-codec.ts, assumed elsewhere:
 * 1. `promised` is at or above the ballot of `accepted`; neither ever falls.
 * 2. `accepted` is at or above the ballot of `committed`; where they are equal they are the same object.
 * 3. Hearsay is above `committed`: what is chosen needs no counting.
 */
export interface RegisterState {
  readonly promised: Ballot;
  readonly accepted: Proposal | undefined;
  /** The last proposal known here to be chosen: what a relaxed read may return. */
  readonly committed: Proposal | undefined;
  /**
   * Whether `accepted` was only taken over from others (`recover`): the store that was lost may have accepted it. It is
   * shown to those who ask for a promise, but counts in no majority that has accepted it, for what was promised to others
   * since may have gone past it.
   */
  readonly isHearsay: boolean;
}

export const EMPTY_REGISTER: RegisterState = {
  promised: ZERO_BALLOT,
  accepted: undefined,
  committed: undefined,
  isHearsay: false,
};

/** A tombstone left by a delete or by expiry, or nothing at all. Whether a value has expired is not asked here. */
export function isAbsent(value: RegisterValue | null): value is null | (RegisterValue & { readonly body: null }) {
  return value === null || value.body === null;
}

/** A committed value as a record of one sibling: for lists, exports and relaxed reads. Its dot is `(writer, version)`. */
export function registerRecord(committed: Proposal | undefined): VersionedRecord | undefined {
  const value = committed?.value;
  if (!value) return undefined;
  const { writer, timeMs, body, contentType, expiresAtMs, session } = value;
  const sequence = value.version as Sequence;
  const sibling = { dot: { store: writer, sequence }, timeMs, body, contentType, expiresAtMs, session };
  return { vector: new Map([[writer, sequence]]), siblings: [sibling], ledger: [] };
}
