import { TIME_MS_MAX } from '../causality/hybrid-clock.ts';
import { EMPTY_VECTOR, type VersionVector } from '../causality/version-vector.ts';
import { OWN_REQUEST_VERSIONS, REQUEST_ID_LENGTH_MAX, REQUESTS_MAX } from '../coordination/paxos/applied-requests.ts';
import type { AppliedRequest, RegisterValue } from '../coordination/paxos/register.ts';
import type { StoreId } from '../ids.ts';
import { ByteReader, type ByteWriter, MalformedBytes } from './bytes.ts';
import { readVector, writeVector } from './record-codec.ts';

/**
 * The bytes of a register's value, alone or within a state (register-codec.ts, whose format's number covers these). Values
 * from before the writers of requests were kept are read too: there, a request tells no writer.
 */

const VALUE_NONE = 0;
const VALUE = 1;
const FLAG_TOMBSTONE = 2;
const FLAG_EXPIRES = 4;
const FLAG_SESSION = 8;
const FLAG_REQUESTS = 16;
const VALUE_FLAGS = VALUE | FLAG_TOMBSTONE | FLAG_EXPIRES | FLAG_SESSION | FLAG_REQUESTS;

const REQUEST_IS_CLIENTS = 1;
const REQUEST_EXISTED = 2;
/** The request made this very value: version, time, expiry and writer are the value's. */
const REQUEST_OF_VALUE = 4;
const REQUEST_EXPIRES = 8;
const REQUEST_WRITER = 16;
/** What a request has only where it did not make the value. */
const REQUEST_NOT_OF_VALUE = REQUEST_EXPIRES | REQUEST_WRITER;
const REQUEST_FLAGS = REQUEST_IS_CLIENTS | REQUEST_EXISTED | REQUEST_OF_VALUE | REQUEST_EXPIRES | REQUEST_WRITER;

/** So many are checked where they stand, against one another. */
const FEW_REQUESTS = 4;
/** Where the names stand that `passRequests` has gone past. */
const passedNames = new Array<number>(FEW_REQUESTS).fill(0);

/**
 * A value as its bytes, which are decoded when a field is first asked for: an acceptor keeps, compares by ballot, and passes
 * on values that it never looks into.
 */
export class EncodedValue implements RegisterValue {
  /** As `writeValue` writes them; checked. */
  readonly bytes: Uint8Array;
  #decoded: RegisterValue | undefined;

  constructor(bytes: Uint8Array, decoded?: RegisterValue) {
    this.bytes = bytes;
    this.#decoded = decoded;
  }

  /** The same as a plain object. */
  get decoded(): RegisterValue {
    this.#decoded ??= readValue(new ByteReader(this.bytes)) as RegisterValue;
    return this.#decoded;
  }

  get version(): number {
    return this.decoded.version;
  }

  get writer(): StoreId {
    return this.decoded.writer;
  }

  get timeMs(): number {
    return this.decoded.timeMs;
  }

  get body(): Uint8Array | null {
    return this.decoded.body;
  }

  get contentType(): string {
    return this.decoded.contentType;
  }

  get expiresAtMs(): number | null {
    return this.decoded.expiresAtMs;
  }

  get session(): VersionVector {
    return this.decoded.session;
  }

  get requests(): readonly AppliedRequest[] {
    return this.decoded.requests;
  }
}

/** @throws RangeError where `readValue` would refuse it */
export function writeValue(writer: ByteWriter, value: RegisterValue | null): void {
  if (value === null) {
    writer.uint8(VALUE_NONE);
    return;
  }
  if (value instanceof EncodedValue) {
    writer.raw(value.bytes);
    return;
  }
  const { version, timeMs, body, contentType, expiresAtMs, session, requests } = value;
  if (version < 1 || value.writer === '') writer.refuse('a value without version or writer');
  writer.uint8(
    VALUE |
      (body === null ? FLAG_TOMBSTONE : 0) |
      (expiresAtMs === null ? 0 : FLAG_EXPIRES) |
      (session.size === 0 ? 0 : FLAG_SESSION) |
      (requests.length === 0 ? 0 : FLAG_REQUESTS),
  );
  writer.varint(version);
  writer.shortText(value.writer);
  writeTime(writer, timeMs);
  writer.shortText(contentType);
  if (expiresAtMs !== null) writeTime(writer, expiresAtMs);
  if (session.size > 0) writeVector(writer, session);
  if (requests.length > 0) writeRequests(writer, value);
  if (body !== null) writer.blob(body);
}

