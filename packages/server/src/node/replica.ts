import { mergeRecords } from '@meridian/core/causality/merge';
import { lastWriterSibling, liveSiblings, type VersionedRecord } from '@meridian/core/causality/record';
import { type LedgerPolicy, updateRecord } from '@meridian/core/causality/update';
import { descends, type VersionVector } from '@meridian/core/causality/version-vector';
import type { NamespaceId, RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import { namespaceIdOf } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import { decodeRecord, encodeRecord } from '@meridian/core/wire/record-codec';
import { isRegisterBytes } from '@meridian/core/wire/register-codec';
import { decodeStored } from '@meridian/core/wire/stored-record';
import type { Clock } from '../ports/clock.ts';
import {
  type Decide,
  type RecentRecord,
  type Store,
  StoreFailedError,
  StoreFullError,
  type UpdateDecision,
  type UpdateView,
} from '../ports/store.ts';
import type { Catalog } from './catalog.ts';
import { RECORD_BYTES_MAX, WRITE_BYTES_PENDING_MAX, WRITES_PENDING_MAX } from './limits.ts';
import type { PlantedBugs } from './planted-bugs.ts';
import { type KnownState, mergeRegister } from './registers/merge-register.ts';

export interface LocalWrite {
  /** `null` deletes. */
  readonly body: Uint8Array | null;
  readonly contentType: string;
  /** From the moment of the write; `null` lives for ever. */
  readonly ttlMs: number | null;
  readonly context: VersionVector | undefined;
  readonly session: VersionVector;
  /** Only where no live value is found. */
  readonly onlyIfAbsent: boolean;
}

export interface LocalWriteResult {
  readonly store: StoreId;
  /** The record as it stands now; absent where there is none. */
  readonly record: VersionedRecord | undefined;
  readonly bytes: Uint8Array | undefined;
  /** Whether a live value was known before. */
  readonly existed: boolean;
  /** The sequence of the write, where one was made: a delete of nothing and a create of what exists write nothing. */
  readonly sequence: Sequence | undefined;
}

export interface RowToMerge {
  readonly key: RecordKey;
  readonly bytes: Uint8Array;
}

export interface MergeResult {
  /** Keys whose record changed here, with more than one live value now or not. */
  readonly changed: readonly { readonly key: RecordKey; readonly isConflict: boolean }[];
  /** The highest of this store's own sequences that a record named, where that is above any it has issued. */
  readonly aheadOfSelf: Sequence | undefined;
}

const asTheRowSays: KnownState = (_key, state) => state;

/** This node's store in its role as holder of keys: what it reads, writes and merges, alone. */
export class Replica {
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #bugs: PlantedBugs;
  #isWritable = true;
  #onAheadOfSelf: (sequence: Sequence) => void = () => {};
  #known = asTheRowSays;
  #pendingWrites = 0;
  #pendingBytes = 0;

  constructor(store: Store, catalog: Catalog, clock: Clock, bugs: PlantedBugs) {
    this.#store = store;
    this.#catalog = catalog;
    this.#clock = clock;
    this.#bugs = bugs;
  }

  /** A record names a write of this store that this store does not have: its disk is older than what it once sent. */
  listen(onAheadOfSelf: (sequence: Sequence) => void): void {
    this.#onAheadOfSelf = onAheadOfSelf;
  }

  /** From now on merges keep what is `known` to be chosen of registers, though their rows do not say so yet. */
  keep(known: KnownState): void {
    this.#known = known;
  }

  /** For `mergeRows`. */
  get known(): KnownState {
    return this.#known;
  }

  get storeId(): StoreId {
    return this.#store.id;
  }

  /** Whether the last write succeeded: a full disk shows here until there is room again. */
  get isWritable(): boolean {
    return this.#isWritable;
  }

  async #update<Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result> {
    try {
      const result = await this.#store.update(keys, decide);
      this.#isWritable = true;
      return result;
    } catch (error) {
      if (error instanceof StoreFullError || error instanceof StoreFailedError) this.#isWritable = false;
      return asMeridianError(error);
    }
  }

  async readBytes(key: RecordKey): Promise<Uint8Array | undefined> {
    try {
      return await this.#store.get(key);
    } catch (error) {
      return asMeridianError(error);
    }
  }

  /** The record as it is, or was not long ago, where this store held at least what `isEnough` asks for. */
  readRecent(key: RecordKey, isEnough?: (claims: VersionVector) => boolean): RecentRecord | Promise<RecentRecord> {
    const recent = this.#store.getRecent(key, isEnough);
    return recent instanceof Promise ? recent.catch(asMeridianError) : recent;
  }

  async read(key: RecordKey): Promise<VersionedRecord | undefined> {
    try {
      const bytes = await this.#store.get(key);
      return bytes && decodeStored(bytes);
    } catch (error) {
      return asMeridianError(error);
    }
  }

  /** Durable when it resolves. @throws STORE_FULL, STORE_UNAVAILABLE, RATE_LIMITED, VALUE_TOO_LARGE: nothing was written. */
  async write(key: RecordKey, input: LocalWrite): Promise<LocalWriteResult> {
    const bytes = input.body?.length ?? 0;
    if (this.#pendingWrites >= WRITES_PENDING_MAX || this.#pendingBytes + bytes > WRITE_BYTES_PENDING_MAX) {
      const figures = { writesPending: this.#pendingWrites, bytesPending: this.#pendingBytes };
      throw new MeridianError(
        'RATE_LIMITED',
        'too many writes wait for the disk of this store; nothing was written',
        figures,
      );
    }
    this.#pendingWrites += 1;
    this.#pendingBytes += bytes;
    try {
      return await this.#update([key], (view) => this.#decideWrite(view, key, input));
    } finally {
      this.#pendingWrites -= 1;
      this.#pendingBytes -= bytes;
    }
  }

  #decideWrite(view: UpdateView, key: RecordKey, input: LocalWrite): UpdateDecision<LocalWriteResult> {
    const before = view.record(0);
    const current = before && decodeRecord(before);
    const wallMs = this.#clock.wallMs();
    const ledgerPolicy = this.#ledgerPolicy(namespaceIdOf(key));
    const existed = ledgerPolicy
      ? lastWriterSibling(current, wallMs) !== undefined
      : liveSiblings(current, wallMs).length > 0;
    // A delete whose context has seen what this replica has not must be kept, or that value would arrive later and live.
    const deletesUnseen = input.context !== undefined && !descends(current?.vector ?? new Map(), input.context);
    const isNeeded = input.onlyIfAbsent ? !existed : input.body !== null || existed || deletesUnseen;
    if (!isNeeded)
      return {
        writes: [],
        result: { store: view.store, record: current, bytes: before, existed, sequence: undefined },
      };
    const sequence = view.nextSequence;
    const value = {
      body: input.body,
      contentType: input.contentType,
      expiresAtMs: input.ttlMs === null ? null : wallMs + input.ttlMs,
      session: input.session,
    };
    const context = this.#bugs.has('blind-write-without-context') ? (input.context ?? new Map()) : input.context;
    const record = updateRecord(current, context, value, { store: view.store, sequence }, wallMs, ledgerPolicy);
    const bytes = encodeRecord(record);
    if (bytes.length > RECORD_BYTES_MAX) {
      throw new MeridianError(
        'VALUE_TOO_LARGE',
        'the concurrent values of this key are too large together; read it and write with its context',
        {
          recordBytesMax: RECORD_BYTES_MAX,
          siblings: record.siblings.length,
        },
      );
    }
    return {
      writes: [{ key, record: bytes }],
      result: { store: view.store, record, bytes, existed: existed || deletesUnseen, sequence },
    };
  }

  #ledgerPolicy(id: NamespaceId): LedgerPolicy | undefined {
    const namespace = this.#catalog.byId(id);
    if (!namespace || namespace === 'dropped' || namespace.conflict !== 'lww') return undefined;
    return { keepMs: namespace.ledgerKeepSeconds * 1000 };
  }

  /** Merges records that came by another way than the stream. Durable when it resolves; moves no position. */
  async merge(rows: readonly RowToMerge[]): Promise<MergeResult> {
    const held = rows.filter((row) => this.#catalog.isHeldHere(row.key));
    const keys = held.map((row) => row.key);
    const merged = await this.#update(keys, (view) =>
      mergeRows(view, held, this.#clock.wallMs(), this.#bugs, false, this.#known),
    );
    if (merged.aheadOfSelf !== undefined) this.#onAheadOfSelf(merged.aheadOfSelf);
    return merged;
  }
}

