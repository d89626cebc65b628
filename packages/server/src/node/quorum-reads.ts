import type { VersionedRecord } from '@meridian/core/causality/record';
import {
  addReadFailure,
  addReply,
  isReadDecided,
  isReadImpossible,
  type QuorumRead,
  staleReplicas,
  startRead,
} from '@meridian/core/coordination/read';
import { isWriteDecided } from '@meridian/core/coordination/write';
import type { RecordKey, StoreName } from '@meridian/core/ids';
import { type Replica as Place, quorumOf } from '@meridian/core/placement/preference-list';
import { MERGE, mergeResult } from '@meridian/core/wire/messages';
import { decodeRecord, encodeRecord } from '@meridian/core/wire/record-codec';
import { REPAIR_WAIT_MS } from './limits.ts';
import type { NodeState } from './node-state.ts';
import type { PeerReads } from './peer-reads.ts';
import type { Peer } from './peers.ts';
import { quorumUnavailable } from './read-errors.ts';
import type { ReadOutcome } from './read-outcome.ts';
import { isCounted, NOT_READY, untilReady } from './readiness.ts';
import { round } from './rounded.ts';
import type { Hop, RequestOptions } from './service.ts';
import { spread } from './spread.ts';
import { storeWithin } from './store-deadline.ts';

interface MajorityRead {
  readonly read: QuorumRead;
  readonly asked: number;
  readonly hops: readonly Hop[];
}

/** Nothing was read, nor written where a write was to go on from it. */
const NOTHING_DONE = 'nothing was done';

/** Reads of one key from a majority of its replicas. */
export class QuorumReads {
  readonly #state: NodeState;
  readonly #peers: PeerReads;

  constructor(state: NodeState, peers: PeerReads) {
    this.#state = state;
    this.#peers = peers;
  }

  /**
   * A majority of all replicas; those that answered with less are repaired behind the answer. At level `strong` it is the
   * read of Attiya, Bar-Noy and Dolev, *Sharing memory robustly in message-passing systems*, 1995: unless all agree, what
   * was found is written back to a majority before it is told, so that no later read finds less.
   */
  async read(key: RecordKey, options: RequestOptions): Promise<ReadOutcome> {
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
    const targets = this.#peers.live(key);
    if (isReplica && isShort(targets, required) && this.#state.readyToWrite()) return this.#readOnceReady(key, options);
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
  async #readOnceReady(key: RecordKey, options: RequestOptions): Promise<MajorityRead> {
    const { clock, self, catalog } = this.#state;
    const startedAtMs = clock.monotonicMs();
    const places = catalog.replicas(key);
    const required = quorumOf(places.length);
    const here = places.filter(({ store }) => store === self.store);
    const late = () => quorumUnavailable(required, required - 1, here, `${NOT_READY}; ${NOTHING_DONE}`);
    await untilReady(this.#state, options.timeoutMs, late);
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
    const { bytes, isFilled } = await this.#peers.ask(peer, key, null, options.requestId, options.timeoutMs);
    if (!isFilled) throw new Error('a store that is being filled answers no quorum');
    hops.push(this.#peers.hop(peer, startedAtMs));
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

/** Whether the others do with this store, and not without it. */
function isShort(others: readonly Peer[], required: number): boolean {
  return others.length > 0 && others.length === required - 1;
}
