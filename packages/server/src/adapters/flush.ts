import type { VersionVector } from '@meridian/core/causality/version-vector';
import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import type { Decide, FollowPosition, RecordWrite, StoredRow, UpdateDecision, UpdateView } from '../ports/store.ts';

/** What a store keeps beside its records. Never changed once published: each flush makes the next one. */
export interface StoreState {
  readonly id: StoreId;
  readonly sequence: Sequence;
  readonly positions: ReadonlyMap<StoreId, FollowPosition>;
  readonly notes: ReadonlyMap<string, string>;
}

/** A row put by a flush, and the row of its key that it replaces: 0 for none. */
export interface FlushedRow extends StoredRow {
  readonly replaces: Sequence;
}

/** All that one flush changes: durable together, or not at all. */
export interface FlushChanges {
  readonly before: StoreState;
  readonly after: StoreState;
  /** Records put, in the order of their sequences, one a key. */
  readonly rows: readonly FlushedRow[];
  readonly removed: readonly { readonly key: RecordKey; readonly replaces: Sequence }[];
}

/** A flush of so many keys takes the event loop about 10 ms; more would be felt by reads that wait behind it. */
export const FLUSH_KEYS_MAX = 1024;
/** Bytes written by one flush after which it takes no further updates. One update is never divided. */
export const FLUSH_BYTES_MAX = 4 * 1024 * 1024;

/** Where a flush finds the rows that it has not written itself. */
export interface RowSource {
  /** The row as the last successful commit left it. */
  read(key: RecordKey): Omit<StoredRow, 'key'> | undefined;
}

/** One update that waits for its turn in a flush. */
export interface FlushRequest {
  readonly keys: readonly RecordKey[];
  readonly decide: Decide<unknown> | undefined;
  readonly amend: ((draft: Draft) => unknown) | undefined;
  result: unknown;
  hasFailed: boolean;
}

/** The state that a flush is about to make durable. */
export interface Draft {
  id: StoreId;
  sequence: number;
  positions: ReadonlyMap<StoreId, FollowPosition>;
  notes: ReadonlyMap<string, string>;
}

/** One key in a flush: what the decisions before left of it. */
interface Entry {
  readonly key: RecordKey;
  /** Its row before this flush; 0 for none. */
  readonly durableSequence: number;
  sequence: number;
  record: Uint8Array | undefined;
  isWritten: boolean;
  /** The turns at which a request asked for it and wrote it, so that a decision cannot write what it did not ask for. */
  askedAt: number;
  writtenAt: number;
}

/** Decisions of one flush, each on top of those before it. */
export class Flush implements UpdateView {
  readonly #source: RowSource;
  readonly #before: StoreState;
  readonly #draft: Draft;
  readonly #entries = new Map<RecordKey, Entry>();
  /** In the order written; an entry written again stands twice. */
  readonly #written: Entry[] = [];
  readonly #writtenSequences: number[] = [];
  #turn = 0;
  #keysSeen = 0;
  #bytesWritten = 0;
  /** The entries of the request whose turn it is, as its keys. */
  #asked: Entry[] = [];

  constructor(source: RowSource, before: StoreState) {
    this.#source = source;
    this.#before = before;
    this.#draft = { ...before };
  }

  get isLarge(): boolean {
    return this.#keysSeen >= FLUSH_KEYS_MAX || this.#bytesWritten >= FLUSH_BYTES_MAX;
  }

  get store(): StoreId {
    return this.#draft.id;
  }

