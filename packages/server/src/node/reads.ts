import type { VersionedRecord } from '@meridian/core/causality/record';
import { EMPTY_VECTOR, type VersionVector } from '@meridian/core/causality/version-vector';
import {
  addReadFailure,
  addReply,
  isReadDecided,
  isReadImpossible,
  type QuorumRead,
  staleReplicas,
  startRead,
} from '@meridian/core/coordination/read';
import type { SessionToken } from '@meridian/core/coordination/session';
import { isWriteDecided } from '@meridian/core/coordination/write';
import {
  type NodeName,
  namespaceIdOf,
  type RecordKey,
  type RegionName,
  type StoreId,
  type StoreName,
} from '@meridian/core/ids';
import { type Replica as Place, preferenceList, quorumOf } from '@meridian/core/placement/preference-list';
import { MeridianError } from '@meridian/core/wire/errors';
import { MERGE, mergeResult, READ, type ReadCall, readResult } from '@meridian/core/wire/messages';
import { decodeRecord, encodeRecord } from '@meridian/core/wire/record-codec';
import { decodeStored } from '@meridian/core/wire/stored-record';
import { vectorEntries, vectorOf } from '@meridian/core/wire/vector-entries';
import type { RecentRecord } from '../ports/store.ts';
import { isCounted } from './counted.ts';
import { within } from './deadline.ts';
import { type Attempt, firstSuccess } from './hedge.ts';
import { HEDGE_MS, REPAIR_WAIT_MS } from './limits.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import { noneInTime, notCovered, quorumUnavailable, storeTooSlow } from './read-errors.ts';
import { round } from './rounded.ts';
import type { Hop, RequestOptions } from './service.ts';
import { spread } from './spread.ts';
import { stalenessMs } from './staleness.ts';
import { storeWithin } from './store-deadline.ts';

/** What a read found, and who answered. */
export interface ReadOutcome {
  readonly record: VersionedRecord | undefined;
  readonly node: NodeName;
  readonly region: RegionName;
  readonly store: StoreId;
  readonly asked: number;
  readonly answered: number;
  readonly hops: readonly Hop[];
  /** Rounds of questions to other replicas, one after another. */
  readonly rounds: number;
  readonly stalenessMs: number | null;
}

/** Reads of one key, at every level, from whichever replicas the level wants. */
export class Reads {
  readonly #state: NodeState;
  readonly #known: (key: RecordKey, bytes: Uint8Array) => Uint8Array;

  /** `known`: a row with what is known of it beyond what it says. */
  constructor(state: NodeState, known: (key: RecordKey, bytes: Uint8Array) => Uint8Array) {
    this.#known = known;
    this.#state = state;
  }

  /** At once where nothing has to be waited for. */
  read(key: RecordKey, token: SessionToken, options: RequestOptions): ReadOutcome | Promise<ReadOutcome> {
    const { catalog } = this.#state;
    if (options.level === 'eventual') {
      if (!catalog.isHeldHere(key)) return this.#readNearest(key, options);
      return this.#readHereFirst(key, null, options, this.#readHere(key));
    }
    return options.level === 'session' ? this.#readSession(key, token, options) : this.readQuorum(key, options);
  }

  #readHere(key: RecordKey, isEnough?: (claims: VersionVector) => boolean): ReadOutcome | Promise<ReadOutcome> {
    const recent = this.#state.replica.readRecent(key, isEnough);
    return recent instanceof Promise
      ? recent.then((found) => this.#foundHere(key, found))
      : this.#foundHere(key, recent);
  }

  #foundHere(key: RecordKey, { record, ageMs }: RecentRecord): ReadOutcome {
    const { self, replica, metrics } = this.#state;
    metrics.readsLocal += 1;
    const behindMs = stalenessMs(this.#state, namespaceIdOf(key));
    return {
      record: record && decodeStored(record),
      node: self.node,
      region: self.region,
      store: replica.storeId,
      asked: 1,
      answered: 1,
      hops: NO_HOPS,
      rounds: 0,
      stalenessMs: behindMs === null ? null : behindMs + ageMs,
    };
  }

