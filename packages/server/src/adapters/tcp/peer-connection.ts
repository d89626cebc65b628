import type { Socket } from 'node:net';
import type { NodeName } from '@meridian/core/ids';
import { MalformedBytes } from '@meridian/core/wire/bytes';
import type { Message } from '@meridian/core/wire/messages';
import type { CancelTimer, Clock } from '../../ports/clock.ts';
import type { Rejection, TcpFigures } from './figures.ts';
import { FrameReader } from './frame-reader.ts';
import type { Handshake, HandshakeStep } from './handshake.ts';
import type { TcpLimits } from './limits.ts';
import { FRAME_HEADER_BYTES, unpackMessage } from './message-codec.ts';
import { messageBytesAtMost } from './message-size.ts';
import { Outbox } from './outbox.ts';
import { Standstill } from './standstill.ts';

/** How long a refusal may take to leave, and what waits at a stop. */
const LINGER_MS = 1_000;

export interface ConnectionOwner {
  /** The other side has proved itself as `peer`. */
  onProved(connection: PeerConnection, peer: NodeName): void;
  onMessage(connection: PeerConnection, message: Message): void;
  /** A message was not sent, since no frame may hold it. */
  onTooLarge(connection: PeerConnection, bytesAtMost: number): void;
  /** Called once, at once when it is closed from here. `rejection` where the other side is to blame. */
  onClosed(connection: PeerConnection, reason: string, rejection?: Rejection): void;
}

export interface ConnectionParts {
  readonly clock: Clock;
  readonly limits: TcpLimits;
  readonly figures: TcpFigures;
  readonly owner: ConnectionOwner;
}

/**
 * One socket from its opening to its end: first the handshake, under small limits and a deadline, then messages. It closes
 * at the first thing that is wrong, and no frame is looked at after that.
 */
export class PeerConnection {
  readonly remote: string;
  readonly #socket: Socket;
  readonly #handshake: Handshake;
  readonly #parts: ConnectionParts;
  readonly #reader: FrameReader;
  readonly #outbox: Outbox;
  #peer: NodeName | undefined;
  #isClosed = false;
  #isFlushDue = false;
  #socketError: string | undefined;
  /** Since something came from the other side. */
  #hasSpoken = false;
  readonly #stall: Standstill;
  readonly #silence: Standstill;
  readonly #cancelTimer: CancelTimer;

