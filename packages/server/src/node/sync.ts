import {
  compareKeys,
  endOfNamespace,
  type NamespaceId,
  type RecordKey,
  type RegionName,
  recordKey,
} from '@meridian/core/ids';
import { PARTITIONS, type Partition, partitionOf } from '@meridian/core/placement/partition';
import { MeridianError } from '@meridian/core/wire/errors';
import { FETCH, fetchResult, SCAN, scanResult } from '@meridian/core/wire/messages';
import { CATALOG_NAMESPACE } from './catalog.ts';
import type { Listing } from './listing.ts';
import type { Namespaces } from './namespaces.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import { asMeridianError, type RowToMerge } from './replica.ts';
import { sendRows } from './row-messages.ts';
import type { RequestOptions, SyncAnswer } from './service.ts';

/** What a comparison looks at in one step. */
const SYNC_ROWS = 1_000;
const SYNC_BYTES_MAX = 4 * 1024 * 1024;

interface SyncCount {
  readonly different: Set<number>;
  readonly compared: Set<number>;
  sent: number;
  received: number;
}

/** Compares this store with others, key by key, and repairs both ways. */
export class Sync {
  readonly #state: NodeState;
  readonly #namespaces: Namespaces;
  readonly #listing: Listing;

  constructor(state: NodeState, namespaces: Namespaces, listing: Listing) {
    this.#state = state;
    this.#namespaces = namespaces;
    this.#listing = listing;
  }

  /**
   * With each store of the region, or of all; over one namespace, or all of them and the catalog. What was repaired stays
   * where it fails half way.
   * @throws REPLICA_UNAVAILABLE, INVALID_PARAMETER for a region that is not in the layout, NAMESPACE_NOT_FOUND
   */
  async run(
    region: string | undefined,
    namespaceName: string | undefined,
    options: RequestOptions,
  ): Promise<SyncAnswer> {
    const { clock, peers, placement, catalog, self } = this.#state;
    const startedAtMs = clock.monotonicMs();
    if (region !== undefined && !placement.region(region as RegionName)) {
      throw new MeridianError('INVALID_PARAMETER', 'no region of this name is in the layout', {
        region: region.slice(0, 64),
      });
    }
    const ids =
      namespaceName === undefined
        ? [CATALOG_NAMESPACE, ...catalog.all().map(({ id }) => id)]
        : [(await this.#namespaces.find(namespaceName, options)).id];
    const stores = placement
      .allStores()
      .filter(({ name, region: of }) => name !== self.store && (region === undefined || of === region));
    const count: SyncCount = { different: new Set(), compared: new Set(), sent: 0, received: 0 };
    for (const { name } of stores) {
      const peer = peers.ofStore(name);
      if (!peer || !peers.isLive(peer))
        throw new MeridianError('REPLICA_UNAVAILABLE', `${name} cannot be reached; what was repaired before stays`, {
          store: name,
        });
      for (const id of ids) await this.#syncNamespace(peer, id, count, options);
    }
    return {
      partitionsCompared: count.compared.size,
      partitionsDifferent: count.different.size,
      recordsSent: count.sent,
      recordsReceived: count.received,
      tookMs: Math.round(clock.monotonicMs() - startedAtMs),
    };
  }

  async #syncNamespace(peer: Peer, id: NamespaceId, count: SyncCount, options: RequestOptions): Promise<void> {
    const { store, calls } = this.#state;
    // Where nothing is held by both there is nothing to compare, and its keys are nobody's to see who holds none.
    if (this.#countShared(peer, id, count) === 0) return;
    const to = endOfNamespace(id);
    let from = recordKey(id, '');
    for (let isOver = false; !isOver; ) {
      const [, theirRows, theirsComplete] = await calls
        .call(
          peer.node,
          options.requestId,
          options.timeoutMs,
          [SCAN, from, to, SYNC_ROWS, SYNC_BYTES_MAX, null, true],
          scanResult,
        )
        .catch(peerFailed(peer));
      const mine = await store.scan(from, to, { rowsMax: SYNC_ROWS, bytesMax: SYNC_BYTES_MAX }).catch(asMeridianError);
      const boundary = least(
        mine.isComplete ? undefined : mine.rows[mine.rows.length - 1]?.key,
        theirsComplete ? undefined : theirRows[theirRows.length - 1]?.[0],
      );
      const isWithin = (key: RecordKey): boolean => boundary === undefined || compareKeys(key, boundary) <= 0;
      const theirs = new Map(theirRows.filter(([key]) => isWithin(key)));
      await this.#exchange(
        peer,
        mine.rows.filter(({ key }) => isWithin(key)),
        theirs,
        count,
        options,
      );
      isOver = boundary === undefined;
      if (boundary !== undefined) from = `${boundary}\0` as RecordKey;
    }
  }

  /** The partitions that both stores hold. */
  #countShared(peer: Peer, id: NamespaceId, count: SyncCount): number {
    const { placement, catalog, self } = this.#state;
    const namespace = catalog.byId(id);
    let shared = 0;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const isShared =
        !namespace || namespace === 'dropped'
          ? id === CATALOG_NAMESPACE
          : placement.hosts(self.store, namespace.placement, partition as Partition) &&
            placement.hosts(peer.storeName, namespace.placement, partition as Partition);
      if (!isShared) continue;
      count.compared.add(partition);
      shared += 1;
    }
    return shared;
  }

  /** Fetches what differs there, merges it here, and sends the merge back where they had less. */
  async #exchange(
    peer: Peer,
    mine: readonly { key: RecordKey; record: Uint8Array }[],
    theirs: Map<RecordKey, Uint8Array>,
    count: SyncCount,
    options: RequestOptions,
  ): Promise<void> {
    const { catalog, calls, replica, hashes } = this.#state;
    const toSend: RecordKey[] = [];
    const toFetch: RecordKey[] = [];
    for (const { key, record } of mine) {
      const fingerprint = theirs.get(key);
      theirs.delete(key);
      if (
        !catalog.isHeldBy(peer.storeName, key) ||
        (fingerprint && isSame(fingerprint, this.#listing.fingerprint(record)))
      )
        continue;
      toSend.push(key);
      if (fingerprint) toFetch.push(key);
    }
    for (const key of theirs.keys()) if (catalog.isHeldHere(key)) toFetch.push(key);
    for (const key of [...toSend, ...toFetch]) count.different.add(partitionOf(hashes.text, key));
    if (toFetch.length > 0) {
      const rows = await calls
        .call(peer.node, options.requestId, options.timeoutMs, [FETCH, toFetch], fetchResult)
        .catch(peerFailed(peer));
      const { changed } = await replica.merge(rows.map(([key, bytes]) => ({ key, bytes })));
      count.received += changed.length;
    }
    const rows: RowToMerge[] = [];
    for (const key of toSend) {
      const bytes = await replica.readBytes(key);
      if (bytes) rows.push({ key, bytes });
    }
    count.sent += (await sendRows(calls, peer.node, rows, options).catch(peerFailed(peer))).applied;
  }
}

function peerFailed(peer: Peer): (error: unknown) => never {
  return (error) => {
    if (error instanceof MeridianError) throw error;
    throw new MeridianError('REPLICA_UNAVAILABLE', `${peer.node} did not answer; what was repaired before stays`, {
      node: peer.node,
    });
  };
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

function least(left: RecordKey | undefined, right: RecordKey | undefined): RecordKey | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return compareKeys(left, right) <= 0 ? left : right;
}
