/** A record in a row in a list in a result in an answer lies five deep. */
const DEPTH_MAX = 16;
/** 100,000 rows of two fields, three times over. */
const VALUES_MAX = 1_000_000;

/**
 * Whether `bytes[from..to)` is exactly one list of the plain values that messages are made of, in msgpack: whole and
 * 64-bit float numbers, texts, byte arrays, lists, true, false, null.
 *
 * It runs before the decoder, which recurses as deep as its input says, builds dates, errors, regular expressions and
 * classes where an extension code asks for them, and cites its input in what it throws. What passes here gives it
 * nothing of that to do.
 */
export function isPlainMessage(bytes: Uint8Array, from: number, to: number): boolean {
  let at = from;
  let depth = 0;
  let values = 0;
  /** Values still missing in the list at hand; those of the lists around it. */
  let missing = 1;
  const around: number[] = [];
  while (true) {
    while (missing === 0) {
      if (depth === 0) return at === to;
      missing = around[--depth] as number;
    }
    if (at >= to || ++values > VALUES_MAX) return false;
    missing--;
    const token = bytes[at++] as number;
    let count = -1;
    if (token < 0x80 || token >= 0xe0) {
      if (depth === 0) return false;
      continue;
    }
    if (token >= 0xa0 && token < 0xc0) at += token - 0xa0;
    else if (token >= 0x90 && token < 0xa0) count = token - 0x90;
    else {
      switch (token) {
        case 0xc0: // null
        case 0xc2: // false
        case 0xc3: // true
          break;
        case 0xcc: // uint 8
        case 0xd0: // int 8
          at += 1;
          break;
        case 0xcd: // uint 16
        case 0xd1: // int 16
          at += 2;
          break;
        case 0xce: // uint 32
        case 0xd2: // int 32
          at += 4;
          break;
        case 0xcb: // float 64
          at += 8;
          break;
        case 0xc4: // bytes 8
        case 0xd9: // text 8
          at += 1 + lengthAt(bytes, at, 1, to);
          break;
        case 0xc5: // bytes 16
        case 0xda: // text 16
          at += 2 + lengthAt(bytes, at, 2, to);
          break;
        case 0xc6: // bytes 32
        case 0xdb: // text 32
          at += 4 + lengthAt(bytes, at, 4, to);
          break;
        case 0xdc: // list 16
          count = lengthAt(bytes, at, 2, to);
          at += 2;
          break;
        case 0xdd: // list 32
          count = lengthAt(bytes, at, 4, to);
          at += 4;
          break;
        default: // maps, extensions, 64-bit integers, 32-bit floats: never sent
          return false;
      }
    }
    if (at > to) return false;
    if (count < 0) {
      if (depth === 0) return false;
      continue;
    }
    if (depth === DEPTH_MAX || count > to - at) return false;
    around[depth++] = missing;
    missing = count;
  }
}

/** A length that is cut off counts as one that leads past the end. */
function lengthAt(bytes: Uint8Array, at: number, width: number, to: number): number {
  if (at + width > to) return Number.MAX_SAFE_INTEGER;
  let length = 0;
  for (let end = at + width; at < end; at++) length = length * 256 + (bytes[at] as number);
  return length;
}
