/** Below this a value is cheaper to copy into the answer's one string than to hand to the socket on its own. */
const COPIED_BYTES_MAX = 16 * 1024;

const BEYOND_ASCII = /[\u0080-\uffff]/;
/** What stands in a JSON string as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * Collects an answer's body. Small parts join one *binary text*, a string with a character per byte, which Node writes
 * together with the headers in one piece; large values stay the buffers they are.
 */
export class BodyText {
  readonly #parts: (string | Uint8Array)[] = [];
  #text = '';
  #bytes = 0;

  get byteLength(): number {
    return this.#bytes + this.#text.length;
  }

  /** Text of ASCII characters only. */
  ascii(text: string): void {
    this.#text += text;
  }

  /** Any text as a JSON string. */
  json(text: string): void {
    this.#text += PLAIN.test(text) ? `"${text}"` : binaryText(JSON.stringify(text));
  }

  bytes(bytes: Uint8Array): void {
    if (bytes.length <= COPIED_BYTES_MAX) {
      this.#text += asBuffer(bytes).toString('latin1');
      return;
    }
    this.#seal();
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
  }

  base64(bytes: Uint8Array): void {
    this.#text += `"${asBuffer(bytes).toString('base64')}"`;
  }

  append(other: BodyText): void {
    for (const part of other.take()) {
      if (typeof part === 'string') this.#text += part;
      else this.bytes(part);
    }
  }

  /** All of the body, in order. Strings are binary text. */
  take(): readonly (string | Uint8Array)[] {
    this.#seal();
    return this.#parts;
  }

  #seal(): void {
    if (this.#text === '') return;
    this.#parts.push(this.#text);
    this.#bytes += this.#text.length;
    this.#text = '';
  }
}

/** `JSON.stringify` of a text, most of which need it not. */
export function jsonText(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** UTF-8 bytes of a text, as binary text. */
export function binaryText(text: string): string {
  return BEYOND_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
