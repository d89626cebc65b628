/** JSON as V8 can keep it: numbers that JavaScript would write in another way stay as they were written. */
interface ExactJson {
  parse(text: string, reviver: (name: string, value: unknown, context: { source?: string }) => unknown): unknown;
  rawJSON(text: string): unknown;
}

const json = JSON as unknown as ExactJson;

/** Like `JSON.parse`; what `JSON.stringify` then writes has the numbers of the source: `1.0`, `1e400`, `12345678901234567890`. */
export function parseExact(text: string): unknown {
  return json.parse(text, (_name, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source ? json.rawJSON(source) : value,
  );
}