  constructor(socket: Socket, remote: string, handshake: Handshake, parts: ConnectionParts) {
    this.remote = remote;
    this.#socket = socket;
    this.#handshake = handshake;
    this.#parts = parts;
    this.#reader = new FrameReader(parts.limits.strangerFrameBytesMax, (bytes, from, to, isOwned) =>
      this.#takeFrame(bytes, from, to, isOwned),
    );
    this.#outbox = new Outbox(socket, () => {
      this.#stall.moved();
      if (this.#isClosed && this.#outbox.bytes === 0) socket.end();
    });
    const { handshakeMs, stallMs, silentMs } = parts.limits;
    this.#stall = new Standstill(
      parts.clock,
      stallMs,
      () => this.#outbox.bytes > 0,
      () => this.close(`it took nothing for ${stallMs} ms, and ${this.#outbox.bytes} bytes wait`, 'stalled'),
    );
    this.#silence = new Standstill(
      parts.clock,
      silentMs,
      () => this.#hasSpoken,
      () => this.close(`nothing came from it for ${silentMs} ms`, 'silent'),
    );
    this.#cancelTimer = parts.clock.timer(handshakeMs, () =>
      this.close(
        socket.connecting ? `no answer within ${handshakeMs} ms` : `no proof within ${handshakeMs} ms`,
        'timeout',
      ),
    );
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#socketError = error.code ?? 'socket error';
    });
    socket.on('end', () => this.close('closed by the peer'));
    socket.on('close', () => this.close(this.#socketError ?? 'closed'));
  }

  /** Set once the other side has proved itself, and kept after the close. */
  get peer(): NodeName | undefined {
    return this.#peer;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get bufferedBytes(): number {
    return this.#outbox.bytes;
  }

  /** Sends a frame of the handshake at once. */
  sendFrame(payload: Uint8Array): void {
    const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
    frame.writeUInt32BE(payload.length, 0);
    frame.set(payload, FRAME_HEADER_BYTES);
    this.#parts.figures.bytesOut += frame.length;
    this.#socket.write(frame);
  }

  /** `false` where it is not proved or closed, where too much waits already, or where no frame holds the message. */
  send(message: Message): boolean {
    const { limits, figures, clock } = this.#parts;
    if (this.#isClosed || this.#peer === undefined) return false;
    const before = this.#outbox.bytes;
    if (before >= limits.bytesBufferedMax) return false;
    const bytesAtMost = messageBytesAtMost(message);
    if (bytesAtMost > limits.frameBytesMax) {
      this.#parts.owner.onTooLarge(this, bytesAtMost);
      return false;
    }
    this.#outbox.put(message, bytesAtMost);
    this.#hasSpoken = true;
    figures.framesOut++;
    figures.bytesOut += this.#outbox.bytes - before;
    if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      clock.soon(() => this.#flush());
    }
    return true;
  }

  #flush(): void {
    this.#isFlushDue = false;
    if (!this.#isClosed) this.#outbox.flush();
  }

  #read(chunk: Uint8Array): void {
    if (this.#isClosed) return;
    this.#hasSpoken = false;
    this.#silence.moved();
    this.#parts.figures.bytesIn += chunk.length;
    // A plain view: msgpackr then gives plain byte arrays, which are also cheaper to make than a Buffer.
    const oversized = this.#reader.read(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    if (oversized !== undefined && !this.#isClosed)
      this.close(`a frame of ${oversized} bytes, where ${this.#reader.bytesMax} are allowed`, 'oversized');
  }

  #takeFrame(bytes: Uint8Array, from: number, to: number, isOwned: boolean): boolean {
    this.#parts.figures.framesIn++;
    if (this.#peer === undefined) this.#step(this.#handshake.take(bytes.subarray(from, to)));
    else this.#takeMessage(bytes, from, to, isOwned);
    return !this.#isClosed;
  }

  #step(step: HandshakeStep): void {
    if (step.reply) this.sendFrame(step.reply);
    if (step.kind === 'failed') this.#close(step.text, step.reason, step.reply !== undefined);
    if (step.kind !== 'proved') return;
    this.#peer = step.peer;
    this.#reader.bytesMax = this.#parts.limits.frameBytesMax;
    this.#cancelTimer();
    this.#stall.watch();
    this.#silence.watch();
    this.#parts.owner.onProved(this, step.peer);
  }

  #takeMessage(bytes: Uint8Array, from: number, to: number, isOwned: boolean): void {
    let message: Message;
    try {
      message = unpackMessage(bytes, from, to, isOwned);
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      this.close(`it sent what is no message: ${error.message}`, 'garbage');
      return;
    }
    this.#parts.owner.onMessage(this, message);
  }

  /** What waits is lost, and what is on its way may be. */
  close(reason: string, rejection?: Rejection): void {
    this.#close(reason, rejection, false);
  }

  /** Lets what was sent leave first, for a second at most. */
  finish(reason: string): void {
    this.#close(reason, undefined, !this.#socket.connecting);
  }

  #close(reason: string, rejection: Rejection | undefined, lingers: boolean): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTimer();
    this.#stall.stop();
    this.#silence.stop();
    if (lingers) this.#linger();
    else {
      this.#outbox.discard();
      this.#socket.destroy();
    }
    this.#parts.owner.onClosed(this, reason, rejection);
  }

  /** It goes on reading, to throw away: a socket that is closed with bytes unread resets the connection, and its last words with it. */
  #linger(): void {
    const cancel = this.#parts.clock.timer(LINGER_MS, () => {
      this.#outbox.discard();
      this.#socket.destroy();
    });
    this.#socket.on('close', cancel);
    this.#outbox.flush();
    if (this.#outbox.bytes === 0) this.#socket.end();
  }

  /** Resolves when nothing of the socket is left. */
  closed(): Promise<void> {
    return this.#socket.closed ? Promise.resolve() : new Promise((done) => this.#socket.once('close', () => done()));
  }
}
