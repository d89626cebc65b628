import type { Line } from './lines.ts';
import { parseRow, type Row } from './row.ts';

export interface NumberedRow extends Row {
  readonly line: number;
}

export interface Chunk {
  readonly rows: readonly NumberedRow[];
  /** Bytes of the stream up to the end of its last row. */
  readonly end: number;
}

export interface BadRow {
  readonly line: number;
  readonly problem: string;
  readonly text: string | undefined;
}

export const CHUNK_ROWS_MAX = 500;
/** A row that is larger travels alone. */
export const CHUNK_BYTES_MAX = 1024 * 1024;

/**
 * Gathers rows into batches: bounded in count and bytes, and no key twice in one, because the operations of a batch take
 * effect in no order.
 */
export async function* chunksOf(
  lines: AsyncIterable<Line>,
  prefix: string,
  onBadRow: (bad: BadRow) => void | Promise<void>,
): AsyncGenerator<Chunk, void, void> {
  let rows: NumberedRow[] = [];
  let keys = new Set<string>();
  let size = 0;
  let end = 0;
  const take = (): Chunk => {
    const chunk = { rows, end };
    [rows, keys, size] = [[], new Set(), 0];
    return chunk;
  };
  for await (const line of lines) {
    if (line.text !== undefined && line.text.trim() === '') continue;
    const row =
      line.text === undefined ? { problem: 'the row is not UTF-8, or too long' } : parseRow(line.text, prefix);
    if ('problem' in row) {
      await onBadRow({ line: line.number, problem: row.problem, text: line.text });
      continue;
    }
    const bytes = Buffer.byteLength(row.operation);
    if (rows.length >= CHUNK_ROWS_MAX || (rows.length > 0 && size + bytes > CHUNK_BYTES_MAX) || keys.has(row.key))
      yield take();
    rows.push({ ...row, line: line.number });
    keys.add(row.key);
    size += bytes;
    end = line.end;
  }
  if (rows.length > 0) yield take();
}
