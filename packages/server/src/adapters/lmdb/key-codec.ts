import type { RecordKey } from '@meridian/core/ids';

/** What `lmdb` asks of a key encoder: it writes into and reads from buffers of its own, which spares one buffer a key. */
export interface KeyCodec<Key> {
  /** Writes `key` at `start` and returns its end. `lmdb` makes room and asks again where a RangeError is thrown. */
  writeKey(key: Key, target: Buffer, start: number): number;
  readKey(source: Buffer, start: number, end: number): Key;
}

/** LMDB's own limit at pages of 4 KiB; a namespace id and a key of 1,024 bytes are well below it. */
export const KEY_BYTES_MAX = 1978;

/** Shorter texts are written faster by a loop than by a call out of JavaScript. */
const LOOP_LENGTH_MAX = 64;

/** Texts as UTF-8: LMDB orders keys as bytes. */
export const TEXT_KEYS: KeyCodec<string> = {
  writeKey: writeText,
  readKey: (source, start, end) => source.toString('utf8', start, end),
};

/** Writes `text` as UTF-8; unlike `Buffer.write` it does not cut off what finds no room. */
export function writeText(text: string, target: Buffer, start: number): number {
  const { length } = text;
  if (length <= LOOP_LENGTH_MAX && start + length <= target.length) {
    let at = 0;
    for (; at < length; at++) {
      const code = text.charCodeAt(at);
      if (code > 0x7f) break;
      target[start + at] = code;
    }
    if (at === length) return start + length;
  }
  if (start + length * 3 > target.length && start + Buffer.byteLength(text) > target.length) {
    throw new RangeError('the text does not fit');
  }
  return start + target.write(text, start);
}

export function isStorableKey(key: RecordKey): boolean {
  if (key.length === 0 || key.length > KEY_BYTES_MAX) return false;
  return key.length * 3 <= KEY_BYTES_MAX || Buffer.byteLength(key) <= KEY_BYTES_MAX;
}

const TWO_TO_32 = 0x1_0000_0000;

/** Whole numbers up to 2^53 - 1 as eight bytes, highest first, so that LMDB orders them as numbers. */
export const SEQUENCE_KEYS: KeyCodec<number> = {
  writeKey(sequence, target, start) {
    if (start + SEQUENCE_BYTES > target.length) throw new RangeError('the sequence does not fit');
    return writeSequence(sequence, target, start);
  },
  readKey: (source, start) => readSequence(source, start),
};

export const SEQUENCE_BYTES = 8;

export function writeSequence(sequence: number, target: Buffer, at: number): number {
  target.writeUInt32BE(Math.floor(sequence / TWO_TO_32), at);
  target.writeUInt32BE(sequence >>> 0, at + 4);
  return at + SEQUENCE_BYTES;
}

export function readSequence(source: Buffer, at: number): number {
  return source.readUInt32BE(at) * TWO_TO_32 + source.readUInt32BE(at + 4);
}
