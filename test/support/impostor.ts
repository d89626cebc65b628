import { connect, type Socket } from 'node:net';
import type { NodeName } from '@meridian/core/ids';
import { PROTOCOL_VERSION } from '@meridian/core/wire/protocol';
import { deriveKey } from '@meridian/server/adapters/system/derive-key';
import { FrameReader } from '@meridian/server/adapters/tcp/frame-reader';
import { dialerHandshake } from '@meridian/server/adapters/tcp/handshake';
import { NONCE_CHARS } from '@meridian/server/adapters/tcp/handshake-frames';
import { systemRandom } from './system-random.ts';

export interface Claims {
  readonly cluster: string;
  readonly node: string;
  readonly secret: Uint8Array;
  readonly version?: number;
}

/** A stranger at the peer port of a node, who speaks the handshake as far as he is able to. */
export class Impostor {
  readonly #socket: Socket;
  readonly #opened: Promise<void>;
  /** Once the node has closed the connection. */
  readonly closed: Promise<void>;

  constructor(address: string) {
    const at = address.lastIndexOf(':');
    this.#socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)) });
    this.#socket.on('error', () => undefined);
    this.#opened = new Promise((resolve) => this.#socket.once('connect', () => resolve()));
    this.closed = new Promise((resolve) => this.#socket.once('close', () => resolve()));
  }

  async send(bytes: Uint8Array): Promise<void> {
    await this.#opened;
    this.#socket.write(bytes);
  }

  /** Goes through the handshake; `true` where the node has taken it for one of its own. */
  async prove(to: string, { cluster, node, secret, version = PROTOCOL_VERSION }: Claims): Promise<boolean> {
    const self = {
      version,
      cluster,
      node: node as NodeName,
      key: deriveKey(deriveKey(secret, 'peers'), 'peer handshake'),
      nonce: systemRandom.id(NONCE_CHARS),
      isKnown: () => true,
    };
    const handshake = dialerHandshake(self, to as NodeName);
    const proved = new Promise<boolean>((resolve) => {
      let isOver = false;
      const reader = new FrameReader(64 * 1024, (bytes, from, end) => {
        if (isOver) return true;
        const step = handshake.take(bytes.subarray(from, end));
        if (step.kind === 'continue') void this.send(framed(step.reply));
        else {
          isOver = true;
          resolve(step.kind === 'proved');
        }
        return true;
      });
      this.#socket.on('data', (chunk: Buffer) => void (isOver || reader.read(chunk)));
      void this.closed.then(() => resolve(false));
    });
    await this.send(framed(handshake.opening));
    return proved;
  }

  /** Goes away without a word. */
  leave(): void {
    this.#socket.destroy();
  }
}

/** Bytes with their length before them. */
export function framed(payload: Uint8Array, length = payload.length): Uint8Array {
  const frame = Buffer.alloc(4 + payload.length);
  frame.writeUInt32BE(length, 0);
  frame.set(payload, 4);
  return frame;
}