function writeRequests(writer: ByteWriter, value: RegisterValue): void {
  const { requests } = value;
  const wrong = wrongRequests(value);
  if (wrong) writer.refuse(wrong);
  writer.varint(requests.length);
  let writerBefore = value.writer;
  for (const { id, isClients, version, timeMs, expiresAtMs, existed, writer: requestsWriter } of requests) {
    const isOfValue = version === value.version;
    writer.uint8(
      (isClients ? REQUEST_IS_CLIENTS : 0) |
        (existed ? REQUEST_EXISTED : 0) |
        (isOfValue ? REQUEST_OF_VALUE : 0) |
        (isOfValue || expiresAtMs === null ? 0 : REQUEST_EXPIRES) |
        (isOfValue || requestsWriter === null ? 0 : REQUEST_WRITER),
    );
    writer.shortText(id);
    if (isOfValue) continue;
    writer.varint(version);
    writeTime(writer, timeMs);
    if (expiresAtMs !== null) writeTime(writer, expiresAtMs);
    if (requestsWriter === null) continue;
    // Of a thousand requests, most have the same writer as the one before.
    writer.shortText(requestsWriter === writerBefore ? '' : requestsWriter);
    writerBefore = requestsWriter;
  }
}

function writeTime(writer: ByteWriter, timeMs: number): void {
  if (timeMs > TIME_MS_MAX) writer.refuse('a time out of range');
  writer.varint(timeMs);
}

/** Why a value cannot have these requests; nothing where it can. */
function wrongRequests({ requests, version, writer, timeMs, expiresAtMs }: RegisterValue): string | undefined {
  if (requests.length > REQUESTS_MAX + OWN_REQUEST_VERSIONS) return 'too many requests';
  let last = 0;
  for (const request of requests) {
    const { id } = request;
    if (id === '' || id.length > REQUEST_ID_LENGTH_MAX) return 'a request without a name, or of too long a one';
    if (request.version <= last || request.version > version) return 'requests out of order';
    if (request.version === version && (request.timeMs !== timeMs || request.expiresAtMs !== expiresAtMs))
      return 'a request at odds with its value';
    if (request.writer === '' || (request.writer !== null && !request.isClients)) return 'a request of a wrong writer';
    if (request.version === version && request.isClients && request.writer !== writer)
      return 'a request at odds with the writer of its value';
    last = request.version;
  }
  return isNamedTwice(requests) ? 'a request named twice' : undefined;
}

function isNamedTwice(requests: readonly AppliedRequest[]): boolean {
  if (requests.length > FEW_REQUESTS) return new Set(requests.map(({ id }) => id)).size < requests.length;
  for (let at = 1; at < requests.length; at++) {
    const { id } = requests[at] as AppliedRequest;
    for (let before = 0; before < at; before++) if ((requests[before] as AppliedRequest).id === id) return true;
  }
  return false;
}

/** @throws MalformedBytes where it is not what `writeValue` writes */
export function readValue(reader: ByteReader): RegisterValue | null {
  const flags = reader.uint8();
  if (flags === VALUE_NONE) return null;
  if (!(flags & VALUE) || flags > VALUE_FLAGS) throw new MalformedBytes('a value of an unknown kind');
  const version = reader.varint();
  const writer = reader.shortText() as StoreId;
  if (version === 0 || writer === '') throw new MalformedBytes('a value without version or writer');
  const timeMs = readTime(reader);
  const contentType = reader.shortText();
  const expiresAtMs = flags & FLAG_EXPIRES ? readTime(reader) : null;
  const session = flags & FLAG_SESSION ? readVector(reader) : EMPTY_VECTOR;
  if (flags & FLAG_SESSION && session.size === 0) throw new MalformedBytes('a session announced and not there');
  const requests = flags & FLAG_REQUESTS ? readRequests(reader, { version, writer, timeMs, expiresAtMs }) : [];
  const body = flags & FLAG_TOMBSTONE ? null : reader.blob();
  const value = { version, writer, timeMs, body, contentType, expiresAtMs, session, requests };
  const wrong = flags & FLAG_REQUESTS ? wrongRequests(value) : undefined;
  if (wrong) throw new MalformedBytes(wrong);
  return value;
}

/** Reads a value without decoding it, but checks it as `readValue` does. @throws MalformedBytes */
export function readEncodedValue(reader: ByteReader): EncodedValue | null {
  const from = reader.at;
  if (reader.uint8() === VALUE_NONE) return null;
  reader.back(from);
  const decoded = passValue(reader);
  return new EncodedValue(reader.since(from), decoded);
}

