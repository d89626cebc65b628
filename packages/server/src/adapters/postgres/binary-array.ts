/** PostgreSQL's identifiers of the element types. */
const BYTEA = 17;
const BIGINT = 20;
/** Dimensions, a flag for nulls, element type, length, first index. */
const HEADER_BYTES = 20;
const TWO_TO_32 = 0x1_0000_0000;

/** An array parameter in PostgreSQL's binary format: half the bytes of its text, and nothing to quote. */
export function byteaArray(values: readonly Uint8Array[]): Buffer {
  let length = HEADER_BYTES;
  for (const value of values) length += 4 + value.length;
  const target = arrayOf(BYTEA, values.length, length);
  let at = HEADER_BYTES;
  for (const value of values) {
    at = target.writeInt32BE(value.length, at);
    target.set(value, at);
    at += value.length;
  }
  return target;
}

/** Whole numbers from 0 to 2^53 - 1. */
export function bigintArray(values: readonly number[]): Buffer {
  const target = arrayOf(BIGINT, values.length, HEADER_BYTES + values.length * 12);
  let at = HEADER_BYTES;
  for (const value of values) {
    at = target.writeInt32BE(8, at);
    at = target.writeUInt32BE(Math.floor(value / TWO_TO_32), at);
    at = target.writeUInt32BE(value % TWO_TO_32, at);
  }
  return target;
}

function arrayOf(elementType: number, count: number, length: number): Buffer {
  const target = Buffer.allocUnsafe(length);
  target.writeInt32BE(1, 0);
  target.writeInt32BE(0, 4);
  target.writeInt32BE(elementType, 8);
  target.writeInt32BE(count, 12);
  target.writeInt32BE(1, 16);
  return target;
}
