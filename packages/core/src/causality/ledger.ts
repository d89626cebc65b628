import { compareDots } from './dot.ts';
import { compareSiblings, type LedgerEntry, type Sibling } from './record.ts';

/** A key that is fought over keeps its latest hidden values; the rest is history that nobody reads. */
export const LEDGER_ENTRIES_MAX = 100;
/** What the hidden values of one key may take up, so that they never make its record too large to be sent. */
export const LEDGER_BYTES_MAX = 16 * 1024 * 1024;

export function compareEntries(left: LedgerEntry, right: LedgerEntry): number {
  return compareSiblings(left.sibling, right.sibling);
}

export function sameEntry(left: LedgerEntry, right: LedgerEntry): boolean {
  return (
    left.hiddenAtMs === right.hiddenAtMs &&
    left.keepUntilMs === right.keepUntilMs &&
    compareDots(left.sibling.dot, right.sibling.dot) === 0
  );
}

/**
 * The ledger that all replicas come to: each value once, as it was first hidden; what is kept beyond its time by the
 * winner's clock is dropped; of too many the latest stay. A rule over the entries and the winner alone, so the order in
 * which records meet makes no difference.
 */
export function ledgerOf(entries: readonly LedgerEntry[], winner: Sibling | undefined): readonly LedgerEntry[] {
  const byDot = new Map<string, LedgerEntry>();
  for (const entry of entries) {
    if (entry.keepUntilMs <= (winner?.timeMs ?? 0)) continue;
    const name = `${entry.sibling.dot.store}:${entry.sibling.dot.sequence}`;
    const other = byDot.get(name);
    if (!other || compareHiding(entry, other) < 0) byDot.set(name, entry);
  }
  const kept: LedgerEntry[] = [];
  let bytes = 0;
  for (const entry of [...byDot.values()].sort(compareEntries)) {
    bytes += entry.sibling.body?.length ?? 0;
    if (kept.length === LEDGER_ENTRIES_MAX || bytes > LEDGER_BYTES_MAX) break;
    kept.push(entry);
  }
  return kept;
}

function compareHiding(left: LedgerEntry, right: LedgerEntry): number {
  return left.hiddenAtMs - right.hiddenAtMs || left.keepUntilMs - right.keepUntilMs;
}

/** `entries` themselves where nothing changes, so that callers can compare by identity. */
export function mergeLedgers(
  local: readonly LedgerEntry[],
  incoming: readonly LedgerEntry[],
  winner: Sibling | undefined,
): readonly LedgerEntry[] {
  if (local.length === 0 && incoming.length === 0) return local;
  const merged = ledgerOf([...local, ...incoming], winner);
  const isLocal =
    merged.length === local.length && merged.every((entry, at) => sameEntry(entry, local[at] as LedgerEntry));
  return isLocal ? local : merged;
}
