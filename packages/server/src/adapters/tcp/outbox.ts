import type { Message } from '@meridian/core/wire/messages';
import { FRAME_HEADER_BYTES, packLarge, packSmall, SMALL_BYTES_MAX } from './message-codec.ts';

/** The little that is used of a socket. */
export interface Sink {
  cork(): void;
  uncork(): void;
  write(bytes: Uint8Array, done?: (error?: Error | null) => void): unknown;
}

const CHUNK_BYTES = 64 * 1024;
/** Handed to the socket at a time. What is behind it moves only when this was taken, so progress can be seen. */
const WRITE_BYTES_MAX = 1024 * 1024;

/**
 * What waits for one peer, as frames in the order they were put. Small messages are packed side by side into chunks, large
 * ones into memory of their own; both are handed to the socket as they lie there.
 */
export class Outbox {
  readonly #sink: Sink;
  readonly #onProgress: () => void;
  #chunk: Buffer | undefined;
  #chunkFrom = 0;
  #chunkTo = 0;
  #waiting: Uint8Array[] = [];
  #isWriting = false;
  #bytes = 0;

  constructor(sink: Sink, onProgress: () => void) {
    this.#sink = sink;
    this.#onProgress = onProgress;
  }

  /** Not yet taken by the operating system. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `bytesAtMost` is the bound of `messageBytesAtMost`. Nothing leaves before `flush`. */
  put(message: Message, bytesAtMost: number): void {
    if (bytesAtMost > SMALL_BYTES_MAX) {
      this.#closeChunk();
      const frame = packLarge(message, bytesAtMost);
      this.#waiting.push(frame);
      this.#bytes += frame.length;
      return;
    }
    const packed = packSmall(message);
    const needed = FRAME_HEADER_BYTES + packed.length;
    if (!this.#chunk || this.#chunkTo + needed > CHUNK_BYTES) this.#newChunk();
    const chunk = this.#chunk as Buffer;
    chunk.writeUInt32BE(packed.length, this.#chunkTo);
    chunk.set(packed, this.#chunkTo + FRAME_HEADER_BYTES);
    this.#chunkTo += needed;
    this.#bytes += needed;
  }

  #newChunk(): void {
    this.#closeChunk();
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    this.#chunkFrom = 0;
    this.#chunkTo = 0;
  }

  #closeChunk(): void {
    if (!this.#chunk || this.#chunkTo === this.#chunkFrom) return;
    this.#waiting.push(this.#chunk.subarray(this.#chunkFrom, this.#chunkTo));
    this.#chunkFrom = this.#chunkTo;
  }

  /** Hands over what waits, in one write; the rest follows as the peer takes it. */
  flush(): void {
    if (this.#isWriting) return;
    this.#closeChunk();
    if (this.#waiting.length === 0) return;
    const parts = this.#takeParts();
    const last = parts.pop() as Uint8Array;
    let total = last.length;
    this.#isWriting = true;
    this.#sink.cork();
    for (const part of parts) {
      total += part.length;
      this.#sink.write(part);
    }
    this.#sink.write(last, (error) => {
      if (!error) this.#written(total);
    });
    this.#sink.uncork();
  }

  #takeParts(): Uint8Array[] {
    let count = 0;
    let total = 0;
    while (count < this.#waiting.length && total < WRITE_BYTES_MAX)
      total += (this.#waiting[count++] as Uint8Array).length;
    const parts = count === this.#waiting.length ? this.#waiting : this.#waiting.splice(0, count);
    if (parts === this.#waiting) this.#waiting = [];
    const last = parts[count - 1] as Uint8Array;
    if (total > WRITE_BYTES_MAX) {
      const kept = last.length - (total - WRITE_BYTES_MAX);
      parts[count - 1] = last.subarray(0, kept);
      this.#waiting.unshift(last.subarray(kept));
    }
    return parts;
  }

  #written(total: number): void {
    this.#isWriting = false;
    if (this.#bytes === 0) return;
    this.#bytes -= total;
    this.#onProgress();
    if (this.#bytes === 0) {
      this.#chunkFrom = 0;
      this.#chunkTo = 0;
    } else this.flush();
  }

  /** Forgets what waits. Nothing may be put after that. */
  discard(): void {
    this.#waiting = [];
    this.#chunk = undefined;
    this.#bytes = 0;
  }
}
