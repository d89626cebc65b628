import { descends, EMPTY_VECTOR, type VersionVector } from '@meridian/core/causality/version-vector';
import type { SessionToken } from '@meridian/core/coordination/session';
import { isWriteDecided, type QuorumWrite } from '@meridian/core/coordination/write';
import {
  NO_SEQUENCE,
  type NodeName,
  namespaceIdOf,
  type RecordKey,
  type RegionName,
  type Sequence,
  type StoreId,
} from '@meridian/core/ids';
import { type Replica as Place, preferenceList, quorumOf } from '@meridian/core/placement/preference-list';
import { MeridianError } from '@meridian/core/wire/errors';
import { WRITE, type WriteCall, type WriteResult, writeResult } from '@meridian/core/wire/messages';
import { encodeRecord } from '@meridian/core/wire/record-codec';
import { vectorEntries, vectorOf } from '@meridian/core/wire/vector-entries';
import { CallFailed } from './calls.ts';
import { within } from './deadline.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import { quorumUnavailable } from './read-errors.ts';
import type { ReadOutcome } from './read-outcome.ts';
import { NOT_READY, untilReady } from './readiness.ts';
import type { Reads } from './reads.ts';
import type { LocalWriteResult } from './replica.ts';
import { round } from './rounded.ts';
import type { Hop, Level, RequestOptions } from './service.ts';
import { spread } from './spread.ts';
import { storeWithin } from './store-deadline.ts';

export interface WriteInput {
  /** `null` deletes. */
  readonly body: Uint8Array | null;
  readonly contentType: string;
  readonly ttlMs: number | null;
  readonly context: VersionVector | undefined;
  readonly session: SessionToken;
  readonly onlyIfAbsent: boolean;
}

export interface WriteOutcome {
  readonly store: StoreId;
  readonly node: NodeName;
  readonly region: RegionName;
  /** 0 where nothing was written. */
  readonly sequence: Sequence;
  readonly vector: VersionVector;
  readonly timeMs: number;
  readonly expiresAtMs: number | null;
  readonly existed: boolean;
  readonly asked: number;
  readonly answered: number;
  readonly hops: readonly Hop[];
  /** Rounds of messages to other replicas, one after another. */
  readonly rounds: number;
}

/** What was asked of other replicas before the write. */
interface ReadBefore extends Pick<WriteOutcome, 'rounds' | 'hops'> {
  /** Of what a majority was found to hold; nothing where none was asked. */
  readonly vector?: VersionVector;
}

const NOTHING_READ: ReadBefore = { rounds: 0, hops: [] };

/** Writes of one key: on this store where it is a replica, else passed on to the nearest that is. */
export class Writes {
  readonly #state: NodeState;
  readonly #reads: Reads;

  constructor(state: NodeState, reads: Reads) {
    this.#state = state;
    this.#reads = reads;
  }

  write(key: RecordKey, input: WriteInput, options: RequestOptions): Promise<WriteOutcome> {
    const { catalog, self } = this.#state;
    if (!catalog.isHeldHere(key)) return this.#passOn(key, input, options);
    const targets = isOfMajority(options.level) ? catalog.replicas(key) : catalog.replicasInRegion(key, self.region);
    return this.#execute(key, input, targets, options);
  }

  /** A peer in a region without a replica, or on a store without this key, passes a write on. */
  async onCall(from: NodeName, call: WriteCall, requestId: string, timeoutMs: number): Promise<WriteResult> {
    const { catalog, self, peers } = this.#state;
    const [, key, body, contentType, ttlMs, context, session, level, conditions] = call;
    if (!catalog.isHeldHere(key))
      throw new MeridianError('REPLICA_UNAVAILABLE', 'this node holds no replica of the key');
    const places = catalog.replicas(key);
    // A coordinator in a region with none asks for the nearest one: this store.
    const isSameRegion = peers.get(from)?.region === self.region;
    const targets = isOfMajority(level as Level)
      ? places
      : places.filter(({ region, store }) => (isSameRegion ? region === self.region : store === self.store));
    const input = {
      body,
      contentType,
      ttlMs,
      context: context ? vectorOf(context) : undefined,
      session: vectorOf(session),
      onlyIfAbsent: conditions === 1,
    };
    const outcome = await this.#execute(key, input, targets, { requestId, timeoutMs, level: level as Level });
    const { store, sequence, vector, timeMs, expiresAtMs, existed, asked, answered, rounds } = outcome;
    return [store, sequence, vectorEntries(vector), timeMs, expiresAtMs, existed, asked, answered, rounds];
  }

