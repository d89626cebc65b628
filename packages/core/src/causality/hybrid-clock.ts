import type { VersionedRecord } from './record.ts';

/** Times fit 48 bits: the year 10889. A larger one is refused on the wire, so that none can push a record's clock to its end. */
export const TIME_MS_MAX = 2 ** 48 - 1;

/**
 * The time of the next write to a record, in milliseconds: never below the wall clock, always above what the record holds.
 * It is taken per record, not per node, so that a node whose clock is an hour ahead pushes only the keys it writes
 * (a hybrid logical clock: Kulkarni et al., *Logical Physical Clocks*, 2014).
 */
export function nextTimeMs(wallMs: number, record: VersionedRecord | undefined): number {
  let timeMs = Math.max(0, Math.floor(wallMs));
  if (record) {
    for (const sibling of record.siblings) timeMs = Math.max(timeMs, sibling.timeMs + 1);
    for (const entry of record.ledger) timeMs = Math.max(timeMs, entry.sibling.timeMs + 1);
  }
  return Math.min(timeMs, TIME_MS_MAX);
}
