import { dotText } from '../causality/dot.ts';
import { TIME_MS_MAX } from '../causality/hybrid-clock.ts';
import { compareEntries } from '../causality/ledger.ts';
import { compareSiblings, type LedgerEntry, type Sibling, type VersionedRecord } from '../causality/record.ts';
import { EMPTY_VECTOR, type VersionVector } from '../causality/version-vector.ts';
import type { Sequence, StoreId } from '../ids.ts';
import { ByteReader, ByteWriter, MalformedBytes } from './bytes.ts';

/**
 * The bytes of a record, the same at rest and between nodes, so that replication ships what the disk holds and stores what
 * came in. The encoding is canonical: equal records have equal bytes.
 *
 * History: 1, the first.
 */
const RECORD_FORMAT = 1;

const FLAG_TOMBSTONE = 1;
const FLAG_EXPIRES = 2;
const FLAG_SESSION = 4;
const TYPE_SHIFT = 3;
/** Types so common that a number stands for them; 0 says that the text follows. */
const KNOWN_TYPES = ['', 'application/json', 'application/octet-stream', 'text/plain', 'text/plain;charset=utf-8'];

const writer = new ByteWriter();

/**
 * @throws RangeError where the record holds what `decodeRecord` would refuse (times, sequences, texts out of range, a dot
 * that its vector does not name): a write that fails is better than a record that nobody can read.
 */
export function encodeRecord(record: VersionedRecord): Uint8Array {
  writer.uint8(RECORD_FORMAT);
  const stores = writeVector(writer, record.vector);
  writer.varint(record.siblings.length);
  for (const sibling of record.siblings) writeSibling(sibling, stores);
  writer.varint(record.ledger.length);
  for (const entry of record.ledger) {
    writeSibling(entry.sibling, stores);
    writeTime(entry.hiddenAtMs);
    writeTime(entry.keepUntilMs);
  }
  return writer.take();
}

function writeSibling(sibling: Sibling, stores: readonly StoreId[]): void {
  const type = Math.max(0, KNOWN_TYPES.indexOf(sibling.contentType, 1));
  writer.uint8(
    (sibling.body === null ? FLAG_TOMBSTONE : 0) |
      (sibling.expiresAtMs === null ? 0 : FLAG_EXPIRES) |
      (sibling.session.size === 0 ? 0 : FLAG_SESSION) |
      (type << TYPE_SHIFT),
  );
  writer.varint(stores.indexOf(sibling.dot.store));
  writer.varint(sibling.dot.sequence);
  writeTime(sibling.timeMs);
  if (type === 0) writer.shortText(sibling.contentType);
  if (sibling.expiresAtMs !== null) writeTime(sibling.expiresAtMs);
  if (sibling.session.size > 0) writeVector(writer, sibling.session);
  if (sibling.body !== null) writer.blob(sibling.body);
}

function writeTime(timeMs: number): void {
  if (timeMs > TIME_MS_MAX) writer.refuse('a time out of range');
  writer.varint(timeMs);
}

/** Writes the entries in the order of their stores, and gives that order. @throws RangeError for an entry of zero, or of no store */
export function writeVector(target: ByteWriter, vector: VersionVector): readonly StoreId[] {
  const stores = [...vector.keys()].sort();
  target.varint(stores.length);
  for (const store of stores) {
    const sequence = vector.get(store) as Sequence;
    if (sequence === 0 || store === '') target.refuse('a vector with an entry of zero, or of no store');
    target.shortText(store);
    target.varint(sequence);
  }
  return stores;
}

/**
 * Reads and checks a record. Bodies are views on `bytes`, not copies.
 * @throws MalformedBytes where `bytes` are not what `encodeRecord` writes.
 */
