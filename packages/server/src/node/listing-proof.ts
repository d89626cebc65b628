import type { VersionedRecord } from '@meridian/core/causality/record';
import { compareBallots } from '@meridian/core/coordination/paxos/ballot';
import { type Proposal, registerRecord } from '@meridian/core/coordination/paxos/register';
import { addReply, staleReplicas, startRead } from '@meridian/core/coordination/read';
import type { StoreName } from '@meridian/core/ids';
import { decodeRecord } from '@meridian/core/wire/record-codec';
import { decodeRegister, isRegisterBytes } from '@meridian/core/wire/register-codec';

/** What replicas of one key showed on their pages. One whose page has no row of it is not among them. */
export type Shown = ReadonlyMap<StoreName, Uint8Array>;

export interface Proven {
  /** Nothing for a register that was never written. */
  readonly record: VersionedRecord | undefined;
}

/**
 * What a read at level strong may answer by the pages alone, all of them taken after it began, of stores that may count in a
 * quorum. Undefined where they do not tell: then the key has to be read by itself. That a key is absent is an answer like
 * others, and a tombstone is what proves it.
 */
export function provenBy(shown: Shown, required: number): Proven | undefined {
  if (shown.size < required) return undefined;
  const rows = [...shown.values()];
  return isRegisterBytes(rows[0] as Uint8Array) ? registerIn(rows, required) : recordIn(shown, rows, required);
}

/**
 * One replica knows it to be chosen, and a majority has accepted nothing above it: the second rule of `chosenBy`
 * (coordination/paxos/register-read.ts). Its first, that a majority has accepted the same, must not be used here: it needs
 * replicas that refuse to be counted together with a store that was lost meanwhile, and a page is asked for without naming
 * the others.
 */
function registerIn(rows: readonly Uint8Array[], required: number): Proven | undefined {
  const states = rows.map(decodeRegister);
  let chosen: Proposal | undefined;
  for (const { committed } of states)
    if (committed && (!chosen || compareBallots(committed.ballot, chosen.ballot) > 0)) chosen = committed;
  if (!chosen) return undefined;
  const { ballot, value } = chosen;
  const notAbove = states.filter(({ accepted }) => !accepted || compareBallots(accepted.ballot, ballot) <= 0).length;
  if (notAbove < required) return undefined;
  // Whether it has expired is for the clocks of its replicas to say, which no page tells.
  if (value && value.body !== null && value.expiresAtMs !== null) return undefined;
  return { record: registerRecord(chosen) };
}

/** A majority holds all that any of them showed, so nothing needs to be written back (`QuorumReads`). */
function recordIn(shown: Shown, rows: readonly Uint8Array[], required: number): Proven | undefined {
  const first = rows[0] as Uint8Array;
  if (rows.every((row) => isSame(row, first))) return { record: decodeRecord(first) };
  let read = startRead([...shown.keys()], required);
  for (const [store, bytes] of shown) read = addReply(read, store, decodeRecord(bytes));
  const upToDate = shown.size - staleReplicas(read).length;
  return upToDate >= required ? { record: read.merged } : undefined;
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}
