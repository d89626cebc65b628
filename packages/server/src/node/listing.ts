import { mergeRecords } from '@meridian/core/causality/merge';
import { EMPTY_RECORD, type VersionedRecord } from '@meridian/core/causality/record';
import { EMPTY_VECTOR, join } from '@meridian/core/causality/version-vector';
import { type SessionToken, tokenAfterRead } from '@meridian/core/coordination/session';
import { compareKeys, endOfNamespace, plainKeyOf, type RecordKey, recordKey, type StoreName } from '@meridian/core/ids';
import { endOfPrefix } from '@meridian/core/placement/key-range';
import type { Namespace } from '@meridian/core/placement/namespace';
import { quorumOf } from '@meridian/core/placement/preference-list';
import { MeridianError } from '@meridian/core/wire/errors';
import type { RowEntries, ScanCall } from '@meridian/core/wire/messages';
import { decodeRecord } from '@meridian/core/wire/record-codec';
import { isRegisterBytes } from '@meridian/core/wire/register-codec';
import { decodeStored } from '@meridian/core/wire/stored-record';
import type { KeyValues } from './key-values.ts';
import { LIST_BYTES_MAX } from './limits.ts';
import { ListingPages, type Scan, type Scanned } from './listing-pages.ts';
import { type Proven, provenBy, type Shown } from './listing-proof.ts';
import type { NodeState } from './node-state.ts';
import type { ChosenMarks } from './registers/chosen-marks.ts';
import { round } from './rounded.ts';
import type { Hop, KeyRange, Level, ListAnswer, ListItem, RequestOptions, SeenValue } from './service.ts';
import { isRelaxed } from './strong-key-values.ts';
import type { Tokens } from './tokens.ts';

interface FoundItem {
  readonly context: string;
  readonly values: readonly SeenValue[];
  /** What a session that reads it has seen then. */
  readonly seen: SessionToken;
}

/** What a listing has come to. */
interface Course {
  readonly namespace: Namespace;
  readonly to: RecordKey;
  readonly limit: number;
  readonly withBodies: boolean;
  readonly options: RequestOptions;
  readonly isExact: boolean;
  readonly token: SessionToken;
  readonly startedAtMs: number;
  readonly start: RecordKey;
  readonly items: ListItem[];
  readonly hops: Hop[];
  readonly answered: Set<StoreName>;
  /** Where it goes on. */
  from: RecordKey;
  isComplete: boolean;
  bytes: number;
  rounds: number;
  after: SessionToken;
  stalenessMs: number | null;
}

/**
 * Keys that are read by themselves at a time. What is asked in one tick goes together (registers/asking.ts), so each such
 * wave costs about one round trip; and several listings at once stay below `CALLS_PENDING_MAX`.
 */
const EXACT_AT_ONCE = 256;

/** Where pages hold fewer items than rows, for they were deleted, the next takes so many times more rows, up to a bound. */
const ROWS_GROWTH = 4;
const ROWS_MAX = 4_096;

/** Listings: each store scans what it holds, the pages are merged in key order. */
export class Listing {
  readonly #state: NodeState;
  readonly #keyValues: KeyValues;
  readonly #pages: ListingPages;
  readonly #tokens: Tokens;

  constructor(state: NodeState, keyValues: KeyValues, marks: ChosenMarks, tokens: Tokens) {
    this.#state = state;
    this.#keyValues = keyValues;
    this.#pages = new ListingPages(state, marks);
    this.#tokens = tokens;
  }

  /**
   * At level strong the keys are those that a majority shows, and where their pages do not prove what a key holds it is read
   * by itself at that level: every item is linearizable for itself, and so is the absence of every key that is left out. The
   * list as a whole is no single moment, as no list over pages can be.
   *
   * Where the time runs out, or too few replicas are there, once it has got past a key, it answers with what it has; the
   * cursor leads to the rest.
   */
  async list(namespace: Namespace, range: KeyRange, asked: RequestOptions): Promise<ListAnswer> {
    const level = levelIn(namespace, asked);
    const isExact = level === 'strong';
    const answer = await this.#list(namespace, range, { ...asked, level: isExact ? 'quorum' : level }, isExact);
    return { ...answer, receipt: { ...answer.receipt, level } };
  }

  async #list(namespace: Namespace, range: KeyRange, options: RequestOptions, isExact: boolean): Promise<ListAnswer> {
    const startedAtMs = this.#state.clock.monotonicMs();
    const token = this.#tokens.openSession(options.session);
    const asked = this.#pages.storesToAsk(namespace, options);
    const purpose = cursorPurpose(namespace, range);
    const to = endOf(namespace, range);
    const start = this.#startOf(namespace, range, purpose);
    const course: Course = {
      namespace,
      to,
      limit: range.limit,
      withBodies: range.withBodies ?? true,
      options,
      isExact,
      token,
      startedAtMs,
      start,
      items: [],
      hops: [],
      answered: new Set(),
      from: start,
      isComplete: compareKeys(start, to) >= 0,
      bytes: 0,
      rounds: 0,
      after: token,
      stalenessMs: 0,
    };
    await this.#run(course, asked);
    const { isComplete, from } = course;
    const cursor = isComplete ? {} : { cursor: this.#state.seal.seal(purpose, utf8.encode(plainKeyOf(from))) };
    return {
      items: course.items,
      ...cursor,
      session: this.#tokens.session(course.after),
      receipt: this.#receiptOf(course, asked.length),
    };
  }

