import { isUtf8 } from 'node:buffer';

/** How deep arrays and objects may stand in one another. Far above real data, far below what ends a stack. */
export const JSON_DEPTH_MAX = 200;

/** The bytes are no JSON as RFC 8259 has it, or deeper than allowed. The message is fit for clients: it quotes nothing. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const BRACKET_OPEN = 0x5b;
const BRACKET_CLOSE = 0x5d;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const NULL = Buffer.from('null');

/** What may follow a backslash, besides `u`. */
const ESCAPES = new Set(Buffer.from('"\\/bfnrt'));

/**
 * Walks over JSON bytes without building values, so that a value can be kept as the very bytes that were sent: numbers
 * beyond double precision, the order of members and `__proto__` come back unharmed.
 */
export class JsonScanner {
  readonly bytes: Buffer;
  #at = 0;

  /** @throws JsonError where the bytes are not UTF-8 */
  constructor(bytes: Uint8Array) {
    if (!isUtf8(bytes)) throw new JsonError('is not UTF-8');
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get at(): number {
    return this.#at;
  }

  /** The next byte that is no white space, or -1 at the end. Not taken. */
  peek(): number {
    const bytes = this.bytes;
    let at = this.#at;
    for (;;) {
      const byte = bytes[at];
      if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) at++;
      else {
        this.#at = at;
        return byte ?? -1;
      }
    }
  }

  take(byte: number, what: string): void {
    if (this.peek() !== byte) this.#fail(`${what} was expected`);
    this.#at++;
  }

  end(): void {
    if (this.peek() !== -1) this.#fail('something follows the end of the value');
  }

  /** Walks over one value of any kind. `depth` is how many arrays and objects it may nest. */
  skipValue(depth: number): void {
    switch (this.peek()) {
      case BRACE_OPEN:
        this.skipMembers(depth);
        return;
      case BRACKET_OPEN:
        this.#skipItems(depth);
        return;
      case QUOTE:
        this.skipString();
        return;
      case 0x74:
        this.skipWord(TRUE);
        return;
      case 0x66:
        this.skipWord(FALSE);
        return;
      case 0x6e:
        this.skipWord(NULL);
        return;
      default:
        this.skipNumber();
    }
  }

  skipMembers(depth: number): void {
    if (depth <= 0) this.#failDeep();
    this.#at++;
    if (this.isClosedBy(BRACE_CLOSE)) return;
    for (;;) {
      if (this.peek() !== QUOTE) this.#fail('a member name was expected');
      this.skipString();
      this.take(COLON, 'a colon');
      this.skipValue(depth - 1);
      if (this.isClosedBy(BRACE_CLOSE)) return;
      this.take(COMMA, 'a comma or the end of the object');
    }
  }

  #skipItems(depth: number): void {
    if (depth <= 0) this.#failDeep();
    this.#at++;
    if (this.isClosedBy(BRACKET_CLOSE)) return;
    for (;;) {
      this.skipValue(depth - 1);
      if (this.isClosedBy(BRACKET_CLOSE)) return;
      this.take(COMMA, 'a comma or the end of the array');
    }
  }

  /** Takes the byte where it is next. */
  isClosedBy(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.#at++;
    return true;
  }

  /** Walks over a string from its opening quote. Says whether it holds escapes. */
  skipString(): boolean {
    const bytes = this.bytes;
    let escaped = false;
    let at = this.#at + 1;
    for (;;) {
      const byte = bytes[at];
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) {
        escaped = true;
        at += this.#escapeLength(at);
      } else if (byte === undefined || byte < 0x20) {
        this.#at = at;
        this.#fail(byte === undefined ? 'a string does not end' : 'a string holds a bare control character');
      } else at++;
    }
    this.#at = at + 1;
    return escaped;
  }

  #escapeLength(at: number): number {
    const kind = this.bytes[at + 1];
    if (kind !== undefined && ESCAPES.has(kind)) return 2;
    if (kind === 0x75 && isHex(this.bytes, at + 2) && isHex(this.bytes, at + 4)) return 6;
    this.#at = at;
    return this.#fail('a string holds an unknown escape');
  }

  skipWord(word: Uint8Array): void {
    for (let index = 0; index < word.length; index++) {
      if (this.bytes[this.#at + index] !== word[index]) this.#fail('a value was expected');
    }
    this.#at += word.length;
  }

  skipNumber(): void {
    const bytes = this.bytes;
    let at = this.#at;
    if (bytes[at] === 0x2d) at++;
    if (!isDigit(bytes[at])) this.#fail('a value was expected');
    if (bytes[at] === 0x30) at++;
    else at = this.#skipDigits(at);
    if (bytes[at] === 0x2e) at = this.#skipDigits(at + 1);
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      const sign = bytes[at + 1];
      at = this.#skipDigits(sign === 0x2b || sign === 0x2d ? at + 2 : at + 1);
    }
    this.#at = at;
  }

  /** At least one digit. */
  #skipDigits(at: number): number {
    if (!isDigit(this.bytes[at])) {
      this.#at = at;
      this.#fail('a digit was expected');
    }
    while (isDigit(this.bytes[at])) at++;
    return at;
  }

  #failDeep(): never {
    throw new JsonError(`is nested more than ${JSON_DEPTH_MAX} levels deep`);
  }

  #fail(reason: string): never {
    throw new JsonError(`is not JSON: ${reason} at byte ${this.#at}`);
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function isHex(bytes: Uint8Array, at: number): boolean {
  return isHexDigit(bytes[at]) && isHexDigit(bytes[at + 1]);
}

function isHexDigit(byte: number | undefined): boolean {
  return isDigit(byte) || (byte !== undefined && (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
}

/** @throws JsonError where the bytes are anything but one JSON value in UTF-8, of at most `JSON_DEPTH_MAX` levels. */
export function checkJson(bytes: Uint8Array): void {
  const scanner = new JsonScanner(bytes);
  scanner.skipValue(JSON_DEPTH_MAX);
  scanner.end();
}