  get nextSequence(): Sequence {
    return (this.#draft.sequence + 1) as Sequence;
  }

  get applied(): VersionVector {
    const applied = new Map<StoreId, Sequence>();
    for (const [origin, position] of this.#draft.positions) {
      if (position.applied > 0) applied.set(origin, position.applied);
    }
    if (this.#draft.sequence > 0) applied.set(this.#draft.id, this.#draft.sequence as Sequence);
    return applied;
  }

  record(at: number): Uint8Array | undefined {
    return this.#asked[at]?.record;
  }

  position(origin: StoreId): FollowPosition | undefined {
    return this.#draft.positions.get(origin);
  }

  run(request: FlushRequest): void {
    this.#turn++;
    this.#keysSeen += 1 + request.keys.length;
    try {
      if (request.decide) {
        this.#readKeys(request.keys);
        const decision = request.decide(this);
        this.#check(decision.writes);
        this.#apply(decision);
        request.result = decision.result;
      } else {
        request.result = request.amend?.(this.#draft);
      }
    } catch (error) {
      request.hasFailed = true;
      request.result = error;
    }
  }

  #readKeys(keys: readonly RecordKey[]): void {
    const asked: Entry[] = [];
    for (const key of keys) {
      let entry = this.#entries.get(key);
      if (entry === undefined) {
        entry = this.#load(key);
        this.#entries.set(key, entry);
      }
      entry.askedAt = this.#turn;
      asked.push(entry);
    }
    this.#asked = asked;
  }

  #load(key: RecordKey): Entry {
    const row = this.#source.read(key);
    const sequence = row?.sequence ?? 0;
    const record = row?.record;
    return { key, durableSequence: sequence, sequence, record, isWritten: false, askedAt: 0, writtenAt: 0 };
  }

  /** Before anything is applied: of a decision that fails nothing may remain. */
  #check(writes: readonly RecordWrite[]): void {
    for (const { key } of writes) {
      const entry = this.#entries.get(key);
      if (entry?.askedAt !== this.#turn) throw new Error('a decision writes a key that was not asked for');
      if (entry.writtenAt === this.#turn) throw new Error('a decision writes a key twice');
      entry.writtenAt = this.#turn;
    }
  }

  #apply(decision: UpdateDecision<unknown>): void {
    for (const { key, record } of decision.writes) {
      const entry = this.#entries.get(key) as Entry;
      if (record === null) {
        // A removal takes no sequence; where there is nothing it changes nothing.
        if (entry.record === undefined && !entry.isWritten) continue;
        entry.record = undefined;
        entry.sequence = 0;
      } else {
        entry.record = record;
        entry.sequence = ++this.#draft.sequence;
        this.#bytesWritten += record.length;
        this.#written.push(entry);
        this.#writtenSequences.push(entry.sequence);
      }
      entry.isWritten = true;
    }
    if (decision.positions && decision.positions.size > 0) {
      this.#draft.positions = new Map([...this.#draft.positions, ...decision.positions]);
    }
  }

  /** What must be committed; `undefined` where nothing changed. */
  changes(): FlushChanges | undefined {
    const before = this.#before;
    const { id, sequence, positions, notes } = this.#draft;
    const removed: { key: RecordKey; replaces: Sequence }[] = [];
    for (const { key, isWritten, durableSequence, record } of this.#entries.values()) {
      if (isWritten && durableSequence > 0 && record === undefined)
        removed.push({ key, replaces: durableSequence as Sequence });
    }
    const isSame = sequence === before.sequence && positions === before.positions && id === before.id;
    if (isSame && notes === before.notes && removed.length === 0) return undefined;
    const after: StoreState = { id, sequence: sequence as Sequence, positions, notes };
    return { before, after, rows: this.#rows(), removed };
  }

  #rows(): FlushedRow[] {
    const rows: FlushedRow[] = [];
    for (let at = 0; at < this.#written.length; at++) {
      const { key, sequence, record, durableSequence } = this.#written[at] as Entry;
      if (record === undefined || sequence !== this.#writtenSequences[at]) continue;
      rows.push({ key, sequence: sequence as Sequence, record, replaces: durableSequence as Sequence });
    }
    return rows;
  }
}

export function extended<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key, value: Value): ReadonlyMap<Key, Value> {
  return new Map(map).set(key, value);
}
