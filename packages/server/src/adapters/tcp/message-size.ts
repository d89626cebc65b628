/** The longest header that msgpack writes before a text, a byte array or a list. */
const HEADER_BYTES_MAX = 5;
const NUMBER_BYTES_MAX = 9;

/**
 * At least the bytes that msgpack needs for a message, so that a buffer of this size never grows while it is filled.
 * Exact but for headers and texts, which count with the three bytes that a UTF-16 unit can take.
 */
export function messageBytesAtMost(value: unknown): number {
  if (typeof value === 'string') return HEADER_BYTES_MAX + 3 * value.length;
  if (value instanceof Uint8Array) return HEADER_BYTES_MAX + value.length;
  if (!Array.isArray(value)) return NUMBER_BYTES_MAX;
  let total = HEADER_BYTES_MAX;
  for (let at = 0; at < value.length; at++) {
    const field: unknown = value[at];
    total += typeof field === 'number' ? NUMBER_BYTES_MAX : messageBytesAtMost(field);
  }
  return total;
}
