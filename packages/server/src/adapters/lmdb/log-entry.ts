import { crc32 } from 'node:zlib';
import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import type { FollowPosition } from '../../ports/store.ts';
import type { FlushChanges, StoreState } from '../flush.ts';
import { readSequence, SEQUENCE_BYTES, writeSequence, writeText } from './key-codec.ts';

/**
 * One commit as the log keeps it. A header of 24 bytes: magic, CRC-32 of all that follows it, bytes of the payload, the
 * log's salt, the entry's number; then the payload. Entries begin at multiples of 512 bytes: a disk writes whole sectors,
 * so an entry that is cut off in the writing cannot take the one before it along. The salt is drawn when a store is made,
 * and told to nobody: a value may hold the bytes of an entry, which must not be taken for one where a shorter commit has
 * been written over its beginning.
 */
export interface LogEntry {
  /** One more than that of the commit before, for ever. */
  readonly number: number;
  readonly sequence: Sequence;
  readonly rows: readonly { readonly key: RecordKey; readonly sequence: Sequence; readonly record: Uint8Array }[];
  readonly removed: readonly RecordKey[];
  readonly state: StateChange | undefined;
}

/** What changed beside the records; most commits change nothing but the sequence. */
export interface StateChange {
  readonly id: StoreId;
  readonly positions: readonly (readonly [StoreId, FollowPosition])[];
  readonly forgotten: readonly StoreId[];
  readonly notes: readonly (readonly [string, string])[];
}

export const SECTOR_BYTES = 512;
const MAGIC = 0x314c_4d4d;
const CRC_AT = 4;
const LENGTH_AT = 8;
const SALT_AT = 12;
const NUMBER_AT = 16;
const HEADER_BYTES = 24;
const ROW_BYTES = 2 + SEQUENCE_BYTES + 4;
const BUFFER_BYTES = 256 * 1024;

/** Encodes entries into one buffer that all share: an entry must be on disk before the next is encoded. */
export class LogEntryWriter {
  readonly #salt: number;
  #buffer = Buffer.alloc(BUFFER_BYTES);
  #at = 0;

  constructor(salt: number) {
    this.#salt = salt;
  }

  /** The entry with its padding: whole sectors. */
  encode(number: number, changes: FlushChanges): Buffer {
    this.#makeRoom(roomFor(changes));
    const { before, after, rows, removed } = changes;
    this.#at = HEADER_BYTES;
    this.#sequence(after.sequence);
    const state = stateChange(before, after);
    this.#bytes(state === undefined ? EMPTY : Buffer.from(JSON.stringify(state)));
    this.#uint32(rows.length);
    for (const { key, sequence, record } of rows) {
      this.#key(key);
      this.#sequence(sequence);
      this.#bytes(record);
    }
    this.#uint32(removed.length);
    for (const { key } of removed) this.#key(key);
    return this.#finish(number);
  }

  #finish(number: number): Buffer {
    const buffer = this.#buffer;
    const end = this.#at;
    buffer.writeUInt32LE(MAGIC, 0);
    buffer.writeUInt32LE(end - HEADER_BYTES, LENGTH_AT);
    buffer.writeUInt32LE(this.#salt, SALT_AT);
    writeSequence(number, buffer, NUMBER_AT);
    buffer.writeUInt32LE(crc32(buffer.subarray(LENGTH_AT, end)), CRC_AT);
    const padded = toSectors(end);
    buffer.fill(0, end, padded);
    return buffer.subarray(0, padded);
  }

  #makeRoom(bytes: number): void {
    if (bytes > this.#buffer.length) this.#buffer = Buffer.alloc(toSectors(bytes));
    else if (this.#buffer.length > BUFFER_BYTES && bytes <= BUFFER_BYTES) this.#buffer = Buffer.alloc(BUFFER_BYTES);
  }

  #uint32(value: number): void {
    this.#at = this.#buffer.writeUInt32LE(value, this.#at);
  }

