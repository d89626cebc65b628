import { EMPTY_VECTOR, type VersionVector } from '@meridian/core/causality/version-vector';
import type { SessionToken } from '@meridian/core/coordination/session';
import { namespaceIdOf, type RecordKey } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import type { ReadCall } from '@meridian/core/wire/messages';
import { decodeStored } from '@meridian/core/wire/stored-record';
import { vectorOf } from '@meridian/core/wire/vector-entries';
import type { RecentRecord } from '../ports/store.ts';
import { within } from './deadline.ts';
import { type Attempt, firstSuccess } from './hedge.ts';
import { HEDGE_MS } from './limits.ts';
import type { NodeState } from './node-state.ts';
import { PeerReads } from './peer-reads.ts';
import type { Peer } from './peers.ts';
import { QuorumReads } from './quorum-reads.ts';
import { noneInTime, notCovered, storeTooSlow } from './read-errors.ts';
import type { ReadOutcome } from './read-outcome.ts';
import { isCounted } from './readiness.ts';
import type { Hop, RequestOptions } from './service.ts';
import { stalenessMs } from './staleness.ts';

/** Reads of one key, at every level, from whichever replicas the level wants. */
export class Reads {
  readonly #state: NodeState;
  readonly #known: (key: RecordKey, bytes: Uint8Array) => Uint8Array;
  readonly #peers: PeerReads;
  readonly #quorum: QuorumReads;

  /** `known`: a row with what is known of it beyond what it says. */
  constructor(state: NodeState, known: (key: RecordKey, bytes: Uint8Array) => Uint8Array) {
    this.#known = known;
    this.#state = state;
    this.#peers = new PeerReads(state);
    this.#quorum = new QuorumReads(state, this.#peers);
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
      const others = this.#peers.live(key).map((peer) => this.#attempt(peer, key, token, options));
      return this.#hedged([{ patienceMs: 0, run: () => here }, ...others], leftMs, storeTooSlow);
    }
  }

  #readNearest(key: RecordKey, options: RequestOptions): Promise<ReadOutcome> {
    const targets = this.#peers.live(key);
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
        const { bytes, store, stalenessMs } = await this.#peers.ask(
          peer,
          key,
          token,
          options.requestId,
          options.timeoutMs,
        );
        const hop = this.#peers.hop(peer, startedAtMs);
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
    const attempts = this.#peers.live(key).map((peer) => this.#attempt(peer, key, token, options));
    const covered = this.#peers.live(key).map((peer) => knownToCover(peer, token));
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

  /** A majority of all replicas (`QuorumReads`). */
  readQuorum(key: RecordKey, options: RequestOptions): Promise<ReadOutcome> {
    return this.#quorum.read(key, options);
  }
}

const NO_HOPS: readonly Hop[] = [];

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
