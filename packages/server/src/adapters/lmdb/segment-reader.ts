import { readSync } from 'node:fs';
import { entryBytes, entryNumber, SECTOR_BYTES } from './log-entry.ts';

/** Read at once when looking for entries; a segment is not taken into memory whole. */
const WINDOW_BYTES = 1024 * 1024;

export interface FoundEntry {
  readonly number: number;
  readonly bytes: Buffer;
}

/** Finds whole entries in a segment of the log. Synchronous: it is read once, before a store opens. */
export class SegmentReader {
  readonly #fd: number;
  readonly #bytes: number;
  readonly #salt: number | undefined;

  /** Without a salt entries of any are found. */
  constructor(fd: number, bytes: number, salt: number | undefined) {
    this.#fd = fd;
    this.#bytes = bytes;
    this.#salt = salt;
  }

  /** The whole entry that begins at `at`; `undefined` where none does. */
  entryAt(at: number): FoundEntry | undefined {
    if (at + SECTOR_BYTES > this.#bytes) return undefined;
    const length = entryBytes(this.#read(at, SECTOR_BYTES), this.#salt);
    if (length === undefined || at + length > this.#bytes) return undefined;
    const bytes = this.#read(at, length);
    const number = entryNumber(bytes);
    return number === undefined ? undefined : { number, bytes };
  }

  /** All whole entries from `start` on, wherever they begin. */
  *entriesFrom(start: number): Generator<FoundEntry> {
    for (let from = start; from + SECTOR_BYTES <= this.#bytes; from += WINDOW_BYTES) {
      const window = this.#read(from, Math.min(WINDOW_BYTES, this.#bytes - from));
      for (let at = 0; at + SECTOR_BYTES <= window.length; at += SECTOR_BYTES) {
        if (entryBytes(window.subarray(at, at + SECTOR_BYTES), this.#salt) === undefined) continue;
        const entry = this.entryAt(from + at);
        if (entry) yield entry;
      }
    }
  }

  #read(at: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let read = 0; read < length; ) {
      const count = readSync(this.#fd, bytes, read, length - read, at + read);
      if (count === 0) throw new Error(`a log of ${this.#bytes} bytes ends at ${at + read}`);
      read += count;
    }
    return bytes;
  }
}
