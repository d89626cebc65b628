import { dotText } from '../causality/dot.ts';
import { mergeRecords } from '../causality/merge.ts';
import type { VersionedRecord } from '../causality/record.ts';
import { updateRecord } from '../causality/update.ts';
import { descends, EMPTY_VECTOR, join, type VersionVector } from '../causality/version-vector.ts';
import type { RecordKey, Sequence, StoreId } from '../ids.ts';
import { decodeRecord, decodeVector, encodeRecord } from '../wire/record-codec.ts';
import {
  isWanted,
  joinsOn,
  positionAfter,
  START_POSITION,
  type StreamBatch,
  type StreamPosition,
} from './change-stream.ts';

/** What the tests switch off, one at a time, to see what it prevents. */
export type Rule = 'guard' | 'claim-apart-from-cursor' | 'filter-by-claim' | 'no-gaps' | 'fill';
export type Rules = ReadonlySet<Rule>;

interface Row {
  readonly sequence: Sequence;
  readonly bytes: Uint8Array;
}

/** What an origin knows of one who follows it. It sends ahead of what it hears back, so its idea can be wrong. */
interface Follower {
  sentTo: Sequence;
  claim: Sequence;
  isFill: boolean;
}

export interface Follow {
  readonly cursor: Sequence;
  readonly applied: Sequence;
  readonly isFill: boolean;
}

export interface Batch extends StreamBatch {
  readonly rows: readonly (readonly [RecordKey, Uint8Array])[];
}

/** A store as the model sees it: records as bytes under their keys, one index row a key, all decisions made by the core. */
export class ModelStore {
  readonly id: StoreId;
  readonly rows = new Map<RecordKey, Row>();
  /** By origin: what others told of their claims. */
  readonly toldBy = new Map<StoreId, VersionVector>();
  readonly #without: Rules;
  readonly #positions = new Map<StoreId, StreamPosition>();
  readonly #followers = new Map<StoreId, Follower>();
  /** Whether it has taken in what its peers held when it was made. */
  #isFilled: boolean;
  #sequence = 0 as Sequence;

  constructor(id: StoreId, isFilled: boolean, without: Rules) {
    this.id = id;
    this.#isFilled = isFilled;
    this.#without = without;
  }

  get sequence(): Sequence {
    return this.#sequence;
  }

  record(key: RecordKey): VersionedRecord | undefined {
    const row = this.rows.get(key);
    return row && decodeRecord(row.bytes);
  }

  claims(): VersionVector {
    const claims = new Map<StoreId, Sequence>([[this.id, this.#sequence]]);
    for (const [origin, { applied }] of this.#positions) claims.set(origin, applied);
    return claims;
  }

  #save(key: RecordKey, bytes: Uint8Array): void {
    this.#sequence = (this.#sequence + 1) as Sequence;
    this.rows.set(key, { sequence: this.#sequence, bytes });
  }

  /** The name of the write. */
  write(key: RecordKey, isDelete: boolean, context: VersionVector | undefined): string {
    const dot = { store: this.id, sequence: (this.#sequence + 1) as Sequence };
    const value = {
      body: isDelete ? null : new Uint8Array(1),
      contentType: '',
      expiresAtMs: null,
      session: EMPTY_VECTOR,
    };
    this.#save(key, encodeRecord(updateRecord(this.record(key), context, value, dot, this.#sequence)));
    return dotText(dot);
  }

  merge(key: RecordKey, bytes: Uint8Array, claims = this.claims()): void {
    const guard = this.#without.has('guard') ? EMPTY_VECTOR : claims;
    const { record, changed, isIncoming } = mergeRecords(this.record(key), decodeRecord(bytes), guard);
    if (changed) this.#save(key, isIncoming ? bytes : encodeRecord(record));
  }

  position(origin: StoreId): StreamPosition {
    return this.#positions.get(origin) ?? START_POSITION;
  }

  follow(origin: StoreId): Follow {
    const { cursor, applied, isFilled } = this.position(origin);
    return { cursor, applied, isFill: !isFilled && !this.#isFilled && !this.#without.has('fill') };
  }

  onFollow(follower: StoreId, { cursor, applied, isFill }: Follow): void {
    this.#followers.set(follower, { sentTo: cursor, claim: applied, isFill });
  }

  onApplied(follower: StoreId, applied: Sequence): void {
    const known = this.#followers.get(follower);
    if (known) known.claim = Math.max(known.claim, applied) as Sequence;
  }

  /** The next rows for a follower, at most `rowsMax`; nothing for one who has been sent all, or never asked. */
  nextBatch(to: StoreId, rowsMax: number): Batch | undefined {
    const follower = this.#followers.get(to);
    if (!follower || (follower.sentTo >= this.#sequence && !follower.isFill)) return undefined;
    const from = follower.sentTo;
    const above = [...this.rows].filter(([, { sequence }]) => sequence > from);
    above.sort(([, left], [, right]) => left.sequence - right.sequence);
    const taken = above.slice(0, rowsMax);
    const isWhole = taken.length === above.length;
    const bound = this.#without.has('filter-by-claim') ? from : follower.claim;
    const wanted = taken.filter(([, { bytes }]) => isWanted(this.id, decodeVector(bytes), bound, follower.isFill));
    follower.sentTo = isWhole ? this.#sequence : (taken.at(-1)?.[1].sequence ?? from);
    if (isWhole) follower.isFill = false;
    return { from, upTo: follower.sentTo, isWhole, rows: wanted.map(([key, { bytes }]) => [key, bytes]) };
  }

  /** Whether the batch joined on. Records and position change together. */
  onBatch(origin: StoreId, batch: Batch): boolean {
    const position = this.position(origin);
    if (!this.#without.has('no-gaps') && !joinsOn(position, batch)) return false;
    const claims = this.claims();
    for (const [key, bytes] of batch.rows) this.merge(key, bytes, claims);
    const isWhole = batch.isWhole || this.#without.has('claim-apart-from-cursor');
    this.#positions.set(origin, positionAfter(position, { ...batch, isWhole }));
    return true;
  }

  checkFilled(origins: readonly StoreId[]): void {
    this.#isFilled ||= origins.every((origin) => this.position(origin).isFilled);
  }

  /**
   * Forgets records with nothing alive in them, once every entry of their vectors is claimed by every replica. The product does not collect yet; the guard can only be seen where something does.
   */
  collect(replicas: readonly StoreId[]): number {
    const told = replicas.map((id) => (id === this.id ? this.claims() : (this.toldBy.get(id) ?? EMPTY_VECTOR)));
    let collected = 0;
    for (const [key, { bytes }] of this.rows) {
      const { siblings, vector } = decodeRecord(bytes);
      if (siblings.some(({ body }) => body !== null)) continue;
      if (!told.every((claims) => descends(claims, vector))) continue;
      this.rows.delete(key);
      collected += 1;
    }
    return collected;
  }

  hear(by: StoreId, claims: VersionVector): void {
    this.toldBy.set(by, join(this.toldBy.get(by) ?? EMPTY_VECTOR, claims));
  }
}
