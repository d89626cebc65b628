import { createHmac, timingSafeEqual } from 'node:crypto';
import type { NodeName } from '@meridian/core/ids';
import { ByteWriter } from '@meridian/core/wire/bytes';
import type { Rejection } from './figures.ts';
import {
  decodeHandshakeFrame,
  encodeHello,
  encodeProof,
  encodeRefusal,
  type HandshakeFrame,
  type Hello,
  REFUSAL_CODES,
  type RefusalReason,
} from './handshake-frames.ts';

/** What this node brings to a handshake. */
export interface HandshakeSelf {
  readonly version: number;
  readonly cluster: string;
  readonly node: NodeName;
  /** Derived from the cluster's secret, for this use alone. */
  readonly key: Uint8Array;
  /** Fresh, never used before. */
  readonly nonce: string;
  isKnown(node: string): boolean;
}

export type HandshakeStep =
  | { readonly kind: 'continue'; readonly reply: Uint8Array }
  /** Both sides have proved themselves. */
  | { readonly kind: 'proved'; readonly peer: NodeName; readonly reply?: Uint8Array }
  /** Goes nowhere. `reply` tells the other side why, where it may know. */
  | { readonly kind: 'failed'; readonly reason: Rejection; readonly text: string; readonly reply?: Uint8Array };

/** Takes one frame after another until it is proved or failed. */
export interface Handshake {
  take(frame: Uint8Array): HandshakeStep;
}

export interface DialerHandshake extends Handshake {
  /** Opens the conversation. */
  readonly opening: Uint8Array;
}

/** The node with the smaller name dials the other: one connection per pair, and no two that cross. */
export function isDialer(self: string, other: string): boolean {
  return self < other;
}

/**
 * Four frames: the dialer's hello, the listener's hello, the dialer's proof, the listener's proof. A proof is an HMAC
 * under the cluster's key over the prover's role and both hellos, byte for byte: so it holds for these two names, this
 * cluster and version, and these two nonces only. An old proof is worth nothing (the other side's nonce is fresh), nor is
 * one's own sent back (roles differ). The dialer proves first; what a stranger can learn before that is the listener's name.
 */
export function dialerHandshake(self: HandshakeSelf, to: NodeName): DialerHandshake {
  const opening = encodeHello({ version: self.version, cluster: self.cluster, from: self.node, to, nonce: self.nonce });
  let answer: Uint8Array | undefined;
  return {
    opening,
    take: (bytes) => {
      const frame = decodeHandshakeFrame(bytes, self.version);
      const refused = refusalStep(frame, self);
      if (refused) return refused;
      if (!answer) {
        if (frame?.kind !== 'hello') return unexpected(frame, self);
        if (frame.cluster !== self.cluster) return otherCluster(frame, self);
        if (frame.from !== to || frame.to !== self.node)
          return failed('wrong-node', `${quoted(frame.from)} answered where ${quoted(to)} should be`);
        answer = Uint8Array.from(bytes);
        return { kind: 'continue', reply: encodeProof(proofOf(self.key, 'dialer', opening, answer)) };
      }
      if (frame?.kind !== 'proof') return unexpected(frame, self);
      if (!timingSafeEqual(frame.proof, proofOf(self.key, 'listener', opening, answer)))
        return failed('secret', `${quoted(to)} does not know the cluster's secret`);
      return { kind: 'proved', peer: to };
    },
  };
}