  #sequence(value: number): void {
    this.#at = writeSequence(value, this.#buffer, this.#at);
  }

  #key(key: string): void {
    const end = writeText(key, this.#buffer, this.#at + 2);
    this.#buffer.writeUInt16LE(end - this.#at - 2, this.#at);
    this.#at = end;
  }

  #bytes(bytes: Uint8Array): void {
    this.#uint32(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }
}

const EMPTY = Buffer.alloc(0);

export function toSectors(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
}

/** An upper bound; states are small. */
function roomFor({ before, after, rows, removed }: FlushChanges): number {
  let bytes = HEADER_BYTES + 4 * SEQUENCE_BYTES;
  for (const { key, record } of rows) bytes += ROW_BYTES + key.length * 3 + record.length;
  for (const { key } of removed) bytes += 2 + key.length * 3;
  const state = stateChange(before, after);
  return toSectors(bytes + (state ? JSON.stringify(state).length * 3 : 0));
}

function stateChange(before: StoreState, after: StoreState): StateChange | undefined {
  if (before.id === after.id && before.positions === after.positions && before.notes === after.notes) return undefined;
  return {
    id: after.id,
    positions: [...after.positions].filter(([origin, position]) => before.positions.get(origin) !== position),
    forgotten: [...before.positions.keys()].filter((origin) => !after.positions.has(origin)),
    notes: [...after.notes].filter(([name, text]) => before.notes.get(name) !== text),
  };
}

/** The state after an entry, from the state before it. */
export function stateAfter(before: StoreState, { sequence, state }: LogEntry): StoreState {
  if (!state) return { ...before, sequence };
  const positions = new Map(before.positions);
  for (const origin of state.forgotten) positions.delete(origin);
  for (const [origin, position] of state.positions) positions.set(origin, position);
  return { id: state.id, sequence, positions, notes: new Map([...before.notes, ...state.notes]) };
}

/** How many bytes the entry that begins with this sector says it has; `undefined` where none of this salt begins, or of any. */
export function entryBytes(sector: Buffer, salt: number | undefined): number | undefined {
  if (sector.readUInt32LE(0) !== MAGIC) return undefined;
  if (salt !== undefined && sector.readUInt32LE(SALT_AT) !== salt) return undefined;
  return HEADER_BYTES + sector.readUInt32LE(LENGTH_AT);
}

/** The number of a whole entry; `undefined` where its CRC says that it is not whole. */
export function entryNumber(entry: Buffer): number | undefined {
  if (crc32(entry.subarray(LENGTH_AT)) !== entry.readUInt32LE(CRC_AT)) return undefined;
  return readSequence(entry, NUMBER_AT);
}

/** Only of a whole entry: its CRC vouches for the rest. Records are views on `entry`. */
export function decodeEntry(entry: Buffer): LogEntry {
  let at = HEADER_BYTES;
  const uint32 = (): number => {
    at += 4;
    return entry.readUInt32LE(at - 4);
  };
  const sequence = (): Sequence => {
    at += SEQUENCE_BYTES;
    return readSequence(entry, at - SEQUENCE_BYTES) as Sequence;
  };
  const bytes = (length: number): Buffer => {
    at += length;
    return entry.subarray(at - length, at);
  };
  const key = (): RecordKey => {
    at += 2;
    return bytes(entry.readUInt16LE(at - 2)).toString('utf8') as RecordKey;
  };
  const last = sequence();
  const stateText = bytes(uint32());
  const rows = Array.from({ length: uint32() }, () => ({
    key: key(),
    sequence: sequence(),
    record: new Uint8Array(bytes(uint32())),
  }));
  const removed = Array.from({ length: uint32() }, key);
  return {
    number: readSequence(entry, NUMBER_AT),
    sequence: last,
    rows,
    removed,
    state: stateText.length === 0 ? undefined : (JSON.parse(stateText.toString('utf8')) as StateChange),
  };
}
