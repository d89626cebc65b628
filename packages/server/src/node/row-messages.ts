import type { NodeName } from '@meridian/core/ids';
import { MERGE, mergeResult, type RowEntries } from '@meridian/core/wire/messages';
import type { Calls } from './calls.ts';
import type { RowToMerge } from './replica.ts';
import type { RequestOptions } from './service.ts';

/** Of one message. The last row may go beyond the bytes: no row is split. */
const MESSAGE_ROWS_MAX = 1_000;
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

export interface MergedThere {
  /** Rows that changed something at the peer. */
  readonly applied: number;
  /** Of these, rows whose key has more than one live value there now. */
  readonly concurrent: number;
}

/** Has a peer merge rows, one message after another. Durable there when it resolves. @throws CallFailed, MeridianError */
export async function sendRows(
  calls: Calls,
  to: NodeName,
  rows: readonly RowToMerge[],
  { requestId, timeoutMs }: RequestOptions,
): Promise<MergedThere> {
  let applied = 0;
  let concurrent = 0;
  for (const chunk of chunksOf(rows)) {
    const entries: RowEntries = chunk.map(({ key, bytes }) => [key, bytes] as const);
    const [, changed, conflicts] = await calls.call(to, requestId, timeoutMs, [MERGE, entries], mergeResult);
    applied += changed;
    concurrent += conflicts;
  }
  return { applied, concurrent };
}

function* chunksOf(rows: readonly RowToMerge[]): Generator<readonly RowToMerge[]> {
  let chunk: RowToMerge[] = [];
  let bytes = 0;
  for (const row of rows) {
    chunk.push(row);
    bytes += row.bytes.length;
    if (bytes < MESSAGE_BYTES_MAX && chunk.length < MESSAGE_ROWS_MAX) continue;
    yield chunk;
    chunk = [];
    bytes = 0;
  }
  if (chunk.length > 0) yield chunk;
}