export function listenerHandshake(self: HandshakeSelf): Handshake {
  let opening: Uint8Array | undefined;
  let hello: Hello | undefined;
  let answer: Uint8Array | undefined;
  return {
    take: (bytes) => {
      const frame = decodeHandshakeFrame(bytes, self.version);
      const refused = refusalStep(frame, self);
      if (refused) return refused;
      if (!hello || !opening || !answer) {
        if (frame?.kind !== 'hello') return unexpected(frame, self);
        if (frame.cluster !== self.cluster) return otherCluster(frame, self);
        hello = frame;
        opening = Uint8Array.from(bytes);
        answer = encodeHello({
          version: self.version,
          cluster: self.cluster,
          from: self.node,
          to: frame.from,
          nonce: self.nonce,
        });
        return { kind: 'continue', reply: answer };
      }
      if (frame?.kind !== 'proof') return unexpected(frame, self);
      if (!timingSafeEqual(frame.proof, proofOf(self.key, 'dialer', opening, answer)))
        return refusing(self, 'secret', `${quoted(hello.from)} does not know the cluster's secret`);
      return admit(self, hello, () =>
        encodeProof(proofOf(self.key, 'listener', opening as Uint8Array, answer as Uint8Array)),
      );
    },
  };
}

/** Names are looked at after the proof: who has none learns nothing of who is in the cluster. */
function admit(self: HandshakeSelf, hello: Hello, proof: () => Uint8Array): HandshakeStep {
  if (hello.to !== self.node)
    return refusing(
      self,
      'wrong-node',
      `${quoted(hello.from)} looks for ${quoted(hello.to)} here, and this is ${quoted(self.node)}`,
    );
  if (!self.isKnown(hello.from))
    return refusing(self, 'unknown-node', `no node of this cluster is called ${quoted(hello.from)}`);
  if (!isDialer(hello.from, self.node))
    return refusing(self, 'wrong-direction', `${quoted(hello.from)} dials though its name is the larger one`);
  return { kind: 'proved', peer: hello.from as NodeName, reply: proof() };
}

function proofOf(key: Uint8Array, role: 'dialer' | 'listener', opening: Uint8Array, answer: Uint8Array): Uint8Array {
  const writer = new ByteWriter();
  writer.shortText(role);
  writer.blob(opening);
  writer.blob(answer);
  return createHmac('sha256', key).update(writer.take()).digest();
}

function unexpected(frame: HandshakeFrame | undefined, self: HandshakeSelf): HandshakeStep {
  if (frame?.kind === 'foreign-hello')
    return refusing(self, 'version', `it speaks protocol version ${frame.version}, this node ${self.version}`);
  return failed('garbage', 'it sent what is no handshake');
}

function otherCluster(hello: Hello, self: HandshakeSelf): HandshakeStep {
  return refusing(
    self,
    'cluster',
    `it belongs to cluster ${quoted(hello.cluster)}, this node to ${quoted(self.cluster)}`,
  );
}

const REFUSED: Readonly<Record<RefusalReason, string>> = {
  version: '',
  cluster: 'it belongs to another cluster',
  secret: 'it finds that this node does not know its secret',
  'unknown-node': 'it knows no node of this name',
  'wrong-node': 'it is another node than the one that should be there',
  'wrong-direction': 'it is the one to dial, by its smaller name',
};

function refusalStep(frame: HandshakeFrame | undefined, self: HandshakeSelf): HandshakeStep | undefined {
  if (frame?.kind !== 'refusal') return undefined;
  const reason = (Object.keys(REFUSAL_CODES) as RefusalReason[]).find((name) => REFUSAL_CODES[name] === frame.code);
  if (!reason) return failed('garbage', `the peer refused, for reason ${frame.code}`);
  const because =
    reason === 'version' ? `it speaks protocol version ${frame.version}, this node ${self.version}` : REFUSED[reason];
  return failed(reason, `the peer refused: ${because}`);
}

function failed(reason: Rejection, text: string): HandshakeStep {
  return { kind: 'failed', reason, text };
}

function refusing(self: HandshakeSelf, reason: RefusalReason, text: string): HandshakeStep {
  return { kind: 'failed', reason, text, reply: encodeRefusal(self.version, reason) };
}

/** A name that a stranger gives stands in the log cut to size; `shortText` has let printable ASCII through only. */
function quoted(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}...` : name);
}
