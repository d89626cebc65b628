import type { Dot } from './dot.ts';
import { nextTimeMs, TIME_MS_MAX } from './hybrid-clock.ts';
import { mergeLedgers } from './ledger.ts';
import { compareSiblings, EMPTY_RECORD, type LedgerEntry, type Sibling, type VersionedRecord } from './record.ts';
import { covers, join, type VersionVector, withDot } from './version-vector.ts';

export interface NewValue {
  /** `null` deletes: it leaves a tombstone. */
  readonly body: Uint8Array | null;
  readonly contentType: string;
  readonly expiresAtMs: number | null;
  readonly session: VersionVector;
}

/** How long values hidden by a last-writer-wins choice stay readable. `undefined` where the namespace shows siblings. */
export interface LedgerPolicy {
  readonly keepMs: number;
}

/**
 * One write: drops the siblings that the context has seen, joins the context into the vector, adds one sibling under a
 * fresh dot. Without a context the write has seen what this replica holds, so that siblings come from true concurrency only.
 */
export function updateRecord(
  current: VersionedRecord | undefined,
  context: VersionVector | undefined,
  value: NewValue,
  dot: Dot,
  wallMs: number,
  ledgerPolicy?: LedgerPolicy,
): VersionedRecord {
  const before = current ?? EMPTY_RECORD;
  const seen = context ?? before.vector;
  const timeMs = nextTimeMs(wallMs, current);
  const kept = before.siblings.filter((sibling) => !covers(seen, sibling.dot));
  const sibling: Sibling = { dot, timeMs, ...value };
  const siblings = [sibling, ...kept].sort(compareSiblings);
  const hidden = ledgerPolicy ? hiddenBy(before, seen, timeMs, ledgerPolicy) : [];
  return {
    vector: withDot(join(before.vector, seen), dot),
    siblings,
    ledger: mergeLedgers(before.ledger, hidden, siblings[0]),
  };
}

/** What the last-writer-wins choice had hidden is about to be dropped: keep it readable. The winner was seen; it needs no keeping. */
function hiddenBy(
  before: VersionedRecord,
  seen: VersionVector,
  timeMs: number,
  { keepMs }: LedgerPolicy,
): readonly LedgerEntry[] {
  return before.siblings
    .slice(1)
    .filter((sibling) => sibling.body !== null && covers(seen, sibling.dot))
    .map((sibling) => ({ sibling, hiddenAtMs: timeMs, keepUntilMs: Math.min(timeMs + keepMs, TIME_MS_MAX) }));
}
