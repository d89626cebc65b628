import type { RecordKey, Sequence } from '@meridian/core/ids';
import type { StoredRow } from '../../ports/store.ts';
import type { Cells } from './session.ts';

/** Keys longer than this are refused by the indexes of some engines; it is LMDB's limit too. */
export const POSTGRES_KEY_BYTES_MAX = 1978;

export function keyBytes(key: RecordKey): Buffer {
  return Buffer.from(key, 'utf8');
}

/** Of a row whose first cells are key, sequence, record. */
export function rowOf(cells: Cells): StoredRow {
  const [key, sequence, record] = cells as [Buffer, Sequence, Uint8Array];
  return { key: key.toString('utf8') as RecordKey, sequence, record };
}
