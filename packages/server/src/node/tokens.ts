import { EMPTY_VECTOR, join, type VersionVector } from '@meridian/core/causality/version-vector';
import type { RecordKey } from '@meridian/core/ids';
import { ByteReader, ByteWriter } from '@meridian/core/wire/bytes';
import { MeridianError } from '@meridian/core/wire/errors';
import { readVector, writeVector } from '@meridian/core/wire/record-codec';
import type { Seal } from '../ports/seal.ts';

const writer = new ByteWriter();
/** The length of the signature at the end of a sealed text that serves as a fingerprint of it. */
const ETAG_LENGTH = 20;

/** What clients carry for us: contexts (a key's version vector) and session tokens, signed, so that none can name writes to come. */
export class Tokens {
  readonly #seal: Seal;
  /** A session's token is mostly the one just given out: opening and sealing it again is the same work twice. */
  #lastSession: { readonly text: string; readonly token: VersionVector } = { text: '', token: EMPTY_VECTOR };

  /** The bytes of the vector written last: a read seals the same one as context and as session token. */
  #lastWritten: { readonly vector: VersionVector; readonly bytes: Uint8Array } | undefined;

  constructor(seal: Seal) {
    this.#seal = seal;
  }

  context(key: RecordKey, vector: VersionVector): string {
    return this.#seal.seal(`context\0${key}`, this.#bytesOf(vector));
  }

  #bytesOf(vector: VersionVector): Uint8Array {
    if (this.#lastWritten?.vector === vector) return this.#lastWritten.bytes;
    writeVector(writer, vector);
    this.#lastWritten = { vector, bytes: writer.take() };
    return this.#lastWritten.bytes;
  }

  /** A validator of what the context stands for: the context's own signature. */
  etag(context: string): string {
    return context.slice(-ETAG_LENGTH);
  }

  session(token: VersionVector): string {
    if (token === this.#lastSession.token && this.#lastSession.text !== '') return this.#lastSession.text;
    const text = this.#seal.seal('session', this.#bytesOf(token));
    this.#lastSession = { text, token };
    return text;
  }

  /** @throws INVALID_CONTEXT */
  openContext(key: RecordKey, text: string | undefined): VersionVector | undefined {
    if (text === undefined) return undefined;
    const vector = this.#open(`context\0${key}`, text);
    if (!vector)
      throw new MeridianError('INVALID_CONTEXT', 'the context is not one that this cluster issued for this key');
    return vector;
  }

  /** @throws INVALID_SESSION */
  openSession(text: string | undefined): VersionVector {
    if (text === undefined || text === '') return EMPTY_VECTOR;
    if (text === this.#lastSession.text) return this.#lastSession.token;
    const token = this.#open('session', text);
    if (!token) throw new MeridianError('INVALID_SESSION', 'the session token is not one that this cluster issued');
    return token;
  }

  /** One token that covers all of these. @throws INVALID_SESSION */
  joinSessions(texts: readonly string[]): string {
    return this.session(texts.map((text) => this.openSession(text)).reduce(join, EMPTY_VECTOR));
  }

  #open(purpose: string, text: string): VersionVector | undefined {
    const payload = this.#seal.open(purpose, text);
    if (!payload) return undefined;
    try {
      return readVector(new ByteReader(payload));
    } catch {
      return undefined;
    }
  }
}
