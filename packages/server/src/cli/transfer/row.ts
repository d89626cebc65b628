import { parseExact } from '@meridian/client/exact-json';

/** A row of an import, checked: `operation` is the batch operation as JSON text, the value in it as it was written. */
export interface Row {
  readonly key: string;
  readonly operation: string;
}

export type ParsedRow = Row | { readonly problem: string };

const FIELDS = new Set(['key', 'value', 'ttl', 'encoding', 'contentType']);

/**
 * Reads `{"key","value","ttl"?,"encoding"?,"contentType"?}`. What the server checks better (length of keys, range of
 * a ttl, base64) is left to it.
 */
export function parseRow(text: string, prefix: string): ParsedRow {
  let row: unknown;
  try {
    row = JSON.parse(text);
  } catch {
    return { problem: 'the row is not JSON' };
  }
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return { problem: 'the row is not a JSON object' };
  const { key } = row as { key?: unknown };
  if (typeof key !== 'string') return { problem: 'the row has no "key" that is a text' };
  if (!Object.hasOwn(row, 'value')) return { problem: 'the row has no "value"' };
  const unknown = Object.keys(row).find((field) => !FIELDS.has(field));
  if (unknown !== undefined) return { problem: `the row has an unknown field ${JSON.stringify(unknown)}` };
  return {
    key: prefix + key,
    operation: prefix === '' ? operationOf(text) : prefixed(row as Record<string, unknown>, text, prefix),
  };
}

const OPERATION = '{"op":"put",';

/** The row is the operation but for its name. Its own text goes on, so that the value is not written anew. */
function operationOf(text: string): string {
  return OPERATION + text.trimStart().slice(1);
}

/** The row of an operation, under the key it has there: what `import` takes again, without a prefix. */
export function rowText({ operation }: Row): string {
  return `{${operation.slice(OPERATION.length)}`;
}

/** The key is at the beginning of what `export` writes; where it is not, it is moved there. */
function prefixed(row: Record<string, unknown>, text: string, prefix: string): string {
  const start = /^\s*\{\s*"key"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(text);
  const rest = start?.[0] === undefined ? undefined : text.slice(start[0].length);
  // A second "key" later in the row would win over the first.
  if (rest !== undefined && !rest.includes('"key"'))
    return `${OPERATION}"key":${JSON.stringify(prefix + row.key)}${rest}`;
  return JSON.stringify({ op: 'put', ...(parseExact(text) as object), key: prefix + row.key });
}
