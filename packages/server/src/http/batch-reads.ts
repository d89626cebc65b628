import type { ReadAnswer, SeenValue } from '../node/service.ts';
import { isStoredJson } from './media.ts';

/** Reads of one batch at a time: while nothing is known of its values, and once they have turned out small. */
const READS_MIN = 8;
const READS_MAX = 32;

/**
 * The gets of one batch. Their values share the room in the answer; from the first that finds none left, no more are read.
 * How large a value is shows only once it has been read, so reads at a time begin few and become more with each small value.
 */
export class BatchReads {
  readonly #bytesMax: number;
  #bytes = 0;
  #isFull = false;
  #running = 0;
  #runningMax = READS_MIN;
  #waiting: (() => void)[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** What `read` answers; `undefined` where the answer of the batch has no room for it, and then often not read at all. */
  async get(read: () => ReadAnswer | Promise<ReadAnswer>): Promise<ReadAnswer | undefined> {
    while (this.#running >= this.#runningMax && !this.#isFull)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#isFull) return undefined;
    this.#running++;
    try {
      const answer = await read();
      return this.#admits(bytesInEnvelope(answer.values)) ? answer : undefined;
    } finally {
      this.#running--;
      this.#wake();
    }
  }

  #admits(bytes: number): boolean {
    // As many as may run would fit, were they all of this size.
    const isSmall = bytes * READS_MAX <= this.#bytesMax;
    this.#runningMax = isSmall ? Math.min(this.#runningMax + 1, READS_MAX) : READS_MIN;
    if (this.#bytes + bytes > this.#bytesMax) {
      this.#isFull = true;
      return false;
    }
    this.#bytes += bytes;
    return true;
  }

  #wake(): void {
    if (this.#waiting.length === 0) return;
    const count = this.#isFull ? this.#waiting.length : Math.max(this.#runningMax - this.#running, 0);
    for (const resolve of this.#waiting.splice(0, count)) resolve();
  }
}

/** What the values take in an envelope, known before any is written: base64 for what is not JSON, the winner twice in a conflict. */
function bytesInEnvelope(values: readonly SeenValue[]): number {
  let bytes = values.length > 1 ? bytesWritten(values[0] as SeenValue) : 0;
  for (const value of values) bytes += bytesWritten(value);
  return bytes;
}

function bytesWritten({ body, contentType }: SeenValue): number {
  return isStoredJson(contentType) ? body.length : Math.ceil(body.length / 3) * 4;
}