/** Goes past a value. Gives it where it had to be decoded to be checked. */
function passValue(reader: ByteReader): RegisterValue | undefined {
  const from = reader.at;
  const flags = reader.uint8();
  if (!(flags & VALUE) || flags > VALUE_FLAGS) throw new MalformedBytes('a value of an unknown kind');
  const version = reader.varint();
  if (version === 0 || reader.passText() === 0) throw new MalformedBytes('a value without version or writer');
  readTime(reader);
  reader.passText();
  if (flags & FLAG_EXPIRES) readTime(reader);
  if (flags & FLAG_SESSION && readVector(reader).size === 0)
    throw new MalformedBytes('a session announced and not there');
  if (flags & FLAG_REQUESTS && !passRequests(reader, version)) {
    reader.back(from);
    return readValue(reader) as RegisterValue;
  }
  if (!(flags & FLAG_TOMBSTONE)) reader.passBlob();
  return undefined;
}

/**
 * Goes past the requests of a value of this version, if they are few and name no writers, as most are: one for each of the
 * last proposers. Says whether it did; those that are wrong it leaves to `readValue`. @throws MalformedBytes
 */
function passRequests(reader: ByteReader, valuesVersion: number): boolean {
  const count = reader.varint();
  if (count === 0 || count > FEW_REQUESTS) return false;
  let last = 0;
  for (let index = 0; index < count; index++) {
    const flags = reader.uint8();
    const isOfValue = (flags & REQUEST_OF_VALUE) !== 0;
    if (flags > REQUEST_FLAGS || flags & REQUEST_WRITER || (isOfValue && flags & REQUEST_NOT_OF_VALUE)) return false;
    if (!passName(reader, index)) return false;
    const version = isOfValue ? valuesVersion : reader.varint();
    if (version <= last || version > valuesVersion || (version === valuesVersion && !isOfValue)) return false;
    last = version;
    if (isOfValue) continue;
    readTime(reader);
    if (flags & REQUEST_EXPIRES) readTime(reader);
  }
  return true;
}

/** Goes past the name of the request that comes as `index`, if it is another than those before. */
function passName(reader: ByteReader, index: number): boolean {
  const at = reader.at;
  const length = reader.passText();
  if (length === 0 || length > REQUEST_ID_LENGTH_MAX) return false;
  for (let before = 0; before < index; before++) if (reader.isSameText(passedNames[before] as number, at)) return false;
  passedNames[index] = at;
  return true;
}

function readRequests(
  reader: ByteReader,
  value: Pick<RegisterValue, 'version' | 'writer' | 'timeMs' | 'expiresAtMs'>,
): readonly AppliedRequest[] {
  const count = reader.count();
  if (count === 0) throw new MalformedBytes('requests announced and not there');
  const requests: AppliedRequest[] = [];
  let writerBefore = value.writer;
  for (let left = count; left > 0; left--) {
    const flags = reader.uint8();
    const isOfValue = (flags & REQUEST_OF_VALUE) !== 0;
    if (flags > REQUEST_FLAGS || (isOfValue && flags & REQUEST_NOT_OF_VALUE))
      throw new MalformedBytes('a request of an unknown kind');
    const id = reader.shortText();
    const isClients = (flags & REQUEST_IS_CLIENTS) !== 0;
    const existed = (flags & REQUEST_EXISTED) !== 0;
    if (isOfValue) {
      const { version, timeMs, expiresAtMs } = value;
      requests.push({ id, isClients, version, timeMs, expiresAtMs, existed, writer: isClients ? value.writer : null });
      continue;
    }
    const version = reader.varint();
    if (version === value.version) throw new MalformedBytes('a request that repeats its value');
    const timeMs = readTime(reader);
    const expiresAtMs = flags & REQUEST_EXPIRES ? readTime(reader) : null;
    const writer = flags & REQUEST_WRITER ? readWriter(reader, writerBefore) : null;
    writerBefore = writer ?? writerBefore;
    requests.push({ id, isClients, version, timeMs, expiresAtMs, existed, writer });
  }
  return requests;
}

/** Left out where it is the one named before. */
function readWriter(reader: ByteReader, before: StoreId): StoreId {
  const text = reader.shortText();
  if (text === before) throw new MalformedBytes('a request that spells out the writer before');
  return text === '' ? before : (text as StoreId);
}

function readTime(reader: ByteReader): number {
  const timeMs = reader.varint();
  if (timeMs > TIME_MS_MAX) throw new MalformedBytes('a time out of range');
  return timeMs;
}