/**
 * The merge of rows into a view: the same for every way by which a record comes. A key may stand in `rows` more than once.
 * With `isFill` registers are taken over as a store must that was made anew (`recover`).
 */
export function mergeRows(
  view: UpdateView,
  rows: readonly RowToMerge[],
  wallMs: number,
  bugs: PlantedBugs,
  isFill = false,
  known = asTheRowSays,
) {
  const written = new Map<RecordKey, { record?: VersionedRecord; bytes: Uint8Array; isConflict: boolean }>();
  let aheadOfSelf: Sequence | undefined;
  rows.forEach((row, at) => {
    if (isRegisterBytes(row.bytes)) {
      const before = written.get(row.key)?.bytes ?? view.record(at);
      const bytes = mergeRegister(row.key, before, row.bytes, isFill, bugs, known);
      if (bytes) written.set(row.key, { bytes, isConflict: false });
      return;
    }
    const incoming = decodeRecord(row.bytes);
    const ownSequence = incoming.vector.get(view.store);
    if (ownSequence !== undefined && ownSequence >= view.nextSequence)
      aheadOfSelf = Math.max(aheadOfSelf ?? 0, ownSequence) as Sequence;
    const before = view.record(at);
    const local = written.get(row.key)?.record ?? (before && decodeRecord(before));
    const outcome = mergeRecords(local, incoming, view.applied);
    if (!outcome.changed) return;
    const record = bugs.has('merge-by-clock')
      ? { ...outcome.record, siblings: outcome.record.siblings.slice(0, 1) }
      : outcome.record;
    const bytes = outcome.isIncoming && record === outcome.record ? row.bytes : encodeRecord(record);
    written.set(row.key, { record, bytes, isConflict: liveSiblings(record, wallMs).length > 1 });
  });
  const result: MergeResult = {
    changed: [...written].map(([key, { isConflict }]) => ({ key, isConflict })),
    aheadOfSelf,
  };
  return { writes: [...written].map(([key, { bytes }]) => ({ key, record: bytes })), result };
}

/** Store failures by their names in the error table; others pass through. */
export function asMeridianError(error: unknown): never {
  if (error instanceof StoreFullError)
    throw new MeridianError('STORE_FULL', 'the disk of this store is full; nothing was written');
  if (error instanceof StoreFailedError && error.isDoubtful)
    throw new MeridianError(
      'OUTCOME_UNKNOWN',
      'the store failed, and the write may be found in it after its next start',
    );
  if (error instanceof StoreFailedError)
    throw new MeridianError('STORE_UNAVAILABLE', 'the store failed; nothing was written');
  throw error;
}
