import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { MeridianError } from '@meridian/core/wire/errors';

/** Smaller answers cost little more than the connection they go to, and most are: those are not counted. */
const COUNTED_BYTES_MIN = 64 * 1024;

/**
 * Large answers that clients have not taken yet, over all connections: whoever asks for many and reads none must not fill
 * the memory. Past the limit reads are refused; what a write or a batch did is told in any case.
 */
export class UnsentAnswers {
  readonly #bytesMax: number;
  #bytes = 0;
  /** By connection: an answer that waits behind others on it gets no event of its own when it closes. */
  readonly #bySocket = new WeakMap<Socket, { bytes: number }>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Counts the answer to a read. The only one is always let through. @throws RATE_LIMITED */
  admit(raw: ServerResponse, bytes: number): void {
    if (bytes < COUNTED_BYTES_MIN) return;
    if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) {
      throw new MeridianError(
        'RATE_LIMITED',
        `Large answers that clients have not read yet take at most ${this.#bytesMax} bytes of memory. Nothing was done.`,
        { bytes, bytesMax: this.#bytesMax },
      );
    }
    this.count(raw, bytes);
  }

  count(raw: ServerResponse, bytes: number): void {
    const { socket } = raw.req;
    if (bytes < COUNTED_BYTES_MIN || socket.destroyed) return;
    const held = this.#heldBy(socket);
    held.bytes += bytes;
    this.#bytes += bytes;
    raw.once('finish', () => {
      if (held.bytes === 0) return;
      held.bytes -= bytes;
      this.#bytes -= bytes;
    });
  }

  #heldBy(socket: Socket): { bytes: number } {
    const known = this.#bySocket.get(socket);
    if (known) return known;
    const held = { bytes: 0 };
    this.#bySocket.set(socket, held);
    socket.once('close', () => {
      this.#bytes -= held.bytes;
      held.bytes = 0;
    });
    return held;
  }
}