  #receiptOf({ options, answered, rounds, hops, startedAtMs, stalenessMs }: Course, replicasAsked: number) {
    const { clock, self } = this.#state;
    return {
      ...self.whoAmI(),
      level: options.level,
      replicasAsked,
      replicasAnswered: answered.size,
      rounds,
      // Those that were not waited for may yet come.
      hops: [...hops],
      tookMs: round(clock.monotonicMs() - startedAtMs),
      // What a majority acknowledged, a majority shows.
      stalenessMs: options.level === 'quorum' ? 0 : stalenessMs,
    };
  }

  async #run(course: Course, asked: readonly StoreName[]): Promise<void> {
    let stores = asked;
    let rowsMax = course.limit;
    while (!course.isComplete && !isFull(course)) {
      const hasMoved = course.from !== course.start;
      if (hasMoved && this.#leftMs(course) <= 0) return;
      try {
        const scanned = await this.#pages.scan(stores, this.#scanOf(course, rowsMax));
        stores = stores.filter((store) => !scanned.failed.includes(store));
        await this.#take(course, scanned);
      } catch (error) {
        if (course.from === course.start || !(error instanceof MeridianError)) throw error;
        return;
      }
      rowsMax = Math.min(ROWS_MAX, rowsMax * ROWS_GROWTH);
    }
  }

  #leftMs({ options, startedAtMs }: Course): number {
    return options.timeoutMs - (this.#state.clock.monotonicMs() - startedAtMs);
  }

  #scanOf(course: Course, rowsMax: number): Scan {
    const { namespace, from, to, bytes, token, options, hops, rounds, startedAtMs } = course;
    return {
      namespace,
      from,
      to,
      rowsMax,
      bytesMax: LIST_BYTES_MAX - bytes,
      token,
      options: { ...options, timeoutMs: this.#leftMs(course) },
      hops,
      round: rounds + 1,
      startedAtMs,
    };
  }

  /** Takes what the pages show into the answer, key by key, until it is full. */
  async #take(course: Course, { rows, answered, boundary, isComplete, stalenessMs }: Scanned): Promise<void> {
    for (const store of answered) course.answered.add(store);
    if (answered.some((store) => store !== this.#state.self.store)) course.rounds += 1;
    if (stalenessMs === null) course.stalenessMs = null;
    else if (course.stalenessMs !== null) course.stalenessMs = Math.max(course.stalenessMs, stalenessMs);
    const items = course.isExact ? this.#exactItems(course, rows) : this.#itemsOf(course.namespace, rows);
    let taken = 0;
    for await (const [key, { context, values, seen }] of items) {
      taken += 1;
      course.from = `${key}\0` as RecordKey;
      course.after = join(course.after, seen);
      if (values.length === 0) continue;
      const kept = course.withBodies ? values : values.map(withoutBody);
      for (const value of kept) course.bytes += value.body.length;
      course.items.push({ key: plainKeyOf(key), context, values: kept });
      if (isFull(course)) break;
    }
    if (taken < rows.length) return;
    course.isComplete = isComplete;
    if (boundary) course.from = `${boundary}\0` as RecordKey;
  }

  *#itemsOf(namespace: Namespace, rows: Scanned['rows']): Generator<readonly [RecordKey, FoundItem]> {
    for (const [key, shown] of rows) yield [key, this.#itemOf(namespace, key, combined(shown))];
  }

  #itemOf(namespace: Namespace, key: RecordKey, record: VersionedRecord): FoundItem {
    const values = this.#keyValues.valuesOf(record, namespace);
    // Versions of registers are no dots: only what their writers had seen goes into a session.
    const seen = tokenAfterRead(
      EMPTY_VECTOR,
      namespace.mode === 'strong' ? { ...record, vector: EMPTY_VECTOR } : record,
    );
    return { context: this.#tokens.context(key, record.vector), values, seen };
  }

  /** By what the pages prove; the others are read many at a time. @throws whatever hinders the first that cannot be read */
  async *#exactItems(course: Course, rows: Scanned['rows']): AsyncGenerator<readonly [RecordKey, FoundItem]> {
    const { namespace } = course;
    const proofs = rows.map(([key, shown]) => this.#proofOf(namespace, key, shown));
    const unproven = rows.flatMap(([key], at) => (proofs[at] ? [] : [key]));
    let wave: readonly PromiseSettledResult<FoundItem>[] = [];
    let read = 0;
    for (const [at, [key]] of rows.entries()) {
      const proof = proofs[at];
      if (proof) {
        yield [key, this.#itemOf(namespace, key, proof.record ?? EMPTY_RECORD)];
        continue;
      }
      if (read % EXACT_AT_ONCE === 0)
        wave = await this.#readExactly(course, unproven.slice(read, read + EXACT_AT_ONCE));
      const outcome = wave[read % EXACT_AT_ONCE] as PromiseSettledResult<FoundItem>;
      read += 1;
      if (outcome.status === 'rejected') throw outcome.reason;
      yield [key, outcome.value];
    }
  }

  #proofOf(namespace: Namespace, key: RecordKey, shown: Shown): Proven | undefined {
    const replicas = this.#state.catalog.replicasIn(namespace, key);
    const isReplica = (store: StoreName): boolean => replicas.some((replica) => replica.store === store);
    // A store may still hold what another layout had given it.
    const ofReplicas = [...shown.keys()].every(isReplica)
      ? shown
      : new Map([...shown].filter(([store]) => isReplica(store)));
    return provenBy(ofReplicas, quorumOf(replicas.length));
  }

  async #readExactly(course: Course, keys: readonly RecordKey[]): Promise<readonly PromiseSettledResult<FoundItem>[]> {
    const { namespace, options } = course;
    const strong = { ...options, level: 'strong', session: undefined, timeoutMs: this.#leftMs(course) } as const;
    let rounds = 0;
    const wave = await Promise.allSettled(
      keys.map(async (key): Promise<FoundItem> => {
        const { head, values } = await this.#keyValues.get(namespace.name, plainKeyOf(key), strong);
        rounds = Math.max(rounds, head.receipt.rounds);
        return { context: head.context, values, seen: this.#tokens.openSession(head.session) };
      }),
    );
    course.rounds += rounds;
    return wave;
  }

  #startOf(namespace: Namespace, range: KeyRange, purpose: string): RecordKey {
    let start = range.prefix;
    if (range.start !== undefined && compareKeys(range.start, start) > 0) start = range.start;
    if (range.cursor !== undefined) {
      const payload = this.#state.seal.open(purpose, range.cursor);
      if (!payload)
        throw new MeridianError('INVALID_CURSOR', 'the cursor is not one that this cluster issued for this listing');
      start = fromUtf8.decode(payload);
    }
    return recordKey(namespace.id, start);
  }

  /** A peer asks for a page of what this store holds: records, or fingerprints of them. */
  async onCall(call: ScanCall, timeoutMs: number) {
    const page = await this.#pages.pageFor(call, timeoutMs);
    const isFingerprints = call[6];
    const rows: RowEntries = isFingerprints
      ? page.rows.map(([key, bytes]) => [key, this.fingerprint(bytes)] as const)
      : page.rows;
    return [this.#state.store.id, rows, page.isComplete, page.isFilled, page.stalenessMs];
  }

  /** Eight bytes that tell records apart: equal records have equal bytes. */
  fingerprint(record: Uint8Array): Uint8Array {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, this.#state.hashes.bytes(record));
    return new Uint8Array(view.buffer);
  }
}

const utf8 = new TextEncoder();
/** A byte order mark that a key begins with belongs to it. */
const fromUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

function endOf(namespace: Namespace, range: KeyRange): RecordKey {
  const ofPrefix = endOfPrefix(range.prefix);
  const ends = [range.end, ofPrefix].filter((end) => end !== undefined).sort(compareKeys);
  return ends[0] === undefined ? endOfNamespace(namespace.id) : recordKey(namespace.id, ends[0]);
}

function cursorPurpose(namespace: Namespace, { prefix, start, end }: KeyRange): string {
  return `cursor\0${JSON.stringify([namespace.id, prefix, start ?? null, end ?? null])}`;
}

function withoutBody(value: SeenValue): SeenValue {
  return { ...value, body: NO_BODY };
}

const NO_BODY = new Uint8Array(0);

function isFull({ items, limit, bytes }: Course): boolean {
  return items.length >= limit || bytes >= LIST_BYTES_MAX;
}

/** Records merge; of a register the later version stands. One that is not known to be chosen yet may be, so its key is listed without a value. */
function combined(shown: Shown): VersionedRecord {
  let record: VersionedRecord | undefined;
  for (const bytes of shown.values()) {
    if (!isRegisterBytes(bytes)) {
      record = mergeRecords(record, decodeRecord(bytes)).record;
      continue;
    }
    const found = decodeStored(bytes) ?? EMPTY_RECORD;
    if (!record || versionOf(record) < versionOf(found)) record = found;
  }
  return record ?? EMPTY_RECORD;
}

function versionOf(record: VersionedRecord): number {
  return record.siblings[0]?.dot.sequence ?? 0;
}

/** In a namespace of mode strong every level but `eventual`, asked for by name, is strong. */
function levelIn({ mode }: Namespace, options: RequestOptions): Level {
  if (mode === 'strong') return isRelaxed(options) ? 'eventual' : 'strong';
  return options.level;
}