  /** The database of a shared store may be away, or slow: then others have the key too. */
  #readHereFirst(
    key: RecordKey,
    token: SessionToken | null,
    options: RequestOptions,
    here: ReadOutcome | Promise<ReadOutcome>,
  ): ReadOutcome | Promise<ReadOutcome> {
    const { store } = this.#state;
    return store.shared && here instanceof Promise ? this.#patiently(key, token, options, here) : here;
  }

  async #patiently(
    key: RecordKey,
    token: SessionToken | null,
    options: RequestOptions,
    here: Promise<ReadOutcome>,
  ): Promise<ReadOutcome> {
    const { clock } = this.#state;
    const startedAtMs = clock.monotonicMs();
    try {
      return await within(clock, Math.min(STORE_PATIENCE_MS, options.timeoutMs / 2), here, storeTooSlow);
    } catch {
      const leftMs = options.timeoutMs - (clock.monotonicMs() - startedAtMs);
      const others = this.#livePeers(key).map((peer) => this.#attempt(peer, key, token, options));
      return this.#hedged([{ patienceMs: 0, run: () => here }, ...others], leftMs, storeTooSlow);
    }
  }

  #placesNearestFirst(key: RecordKey): readonly Place[] {
    const { catalog, self, peers } = this.#state;
    return preferenceList(catalog.replicas(key), self, (region) => peers.rttMs(region));
  }

  #livePeers(key: RecordKey): Peer[] {
    const { peers, self } = this.#state;
    return this.#placesNearestFirst(key)
      .filter(({ store }) => store !== self.store && peers.isStoreLive(store))
      .map(({ store }) => peers.ofStore(store) as Peer);
  }

  #readNearest(key: RecordKey, options: RequestOptions): Promise<ReadOutcome> {
    const targets = this.#livePeers(key);
    if (targets.length === 0) throw this.#noReplica(key);
    const attempts = targets.map((peer) => this.#attempt(peer, key, null, options));
    return this.#hedged(attempts, options.timeoutMs, noneInTime);
  }

  #hedged(attempts: readonly Attempt<ReadOutcome>[], timeoutMs: number, late: () => Error): Promise<ReadOutcome> {
    const { clock } = this.#state;
    return within(clock, timeoutMs, firstSuccess(clock, attempts), late).catch((error: unknown) => {
      throw error instanceof MeridianError ? error : noneInTime();
    });
  }

  #noReplica(key: RecordKey): MeridianError {
    const missingRegions = [...new Set(this.#state.catalog.replicas(key).map(({ region }) => region))];
    return new MeridianError('REPLICA_UNAVAILABLE', 'no replica of this key can be reached', { missingRegions });
  }

  #attempt(peer: Peer, key: RecordKey, token: SessionToken | null, options: RequestOptions): Attempt<ReadOutcome> {
    return {
      patienceMs: (peer.rttMs ?? HEDGE_MS) * 1.5 + HEDGE_MS,
      run: async () => {
        const startedAtMs = this.#state.clock.monotonicMs();
        const { bytes, store, stalenessMs } = await this.#ask(peer, key, token, options.requestId, options.timeoutMs);
        const hop = this.#hop(peer, startedAtMs);
        return {
          record: bytes ? decodeStored(bytes) : undefined,
          node: peer.node,
          region: peer.region,
          store,
          asked: 1,
          answered: 1,
          hops: [hop],
          rounds: 1,
          stalenessMs: stalenessMs === null ? null : stalenessMs + Math.ceil(hop.ms),
        };
      },
    };
  }

  #hop(peer: Peer, startedAtMs: number): Hop {
    const ms = round(this.#state.clock.monotonicMs() - startedAtMs);
    return { node: peer.node, region: peer.region, round: 1, atMs: 0, ms };
  }

  async #ask(peer: Peer, key: RecordKey, token: SessionToken | null, requestId: string, timeoutMs: number) {
    const call: ReadCall = [READ, key, token && vectorEntries(token)];
    const [bytes, store, isFilled, stalenessMs] = await this.#state.calls.call(
      peer.node,
      requestId,
      timeoutMs,
      call,
      readResult,
    );
    return { bytes, store, isFilled, stalenessMs };
  }

  /** A peer asks for what this store holds. */
  async onCall([, key, cover]: ReadCall, timeoutMs: number) {
    const { catalog, coverage, replica } = this.#state;
    if (!catalog.isHeldHere(key))
      throw new MeridianError('REPLICA_UNAVAILABLE', 'this node holds no replica of the key');
    if (cover) {
      const token = vectorOf(cover);
      if (!(await coverage.wait(() => coverage.isCovered(key, token), timeoutMs))) throw notCovered();
    }
    const countedBefore = isCounted(this.#state);
    const bytes = await replica.readBytes(key);
    return [
      bytes ? this.#known(key, bytes) : null,
      replica.storeId,
      // Both before the row was read and after: it may have been filled, or found to lack something, meanwhile.
      countedBefore && isCounted(this.#state),
      stalenessMs(this.#state, namespaceIdOf(key)),
    ];
  }

  /** Whoever first covers the session: this store, once what it lacks has come, or a replica that has it already. */
  #readSession(key: RecordKey, token: SessionToken, options: RequestOptions): ReadOutcome | Promise<ReadOutcome> {
    const { catalog, coverage } = this.#state;
    const isHeldHere = catalog.isHeldHere(key);
    if (isHeldHere && coverage.isCovered(key, token))
      return this.#readHereFirst(key, token, options, this.#readCovered(key, token));
    const attempts = this.#livePeers(key).map((peer) => this.#attempt(peer, key, token, options));
    const covered = this.#livePeers(key).map((peer) => knownToCover(peer, token));
    const ordered = [...attempts.filter((_a, at) => covered[at]), ...attempts.filter((_a, at) => !covered[at])];
    if (isHeldHere) ordered.unshift(this.#waitHere(key, token, options.timeoutMs));
    if (ordered.length === 0) throw this.#noReplica(key);
    return this.#hedged(ordered, options.timeoutMs, notCovered);
  }

  #waitHere(key: RecordKey, token: SessionToken, timeoutMs: number): Attempt<ReadOutcome> {
    const { coverage } = this.#state;
    return {
      // What is missing here is mostly on its way already; the others are asked as well at once.
      patienceMs: 0,
      run: async () => {
        if (!(await coverage.wait(() => coverage.isCovered(key, token), timeoutMs))) throw notCovered();
        return this.#readCovered(key, token);
      },
    };
  }

  #readCovered(key: RecordKey, token: SessionToken): ReadOutcome | Promise<ReadOutcome> {
    const { coverage } = this.#state;
    return this.#readHere(key, (claims) => coverage.isCoveredBy(claims, key, token));
  }

  /**
   * A majority of all replicas; those that answered with less are repaired behind the answer. At level `strong` it is the
   * read of Attiya, Bar-Noy and Dolev, *Sharing memory robustly in message-passing systems*, 1995: unless all agree, what
   * was found is written back to a majority before it is told, so that no later read finds less.
   */
  async readQuorum(key: RecordKey, options: RequestOptions): Promise<ReadOutcome> {
    const { self, clock, metrics } = this.#state;
    const startedAtMs = clock.monotonicMs();
    const { read, asked, hops } = await this.#readMajority(key, options);
    const outcome = {
      record: read.merged,
      ...self.whoAmI(),
      asked,
      answered: read.replies.size,
      hops,
      rounds: 1,
      stalenessMs: 0,
    };
    if (options.level !== 'strong' || staleReplicas(read).length === 0 || this.#state.bugs.has('skip-write-back'))
      return outcome;
    metrics.writeBacks += 1;
    const atMs = round(clock.monotonicMs() - startedAtMs);
    const written = await this.#writeBack(key, read, atMs, options);
    return { ...outcome, hops: [...hops, ...written], rounds: 2 };
  }

  async #writeBack(
    key: RecordKey,
    read: QuorumRead,
    atMs: number,
    { requestId, timeoutMs: wholeMs }: RequestOptions,
  ): Promise<readonly Hop[]> {
    const timeoutMs = wholeMs - atMs;
    const replicas = this.#state.catalog.replicas(key);
    const stale = staleReplicas(read);
    const durable = [...read.replies.keys()].filter((store) => !stale.includes(store));
    const bytes = encodeRecord(read.merged as VersionedRecord);
    const { required } = read;
    const { write, hops } = await spread(this.#state, {
      key,
      bytes,
      replicas,
      durable,
      required,
      timeoutMs,
      requestId,
      round: 2,
      atMs,
    });
    if (isWriteDecided(write)) return hops;
    const missing = replicas.filter(({ store }) => !write.durable.has(store));
    throw quorumUnavailable(required, write.durable.size, missing, NOTHING_DONE);
  }

  #readMajority(key: RecordKey, options: RequestOptions): Promise<MajorityRead> {
    const { catalog, self, peers, filling, metrics } = this.#state;
    const places = catalog.replicas(key);
    const required = this.#state.bugs.has('quorum-of-one') ? 1 : quorumOf(places.length);
    const isReplica = places.some(({ store }) => store === self.store);
    const targets = this.#livePeers(key);
    const held = isReplica && isShort(targets, required) ? this.#state.readyToWrite() : undefined;
    if (held) return this.#readMajorityAfter(held, key, options);
    // Where this is the only replica there is nothing that could know better.
    const isHere = isReplica && (required === 1 ? filling.isFilled() : isCounted(this.#state));
    metrics.readsQuorum += 1;
    if (targets.length + (isHere ? 1 : 0) < required) {
      const missing = places.filter(({ store }) => (store === self.store ? !isHere : !peers.isStoreLive(store)));
      throw quorumUnavailable(required, targets.length + (isHere ? 1 : 0), missing, NOTHING_DONE);
    }
    return this.#gather(key, places, required, isHere, targets, options);
  }

  /** Without this store there are too few, and it is about to find out whether it counts. */
  async #readMajorityAfter(held: Promise<void>, key: RecordKey, options: RequestOptions): Promise<MajorityRead> {
    const { clock, self, catalog } = this.#state;
    const startedAtMs = clock.monotonicMs();
    const places = catalog.replicas(key);
    const required = quorumOf(places.length);
    const here = places.filter(({ store }) => store === self.store);
    const late = () => quorumUnavailable(required, required - 1, here, `${NOT_READY}; ${NOTHING_DONE}`);
    await within(clock, options.timeoutMs, held, late);
    return this.#readMajority(key, {
      ...options,
      timeoutMs: options.timeoutMs - (clock.monotonicMs() - startedAtMs),
    });
  }

  #gather(
    key: RecordKey,
    places: readonly Place[],
    required: number,
    isHere: boolean,
    targets: readonly Peer[],
    options: RequestOptions,
  ): Promise<MajorityRead> {
    const { self, clock, replica } = this.#state;
    const asked = targets.length + (isHere ? 1 : 0);
    const hops: Hop[] = [];
    let read = startRead(
      places.map(({ store }) => store),
      required,
    );
    let settled = 0;
    let isOver = false;
    let cancelRepair = (): void => {};
    return new Promise((resolve, reject) => {
      const onReply = (next: QuorumRead): void => {
        read = next;
        settled += 1;
        if (!isOver && isReadDecided(read)) {
          isOver = true;
          resolve({ read, asked, hops: [...hops] });
          const repair = (): void => this.#repair(key, read, options.requestId);
          if (settled < asked) cancelRepair = clock.timer(REPAIR_WAIT_MS, repair);
        }
        if (!isOver && (settled === asked || isReadImpossible(read))) {
          isOver = true;
          const missing = places.filter(({ store }) => !read.replies.has(store));
          reject(quorumUnavailable(required, read.replies.size, missing, NOTHING_DONE));
        }
        if (isOver && settled === asked) {
          cancelRepair();
          this.#repair(key, read, options.requestId);
        }
      };
      const ask = (store: StoreName, reply: Promise<VersionedRecord | undefined>): void => {
        reply.then(
          (record) => onReply(addReply(read, store, record)),
          () => onReply(addReadFailure(read, store)),
        );
      };
      if (isHere) ask(self.store, storeWithin(this.#state, options.timeoutMs, replica.read(key)));
      for (const peer of targets) ask(peer.storeName, this.#quorumReply(peer, key, hops, options));
    });
  }

  async #quorumReply(
    peer: Peer,
    key: RecordKey,
    hops: Hop[],
    options: RequestOptions,
  ): Promise<VersionedRecord | undefined> {
    const startedAtMs = this.#state.clock.monotonicMs();
    const { bytes, isFilled } = await this.#ask(peer, key, null, options.requestId, options.timeoutMs);
    if (!isFilled) throw new Error('a store that is being filled answers no quorum');
    hops.push(this.#hop(peer, startedAtMs));
    return bytes ? decodeRecord(bytes) : undefined;
  }

  #repair(key: RecordKey, read: QuorumRead, requestId: string): void {
    const { self, replica, peers, calls, log, metrics } = this.#state;
    const { merged } = read;
    const stale = staleReplicas(read);
    if (!merged || stale.length === 0) return;
    const bytes = encodeRecord(merged);
    for (const store of stale) {
      metrics.readRepairs += 1;
      const peer = peers.ofStore(store);
      const repaired =
        store === self.store
          ? replica.merge([{ key, bytes }])
          : peer && calls.call(peer.node, requestId, REPAIR_WAIT_MS, [MERGE, [[key, bytes]]], mergeResult);
      repaired?.catch((error: unknown) =>
        log.debug({ requestId, store, reason: (error as Error).message }, 'read repair failed'),
      );
    }
  }
}

interface MajorityRead {
  readonly read: QuorumRead;
  readonly asked: number;
  readonly hops: readonly Hop[];
}

const NO_HOPS: readonly Hop[] = [];
/** Nothing was read, nor written where a write was to go on from it. */
const NOTHING_DONE = 'nothing was done';
const NOT_READY = 'this store has not yet found out whether its disk is older than what its peers have seen of it';

/** Whether the others do with this store, and not without it. */
function isShort(others: readonly Peer[], required: number): boolean {
  return others.length > 0 && others.length === required - 1;
}

function knownToCover(peer: Peer, token: SessionToken): boolean {
  for (const [store, sequence] of token) {
    const has = store === peer.storeId ? peer.sequence : (peer.applied.get(store) ?? 0);
    if (has < sequence) return false;
  }
  return true;
}

export const NO_TOKEN: SessionToken = EMPTY_VECTOR;

/** Above what a database in the region takes on a busy day. */
const STORE_PATIENCE_MS = 250;
