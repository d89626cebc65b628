import type { VersionVector } from '@meridian/core/causality/version-vector';
import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import { ByteReader, ByteWriter, MalformedBytes } from '@meridian/core/wire/bytes';
import type { CacheEntry, CacheLease, CacheLook } from '../../ports/cache.ts';

/*
 * A value begins with what the scripts compare, as digits, since Lua knows no other numbers:
 *   kind (R record, N none, L lease) | sequence | own claim | time     1 + 3 x 16 characters
 * A lease goes on with its token. An entry goes on with its claims and its key, then the record to the end. The key stands in
 * it so that an answer that got under the wrong question is never taken for one to it.
 */
const DIGITS = 16;
export const HEADER_BYTES = 1 + 3 * DIGITS;
const NUMBER = /^\d{16}$/;

const writer = new ByteWriter();
/** The same claims stand in many entries one after another. */
const encodedClaims = new WeakMap<VersionVector, Uint8Array>();

export function encodeEntry(store: StoreId, key: RecordKey, entry: CacheEntry): Buffer {
  const { record, sequence, claims, atMs } = entry;
  const header = `${record ? 'R' : 'N'}${digits(sequence)}${digits(claims.get(store) ?? 0)}${digits(atMs)}`;
  const keyBytes = Buffer.byteLength(key);
  const vector = claimBytes(claims);
  const value = Buffer.allocUnsafe(HEADER_BYTES + vector.length + 2 + keyBytes + (record?.length ?? 0));
  let at = value.write(header, 0, 'latin1');
  value.set(vector, at);
  at = value.writeUInt16BE(keyBytes, at + vector.length);
  at += value.write(key, at);
  if (record) value.set(record, at);
  return value;
}

/** What a reader leaves that found nothing; `reached` as for `Cache.look`. */
export function encodeLease(reached: Sequence, token: string): string {
  return `L${digits(reached)}${digits(0)}${digits(0)}${token}`;
}

/** Nothing where it is no value of ours, or not one of this key. */
export function decodeLook(key: RecordKey, value: Buffer): CacheLook {
  const kind = value.toString('latin1', 0, 1);
  const sequence = number(value, 1);
  const atMs = number(value, 1 + 2 * DIGITS);
  if (sequence === undefined || atMs === undefined) return {};
  if (kind === 'L') return { lease: value.toString('latin1', HEADER_BYTES) as CacheLease };
  if (kind !== 'R' && kind !== 'N') return {};
  try {
    return entryLook(key, value, kind === 'R', sequence as Sequence, atMs);
  } catch (error) {
    if (error instanceof MalformedBytes) return {};
    throw error;
  }
}

function entryLook(key: RecordKey, value: Buffer, hasRecord: boolean, sequence: Sequence, atMs: number): CacheLook {
  const vectorBytes = new ByteReader(value.subarray(HEADER_BYTES)).blob();
  const vector = new ByteReader(vectorBytes);
  const claims = new Map<StoreId, Sequence>();
  for (let left = vector.count(); left > 0; left--)
    claims.set(vector.shortText() as StoreId, vector.varint() as Sequence);
  const keyAt = vectorBytes.byteOffset - value.byteOffset + vectorBytes.length;
  if (keyAt + 2 > value.length) return {};
  const recordAt = keyAt + 2 + value.readUInt16BE(keyAt);
  if (recordAt > value.length || value.toString('utf8', keyAt + 2, recordAt) !== key) return {};
  return { entry: { record: hasRecord ? value.subarray(recordAt) : undefined, sequence, claims, atMs } };
}

function claimBytes(claims: VersionVector): Uint8Array {
  const known = encodedClaims.get(claims);
  if (known) return known;
  writer.varint(claims.size);
  for (const [store, sequence] of claims) {
    writer.shortText(store);
    writer.varint(sequence);
  }
  const vector = writer.take();
  writer.blob(vector);
  const encoded = writer.take();
  encodedClaims.set(claims, encoded);
  return encoded;
}

function digits(value: number): string {
  return String(value).padStart(DIGITS, '0');
}

function number(value: Buffer, from: number): number | undefined {
  const text = value.toString('latin1', from, from + DIGITS);
  return NUMBER.test(text) ? Number(text) : undefined;
}
