import { ByteReader, ByteWriter } from '@meridian/core/wire/bytes';

/** Nonces are ids of so many letters and digits: 222 bits. */
export const NONCE_CHARS = 43;
export const PROOF_BYTES = 32;
const MAGIC = 'meridian';

const HELLO = 1;
const PROOF = 2;
const REFUSAL = 3;

/** Why a stranger is turned away, as far as it may know. Numbers are on the wire: add, never change. */
export const REFUSAL_CODES = {
  version: 1,
  cluster: 2,
  secret: 3,
  'unknown-node': 4,
  'wrong-node': 5,
  'wrong-direction': 6,
} as const;
export type RefusalReason = keyof typeof REFUSAL_CODES;

/** Says who is there, for whom, and asks for a proof over a fresh nonce. */
export interface Hello {
  readonly version: number;
  readonly cluster: string;
  readonly from: string;
  readonly to: string;
  readonly nonce: string;
}

export type HandshakeFrame =
  | ({ readonly kind: 'hello' } & Hello)
  /** Of another protocol version: nothing but its number can be read. */
  | { readonly kind: 'foreign-hello'; readonly version: number }
  | { readonly kind: 'proof'; readonly proof: Uint8Array }
  | { readonly kind: 'refusal'; readonly version: number; readonly code: number };

/**
 * Magic, kind and, in a hello and a refusal, the version stand first and stay as they are in every version to come, so
 * that nodes of any two versions can tell each other why they do not talk.
 */
function begin(kind: number): ByteWriter {
  const writer = new ByteWriter();
  writer.shortText(MAGIC);
  writer.uint8(kind);
  return writer;
}

export function encodeHello(hello: Hello): Uint8Array {
  const writer = begin(HELLO);
  writer.varint(hello.version);
  writer.shortText(hello.cluster);
  writer.shortText(hello.from);
  writer.shortText(hello.to);
  writer.shortText(hello.nonce);
  return writer.take();
}

export function encodeProof(proof: Uint8Array): Uint8Array {
  const writer = begin(PROOF);
  writer.blob(proof);
  return writer.take();
}

export function encodeRefusal(version: number, reason: RefusalReason): Uint8Array {
  const writer = begin(REFUSAL);
  writer.varint(version);
  writer.uint8(REFUSAL_CODES[reason]);
  return writer.take();
}

/** @returns nothing where the bytes are no frame of a handshake. */
export function decodeHandshakeFrame(bytes: Uint8Array, version: number): HandshakeFrame | undefined {
  try {
    const reader = new ByteReader(bytes);
    if (reader.shortText() !== MAGIC) return undefined;
    const frame = decodeBody(reader, version);
    return frame && (frame.kind === 'foreign-hello' || reader.isAtEnd) ? frame : undefined;
  } catch {
    return undefined;
  }
}

function decodeBody(reader: ByteReader, ownVersion: number): HandshakeFrame | undefined {
  switch (reader.uint8()) {
    case HELLO: {
      const version = reader.varint();
      if (version !== ownVersion) return { kind: 'foreign-hello', version };
      const cluster = reader.shortText();
      const from = reader.shortText();
      const to = reader.shortText();
      const nonce = reader.shortText();
      return nonce.length === NONCE_CHARS ? { kind: 'hello', version, cluster, from, to, nonce } : undefined;
    }
    case PROOF: {
      const proof = reader.blob();
      return proof.length === PROOF_BYTES ? { kind: 'proof', proof } : undefined;
    }
    case REFUSAL:
      return { kind: 'refusal', version: reader.varint(), code: reader.uint8() };
    default:
      return undefined;
  }
}