  async #execute(
    key: RecordKey,
    input: WriteInput,
    targets: readonly Place[],
    options: RequestOptions,
  ): Promise<WriteOutcome> {
    const { self, replica, clock } = this.#state;
    const deadlineMs = clock.monotonicMs() + options.timeoutMs;
    const required = quorumOf(targets.length);
    if (required > 1) this.#ensureReachable(targets, required, options.level);
    const startedAtMs = deadlineMs - options.timeoutMs;
    const before = this.#mustReadBefore(key, input, options)
      ? await this.#readBefore(key, input, deadlineMs, options)
      : NOTHING_READ;
    // Last of all that is waited for before the write: the gate may have closed while a read was under way.
    if (this.#state.readyToWrite()) await untilReady(this.#state, deadlineMs - clock.monotonicMs(), gateHeld);
    const result = await within(clock, deadlineMs - clock.monotonicMs(), replica.write(key, input), () =>
      tooSlow(options),
    );
    const timeMs = result.record?.siblings[0]?.timeMs ?? 0;
    const head = {
      ...self.whoAmI(),
      store: result.store,
      sequence: result.sequence ?? NO_SEQUENCE,
      vector: result.record?.vector ?? new Map(),
      timeMs,
      expiresAtMs: result.record?.siblings[0]?.expiresAtMs ?? null,
      existed: result.existed,
    };
    const { vector: held, ...asIs } = before;
    if (required === 1) return { ...head, asked: 1, answered: 1, ...asIs };
    if (result.sequence === undefined && !isBeyond(result.record?.vector, held))
      return { ...head, asked: 1, answered: 1, ...asIs };
    const rounds = before.rounds + 1;
    const atMs = round(clock.monotonicMs() - startedAtMs);
    const { asked, answered, hops } = await this.#spread(key, result, targets, required, { rounds, atMs }, options);
    return { ...head, asked, answered, hops: [...before.hops, ...hops], rounds };
  }

  #ensureReachable(targets: readonly Place[], required: number, level: Level): void {
    const { self, peers, filling } = this.#state;
    const isHere = !isOfMajority(level) || filling.isFilled();
    const missing = targets.filter(({ store }) => (store === self.store ? !isHere : !peers.isStoreLive(store)));
    const reached = targets.length - missing.length;
    if (reached < required) throw quorumUnavailable(required, reached, missing);
  }

  /**
   * What must be known here before the write.
   * - A session's write must follow what the session has seen: where this store does not cover the token yet, the record is
   *   fetched from one that does.
   * - In a last-writer-wins namespace a context may have seen a winner under which other values are hidden. Where this store
   *   has not seen them, it could not keep them in the ledger: they are fetched first.
   * - A conditional or a delete at level quorum looks at a majority.
   * - At level strong the write must stand above all that a majority has (the writer of Attiya, Bar-Noy and Dolev, 1995).
   */
  async #readBefore(
    key: RecordKey,
    input: WriteInput,
    deadlineMs: number,
    options: RequestOptions,
  ): Promise<ReadBefore> {
    const { replica, clock } = this.#state;
    const here = <Result>(work: Promise<Result>) => storeWithin(this.#state, deadlineMs - clock.monotonicMs(), work);
    let rounds = 0;
    let vector: VersionVector | undefined;
    const hops: Hop[] = [];
    const merge = async (read: ReadOutcome): Promise<void> => {
      rounds += read.rounds;
      hops.push(...read.hops);
      if (read.record) await here(replica.merge([{ key, bytes: encodeRecord(read.record) }]));
    };
    if (mustSeeMajority(input, options)) {
      // Refused, it is a read, and what a read at level strong has told a majority must have.
      const level = options.level === 'strong' && mayBeRefused(input) ? 'strong' : 'quorum';
      const read = await this.#reads.readQuorum(key, { ...options, level });
      if (level === 'strong') vector = read.record?.vector ?? EMPTY_VECTOR;
      await merge(read);
    } else if (this.#mustCatchUp(key, input, options)) await merge(await this.#reads.read(key, input.session, options));
    if (input.context && this.#isLastWriterWins(key)) {
      const known = (await here(replica.read(key)))?.vector ?? EMPTY_VECTOR;
      if (!descends(known, input.context))
        await merge(await this.#reads.read(key, input.context, { ...options, level: 'session' }));
    }
    return vector ? { rounds, hops, vector } : { rounds, hops };
  }

  #mustReadBefore(key: RecordKey, input: WriteInput, options: RequestOptions): boolean {
    if (mustSeeMajority(input, options) || this.#mustCatchUp(key, input, options)) return true;
    return input.context !== undefined && this.#isLastWriterWins(key);
  }

  #mustCatchUp(key: RecordKey, { session }: WriteInput, { level }: RequestOptions): boolean {
    return level === 'session' && !this.#state.coverage.isCovered(key, session);
  }

  #isLastWriterWins(key: RecordKey): boolean {
    const namespace = this.#state.catalog.byId(namespaceIdOf(key));
    return namespace !== undefined && namespace !== 'dropped' && namespace.conflict === 'lww';
  }

  /** Sends what is durable here to the other targets, until enough have it on disk. */
  async #spread(
    key: RecordKey,
    result: LocalWriteResult,
    replicas: readonly Place[],
    required: number,
    { rounds, atMs }: { readonly rounds: number; readonly atMs: number },
    { level, requestId, timeoutMs }: RequestOptions,
  ): Promise<{ asked: number; answered: number; hops: readonly Hop[] }> {
    const { self, filling } = this.#state;
    const { write, hops } = await spread(this.#state, {
      key,
      bytes: result.bytes as Uint8Array,
      replicas,
      durable: isOfMajority(level) && !filling.isFilled() ? [] : [self.store],
      required,
      timeoutMs: timeoutMs - atMs,
      requestId,
      round: rounds,
      atMs,
    });
    if (!isWriteDecided(write) && result.sequence === undefined) {
      const missing = replicas.filter(({ store }) => !write.durable.has(store));
      throw quorumUnavailable(required, write.durable.size, missing);
    }
    if (!isWriteDecided(write)) throw outcomeUnknown(write, replicas);
    return { asked: replicas.length, answered: write.durable.size, hops };
  }

  /** Tries the replicas nearest first. Once one may have taken the write, no other is tried: a second dot would make a sibling of it. */
  async #passOn(key: RecordKey, input: WriteInput, options: RequestOptions): Promise<WriteOutcome> {
    const { catalog, peers, self, calls, clock, metrics } = this.#state;
    const places = preferenceList(catalog.replicas(key), self, (region) => peers.rttMs(region));
    metrics.writesPassedOn += 1;
    const { body, contentType, ttlMs, context, session, onlyIfAbsent } = input;
    const call: WriteCall = [
      WRITE,
      key,
      body,
      contentType,
      ttlMs,
      context ? vectorEntries(context) : null,
      vectorEntries(session),
      options.level,
      onlyIfAbsent ? 1 : 0,
    ];
    for (const { store } of places) {
      const peer = peers.ofStore(store);
      if (!peer || !peers.isLive(peer)) continue;
      const startedAtMs = clock.monotonicMs();
      try {
        const result = await calls.call(peer.node, options.requestId, options.timeoutMs, call, writeResult);
        return outcomeOf(result, peer, round(clock.monotonicMs() - startedAtMs));
      } catch (error) {
        if (!(error instanceof CallFailed)) throw error;
        if (error.wasSent)
          throw new MeridianError('OUTCOME_UNKNOWN', `the write was passed on to ${peer.region}, and no answer came`, {
            region: peer.region,
          });
      }
    }
    const missingRegions = [...new Set(places.map(({ region }) => region))];
    throw new MeridianError('REPLICA_UNAVAILABLE', 'no replica of this key can be reached; nothing was written', {
      missingRegions,
    });
  }
}

