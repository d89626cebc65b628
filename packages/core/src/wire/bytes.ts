/** Thrown by readers over bytes that are no message of ours. Carries no bytes: what came in may be somebody's secret. */
export class MalformedBytes extends Error {
  override readonly name = 'MalformedBytes';
}

const VARINT_BYTES_MAX = 8;
/** Its length takes one byte. */
const SHORT_TEXT_LENGTH_MAX = 255;

/**
 * Appends to a buffer that grows by doubling. One writer serves many encodings: `take` copies out and starts over.
 * What the reader would refuse is not written but thrown out as a `RangeError`: it must not lie on a disk, unreadable.
 */
export class ByteWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  /** Breaks an encoding off: nothing of it is left in front of the next one. @throws RangeError */
  refuse(reason: string): never {
    this.#length = 0;
    throw new RangeError(reason);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const length = this.#length;
    // Where there is no memory for it this throws, and the encoding is broken off.
    this.#length = 0;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, length));
    this.#bytes = grown;
    this.#length = length;
  }

  uint8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** A whole number from 0 to 2^53 - 1, seven bits a byte, lowest first. @throws RangeError for any other */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) this.refuse('a number that is not whole, or out of range');
    this.#reserve(VARINT_BYTES_MAX);
    while (value >= 0x80) {
      this.#bytes[this.#length++] = (value % 0x80) | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.#bytes[this.#length++] = value;
  }

  /** Up to 255 characters of printable ASCII. @throws RangeError for any other */
  shortText(text: string): void {
    if (text.length > SHORT_TEXT_LENGTH_MAX) this.refuse('a text is too long');
    this.#reserve(text.length + 1);
    this.#bytes[this.#length++] = text.length;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (!isPrintable(code)) this.refuse('a text holds what is not printable ASCII');
      this.#bytes[this.#length++] = code;
    }
  }

  blob(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  /** Bytes as they are, without their length: an encoding made before. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  take(): Uint8Array {
    const length = this.#length;
    this.#length = 0;
    const taken = length > POOLED_BYTES_MAX ? this.#bytes.slice(0, length) : pooled(this.#bytes, length);
    if (this.#bytes.length > WRITER_BYTES_KEPT) this.#bytes = new Uint8Array(1024);
    return taken;
  }
}

/** Small encodings share a buffer: to make one for each would take longer than to write them. */
const POOL_BYTES = 16 * 1024;
const POOLED_BYTES_MAX = 1024;
let pool = new Uint8Array(POOL_BYTES);
let poolUsed = 0;

function pooled(bytes: Uint8Array, length: number): Uint8Array {
  if (poolUsed + length > POOL_BYTES) {
    pool = new Uint8Array(POOL_BYTES);
    poolUsed = 0;
  }
  const taken = pool.subarray(poolUsed, poolUsed + length);
  for (let at = 0; at < length; at++) taken[at] = bytes[at] as number;
  poolUsed += length;
  return taken;
}

/** One huge value must not stay allocated in a writer that lives as long as the process. */
const WRITER_BYTES_KEPT = 64 * 1024;

/** Reads what `ByteWriter` wrote; throws `MalformedBytes` on anything else, never reads past the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  uint8(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw new MalformedBytes('ends too early');
    return value;
  }

  varint(): number {
    let value = this.uint8();
    if (value < 0x80) return value;
    value &= 0x7f;
    let factor = 0x80;
    for (let count = 1; count < VARINT_BYTES_MAX; count++) {
      const byte = this.uint8();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (byte === 0 || value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      factor *= 0x80;
    }
    throw new MalformedBytes('a number is out of range or not in its shortest form');
  }

  /** A varint that counts things of at least one byte each: never more than there are bytes left. */
  count(): number {
    const count = this.varint();
    if (count > this.#bytes.length - this.#at) throw new MalformedBytes('counts more than it holds');
    return count;
  }

  shortText(): string {
    const length = this.uint8();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new MalformedBytes('ends too early');
    const text = internText(this.#bytes, this.#at, length);
    this.#at = end;
    return text;
  }

  /** Goes past a text, checking it, without making a string of it. Gives its length. */
  passText(): number {
    const length = this.uint8();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new MalformedBytes('ends too early');
    for (let at = this.#at; at < end; at++) {
      if (!isPrintable(this.#bytes[at] as number)) throw new MalformedBytes('a text holds what is not printable ASCII');
    }
    this.#at = end;
    return length;
  }

  /** Whether the texts that stand at these places, gone past before, are the same. */
  isSameText(at: number, other: number): boolean {
    const end = at + 1 + (this.#bytes[at] as number);
    while (at < end && this.#bytes[at] === this.#bytes[other]) {
      at++;
      other++;
    }
    return at === end;
  }

  /** Goes past a blob. */
  passBlob(): void {
    const length = this.count();
    this.#at += length;
  }

  /** Where it stands, for `since` and `back`. */
  get at(): number {
    return this.#at;
  }

  /** What was read since it stood there: a view on the bytes, not a copy. */
  since(at: number): Uint8Array {
    return this.#bytes.subarray(at, this.#at);
  }

  /** Reads again from where it stood. */
  back(at: number): void {
    this.#at = at;
  }

  /** A view on the bytes, not a copy. */
  blob(): Uint8Array {
    const length = this.count();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

function isPrintable(code: number): boolean {
  return code >= 0x20 && code <= 0x7e;
}

/**
 * Store ids and content types are few and come in every record: the same bytes give the same string object, without
 * building it anew. Entries that collide replace one another.
 */
const INTERNED = new Array<{ readonly bytes: Uint8Array; readonly text: string } | undefined>(512);

function internText(bytes: Uint8Array, from: number, length: number): string {
  let hash = length;
  for (let at = 0; at < length; at++) hash = (Math.imul(hash, 31) + (bytes[from + at] as number)) | 0;
  const slot = hash & 511;
  const known = INTERNED[slot];
  if (known && known.bytes.length === length) {
    let at = 0;
    while (at < length && known.bytes[at] === bytes[from + at]) at++;
    if (at === length) return known.text;
  }
  for (let at = 0; at < length; at++) {
    if (!isPrintable(bytes[from + at] as number)) throw new MalformedBytes('a text holds what is not printable ASCII');
  }
  const own = bytes.slice(from, from + length);
  // In one call: a string that grows by a character at a time is a chain of strings, to be joined by whoever uses it.
  const text = String.fromCharCode.apply(null, own as unknown as number[]);
  INTERNED[slot] = { bytes: own, text };
  return text;
}