export function decodeRecord(bytes: Uint8Array): VersionedRecord {
  const reader = new ByteReader(bytes);
  if (reader.uint8() !== RECORD_FORMAT) throw new MalformedBytes('a record of an unknown format');
  const stores: StoreId[] = [];
  const vector = readVector(reader, stores);
  const siblings: Sibling[] = [];
  for (let left = reader.count(); left > 0; left--) {
    const sibling = readSibling(reader, stores, vector);
    const last = siblings[siblings.length - 1];
    if (last && compareSiblings(last, sibling) >= 0) throw new MalformedBytes('siblings out of order');
    siblings.push(sibling);
  }
  const ledger: LedgerEntry[] = [];
  for (let left = reader.count(); left > 0; left--) {
    const entry = {
      sibling: readSibling(reader, stores, vector),
      hiddenAtMs: readTime(reader),
      keepUntilMs: readTime(reader),
    };
    const last = ledger[ledger.length - 1];
    if (last && compareEntries(last, entry) >= 0) throw new MalformedBytes('ledger out of order');
    ledger.push(entry);
  }
  if (!reader.isAtEnd) throw new MalformedBytes('bytes after the end of a record');
  if (siblings.length + ledger.length > 1) refuseRepeatedDots(siblings, ledger);
  return { vector, siblings, ledger };
}

/** The order alone does not show them: the same dot can stand at two times. */
function refuseRepeatedDots(siblings: readonly Sibling[], ledger: readonly LedgerEntry[]): void {
  const dots = new Set<string>();
  for (const { dot } of siblings) dots.add(dotText(dot));
  for (const { sibling } of ledger) dots.add(dotText(sibling.dot));
  if (dots.size < siblings.length + ledger.length) throw new MalformedBytes('a record names one write twice');
}

export function readVector(reader: ByteReader, stores?: StoreId[]): VersionVector {
  const count = reader.count();
  if (count === 0) return EMPTY_VECTOR;
  const vector = new Map<StoreId, Sequence>();
  let last = '';
  for (let left = count; left > 0; left--) {
    const store = reader.shortText() as StoreId;
    if (store <= last) throw new MalformedBytes('a vector out of order');
    last = store;
    const sequence = reader.varint();
    if (sequence === 0) throw new MalformedBytes('a vector with an entry of zero');
    vector.set(store, sequence as Sequence);
    stores?.push(store);
  }
  return vector;
}

function readSibling(reader: ByteReader, stores: readonly StoreId[], vector: VersionVector): Sibling {
  const flags = reader.uint8();
  const type = KNOWN_TYPES[flags >> TYPE_SHIFT];
  const store = stores[reader.varint()];
  const sequence = reader.varint() as Sequence;
  if (type === undefined || store === undefined) throw new MalformedBytes('a sibling names what is not there');
  if (sequence === 0 || (vector.get(store) as Sequence) < sequence)
    throw new MalformedBytes('a dot its record has not seen');
  const timeMs = readTime(reader);
  const contentType = type === '' ? reader.shortText() : type;
  if (type === '' && KNOWN_TYPES.indexOf(contentType, 1) > 0) throw new MalformedBytes('a known type spelled out');
  const expiresAtMs = flags & FLAG_EXPIRES ? readTime(reader) : null;
  const session = flags & FLAG_SESSION ? readVector(reader) : EMPTY_VECTOR;
  if (flags & FLAG_SESSION && session.size === 0) throw new MalformedBytes('a session announced and not there');
  const body = flags & FLAG_TOMBSTONE ? null : reader.blob();
  return { dot: { store, sequence }, timeMs, body, contentType, expiresAtMs, session };
}

function readTime(reader: ByteReader): number {
  const timeMs = reader.varint();
  if (timeMs > TIME_MS_MAX) throw new MalformedBytes('a time out of range');
  return timeMs;
}

/** The record's vector alone: what a stream's filter needs of a record that it ships unread. */
export function decodeVector(bytes: Uint8Array): VersionVector {
  const reader = new ByteReader(bytes);
  if (reader.uint8() !== RECORD_FORMAT) throw new MalformedBytes('a record of an unknown format');
  return readVector(reader);
}