function mustSeeMajority(input: WriteInput, { level }: RequestOptions): boolean {
  return level === 'strong' || (level === 'quorum' && mayBeRefused(input));
}

/**
 * Whether a write at level strong was refused for something that came here after a majority was asked, by another write that
 * is under way: before it is told to anybody, a majority must have it too.
 */
function isBeyond(found: VersionVector | undefined, held: VersionVector | undefined): boolean {
  return found !== undefined && held !== undefined && !descends(held, found);
}

/** For what the key holds, or does not hold. */
function mayBeRefused({ onlyIfAbsent, body }: WriteInput): boolean {
  return onlyIfAbsent || body === null;
}

/** Levels that count the replicas of all regions. */
function isOfMajority(level: Level): boolean {
  return level === 'quorum' || level === 'strong';
}

function outcomeOf(result: WriteResult, peer: Peer, ms: number): WriteOutcome {
  const [store, sequence, vector, timeMs, expiresAtMs, existed, asked, answered, rounds] = result;
  const hops = [{ node: peer.node, region: peer.region, round: 1, atMs: 0, ms }];
  return {
    store,
    node: peer.node,
    region: peer.region,
    sequence,
    vector: vectorOf(vector),
    timeMs,
    expiresAtMs,
    existed,
    asked,
    answered,
    hops,
    rounds: rounds + 1,
  };
}

function tooSlow({ timeoutMs }: RequestOptions): MeridianError {
  return new MeridianError(
    'OUTCOME_UNKNOWN',
    `the store did not confirm the write within ${timeoutMs} ms; it may still`,
    { timeoutMs },
  );
}

function gateHeld(): MeridianError {
  return new MeridianError('STORE_UNAVAILABLE', `${NOT_READY}; nothing was written`);
}

function outcomeUnknown(write: QuorumWrite, targets: readonly Place[]): MeridianError {
  const missingRegions = [
    ...new Set(targets.filter(({ store }) => !write.durable.has(store)).map(({ region }) => region)),
  ];
  return new MeridianError(
    'OUTCOME_UNKNOWN',
    `required ${write.required}, durable on ${write.durable.size}, not confirmed by ${missingRegions.join(', ')}; the write may still reach them`,
    { required: write.required, reached: write.durable.size, missingRegions },
  );
}
