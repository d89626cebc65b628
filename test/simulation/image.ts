import { NO_SEQUENCE, type RecordKey, type Sequence } from '@meridian/core/ids';
import type { FlushChanges } from '@meridian/server/adapters/flush';
import type { PageLimits, RowPage, StoredRow } from '@meridian/server/ports/store';

/** Rows by key, and by sequence. A Map keeps the order of insertion, which is that of sequences. */
export class Image {
  readonly rows = new Map<RecordKey, StoredRow>();
  readonly index = new Map<Sequence, StoredRow>();
  sequence: Sequence = NO_SEQUENCE;

  apply({ after, rows, removed }: FlushChanges): void {
    this.sequence = after.sequence;
    for (const { key, replaces } of removed) {
      this.rows.delete(key);
      this.index.delete(replaces);
    }
    for (const row of rows) {
      this.index.delete(row.replaces);
      this.rows.set(row.key, row);
      this.index.set(row.sequence, row);
    }
  }

  copy(): Image {
    const copied = new Image();
    copied.sequence = this.sequence;
    for (const [key, row] of this.rows) copied.rows.set(key, row);
    for (const [sequence, row] of this.index) copied.index.set(sequence, row);
    return copied;
  }
}

/** The first rows, within limits. */
export function page(source: readonly StoredRow[], { rowsMax, bytesMax }: PageLimits): RowPage {
  let bytes = 0;
  let end = 0;
  for (const { key, record } of source) {
    if (end > 0 && (end >= rowsMax || bytes >= bytesMax)) break;
    bytes += key.length + record.length;
    end++;
  }
  return { rows: source.slice(0, end), isComplete: end === source.length };
}
