import { EncodedValue } from './register-value-codec.ts';

/** The same with every register's value in it decoded, to be compared, or encoded from its fields. What was one object is one. */
export function opened<Value>(value: Value, known = new Map<unknown, unknown>()): Value {
  if (value instanceof EncodedValue) return value.decoded as Value;
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const before = known.get(value);
  if (before !== undefined) return before as Value;
  const fields = Object.entries(value).map(([name, field]) => [name, opened<unknown>(field, known)]);
  const copy = Object.fromEntries(fields) as Value;
  known.set(value, copy);
  return copy;
}
