import { compareDots, type Dot } from './dot.ts';
import { EMPTY_VECTOR, type VersionVector } from './version-vector.ts';

/** One of several concurrent values of a key, or the tombstone that a delete leaves. */
export interface Sibling {
  readonly dot: Dot;
  /** Hybrid clock, milliseconds. For display and last-writer-wins only; causality never asks it. */
  readonly timeMs: number;
  /** The value's bytes as they were sent; `null` is a tombstone. */
  readonly body: Uint8Array | null;
  readonly contentType: string;
  /** Wall clock, milliseconds; `null` lives for ever. */
  readonly expiresAtMs: number | null;
  /** What the writer's session had seen: a session that reads this value has seen it too. Empty outside sessions. */
  readonly session: VersionVector;
}

/** A value that lost a last-writer-wins choice and was then overwritten without having been read as the winner. */
export interface LedgerEntry {
  readonly sibling: Sibling;
  readonly hiddenAtMs: number;
  /** It goes when the record has a winner of this time or later: a rule of the record alone, so that all replicas agree. */
  readonly keepUntilMs: number;
}

/**
 * All that a replica holds for one key: a dotted version vector set (Almeida et al., *Scalable and accurate causality
 * tracking for eventually consistent stores*, 2014).
 *
 * Invariants, kept by `updateRecord` and `mergeRecords`, checked by `decodeRecord`, assumed everywhere else:
 * 1. `vector` covers the dot of every sibling and ledger entry.
 * 2. `siblings` are ordered winner first (`compareSiblings`), `ledger` likewise; no dot stands twice.
 */
export interface VersionedRecord {
  readonly vector: VersionVector;
  readonly siblings: readonly Sibling[];
  readonly ledger: readonly LedgerEntry[];
}

export const EMPTY_RECORD: VersionedRecord = { vector: EMPTY_VECTOR, siblings: [], ledger: [] };

/** Highest (time, dot) first: the same winner at every reader. */
export function compareSiblings(left: Sibling, right: Sibling): number {
  return right.timeMs - left.timeMs || compareDots(right.dot, left.dot);
}

/** Whether the sibling is a value that a reader may see now. An expired value is hidden at once, long before it is removed. */
export function isLive(sibling: Sibling, wallMs: number): boolean {
  return sibling.body !== null && (sibling.expiresAtMs === null || sibling.expiresAtMs > wallMs);
}

/** The values that readers see, winner first. A tombstone never hides a value that was written concurrently with it. */
export function liveSiblings(record: VersionedRecord | undefined, wallMs: number): readonly Sibling[] {
  if (!record) return [];
  return record.siblings.every((sibling) => isLive(sibling, wallMs))
    ? record.siblings
    : record.siblings.filter((sibling) => isLive(sibling, wallMs));
}

/** What readers of a last-writer-wins namespace see: the one winner, where it is a live value. */
export function lastWriterSibling(record: VersionedRecord | undefined, wallMs: number): Sibling | undefined {
  const winner = record?.siblings[0];
  return winner && isLive(winner, wallMs) ? winner : undefined;
}
