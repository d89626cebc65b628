import { FRAME_HEADER_BYTES } from './message-codec.ts';

/** Given one frame: `bytes[from..to)`. `isOwned` says that `bytes` is that frame alone. Answers whether to go on reading. */
export type TakeFrame = (bytes: Uint8Array, from: number, to: number, isOwned: boolean) => boolean;

/**
 * Cuts a stream of bytes into frames. A frame that lies whole in what one read brought is shown in place; one that spans
 * reads is put together in memory of exactly its size. Nothing else is kept, so a peer costs at most one frame.
 */
export class FrameReader {
  /** May be raised while frames are taken. */
  bytesMax: number;
  readonly #take: TakeFrame;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  #frame: Uint8Array | undefined;
  #filled = 0;

  constructor(bytesMax: number, take: TakeFrame) {
    this.bytesMax = bytesMax;
    this.#take = take;
  }

  /** @returns the length of a frame that is larger than `bytesMax`: nothing after it can be read. */
  read(chunk: Uint8Array): number | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (!this.#frame) {
        const whole = this.#headerFilled === 0 && chunk.length - at >= FRAME_HEADER_BYTES;
        if (!whole) at = this.#fillHeader(chunk, at);
        if (!whole && this.#headerFilled < FRAME_HEADER_BYTES) return undefined;
        const length = whole ? lengthIn(chunk, at) : lengthIn(this.#header, 0);
        if (whole) at += FRAME_HEADER_BYTES;
        this.#headerFilled = 0;
        if (length > this.bytesMax) return length;
        if (at + length <= chunk.length) {
          at += length;
          if (!this.#take(chunk, at - length, at, false)) return undefined;
          continue;
        }
        this.#frame = new Uint8Array(length);
        this.#filled = 0;
      }
      const part = chunk.subarray(at, at + this.#frame.length - this.#filled);
      this.#frame.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled < this.#frame.length) return undefined;
      const frame = this.#frame;
      this.#frame = undefined;
      if (!this.#take(frame, 0, frame.length, true)) return undefined;
    }
    return undefined;
  }

  #fillHeader(chunk: Uint8Array, at: number): number {
    while (at < chunk.length && this.#headerFilled < FRAME_HEADER_BYTES) {
      this.#header[this.#headerFilled++] = chunk[at++] as number;
    }
    return at;
  }
}

function lengthIn(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) * 0x1000000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}
