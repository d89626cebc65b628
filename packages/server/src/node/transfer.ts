import type { VersionedRecord } from '@meridian/core/causality/record';
import { sequenceIn } from '@meridian/core/causality/version-vector';
import {
  compareKeys,
  endOfNamespace,
  type NamespaceId,
  namespaceIdOf,
  plainKeyOf,
  type RecordKey,
  type RegionName,
  recordKey,
  type Sequence,
  type StoreId,
  storeNameOf,
} from '@meridian/core/ids';
import { PARTITIONS, type Partition, partitionOf } from '@meridian/core/placement/partition';
import { MeridianError } from '@meridian/core/wire/errors';
import {
  FETCH,
  fetchResult,
  MERGE,
  mergeResult,
  type RowEntries,
  SCAN,
  STATUS,
  scanResult,
  statusResult,
} from '@meridian/core/wire/messages';
import { decodeRecord, encodeRecord } from '@meridian/core/wire/record-codec';
import { CATALOG_NAMESPACE } from './catalog.ts';
import type { Listing } from './listing.ts';
import type { Namespaces } from './namespaces.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import { fromPortable, toPortable } from './portable.ts';
import { asMeridianError, type RowToMerge } from './replica.ts';
import type { ChangesAnswer, PortableRecord, ReplicateAnswer, RequestOptions, SyncAnswer } from './service.ts';

/** Rows that a comparison looks at in one step, and bytes that it sends in one message. */
const SYNC_ROWS = 1_000;
const SYNC_BYTES_MAX = 4 * 1024 * 1024;
const CHANGES_BYTES_MAX = 8 * 1024 * 1024;

interface SyncCount {
  readonly different: Set<number>;
  compared: Set<number>;
  sent: number;
  received: number;
}

/** Rows on their way to the same replicas. */
interface RowGroup {
  readonly isHere: boolean;
  readonly others: readonly Peer[];
  readonly rows: RowToMerge[];
}

interface MergeCount {
  readonly applied: number;
  readonly concurrent: number;
  /** Rows that no replica is known to have. */
  readonly unconfirmed: number;
}

/** Records in bulk: taken in from outside, compared with other regions, handed out as changes. */
export class Transfer {
  readonly #state: NodeState;
  readonly #namespaces: Namespaces;
  readonly #listing: Listing;

  constructor(state: NodeState, namespaces: Namespaces, listing: Listing) {
    this.#state = state;
    this.#namespaces = namespaces;
    this.#listing = listing;
  }

  /** Merges versioned records at every replica that can be reached; at least one of each key's has it durably. */
  async replicate(records: readonly PortableRecord[], options: RequestOptions): Promise<ReplicateAnswer> {
    const rows: RowToMerge[] = [];
    const named = new Map<StoreId, Sequence>();
    for (const portable of records) {
      const namespace = await this.#namespaces.find(portable.namespace, options);
      const record = fromPortable(portable);
      noteNames(record, named);
      rows.push({ key: recordKey(namespace.id, portable.key), bytes: encodeRecord(record) });
    }
    await this.#refuseFutureDots(named, options);
    const { applied, concurrent, unconfirmed } = await this.#mergeEverywhere(rows, options);
    if (unconfirmed > 0)
      throw new MeridianError('OUTCOME_UNKNOWN', 'of some records no replica confirmed that it has them', {
        records: unconfirmed,
      });
    return { applied, ignored: records.length - applied, concurrent };
  }

  /**
   * A record that names a write yet to come would make its store's next writes look superseded; a session that names one
   * could be served by nobody.
   */
  async #refuseFutureDots(named: ReadonlyMap<StoreId, Sequence>, options: RequestOptions): Promise<void> {
    for (const [store, sequence] of named) {
      const issued = await this.#issuedBy(store, sequence, options);
      if (issued !== undefined && sequence > issued) {
        throw new MeridianError('INVALID_BODY', 'a record names a write that its store has not made', {
          store,
          sequence,
          issued,
        });
      }
    }
  }

  /** The sequence of a store that is there; `undefined` of one that is not in this cluster any more, whose sequences go no further. */
  async #issuedBy(store: StoreId, atLeast: Sequence, options: RequestOptions): Promise<Sequence | undefined> {
    const { peers, calls, coverage } = this.#state;
    if (store === this.#state.store.id) return this.#state.store.sequence;
    const peer = peers.ofStore(storeNameOf(store));
    if (!peer || (peer.storeId !== undefined && peer.storeId !== store)) return undefined;
    const known = Math.max(coverage.appliedOf(store), peer.storeId === store ? peer.sequence : 0) as Sequence;
    if (known >= atLeast) return known;
    const cannotBeAsked = new MeridianError(
      'REPLICA_UNAVAILABLE',
      'the store that a record names cannot be asked how far it has come',
      { store },
    );
    // Not heard of since this node started: it may be the very store, and far below what is named.
    if (peer.storeId === undefined) throw cannotBeAsked;
    const [, , sequence] = await calls
      .call(peer.node, options.requestId, options.timeoutMs, [STATUS], statusResult)
      .catch(() => {
        throw cannotBeAsked;
      });
    return sequence;
  }

  /** Rows that have the same replicas to go to. */
  #groupsOf(rows: readonly RowToMerge[]): readonly RowGroup[] {
    const { catalog, self, peers } = this.#state;
    const groups = new Map<string, RowGroup>();
    for (const row of rows) {
      const isHere = catalog.isHeldHere(row.key);
      const others = catalog
        .replicas(row.key)
        .map(({ store }) => (store === self.store ? undefined : peers.ofStore(store)))
        .filter((peer) => peer !== undefined && peers.isLive(peer)) as Peer[];
      const name = JSON.stringify([isHere, others.map(({ node }) => node)]);
      const group = groups.get(name);
      if (group) group.rows.push(row);
      else groups.set(name, { isHere, others, rows: [row] });
    }
    return [...groups.values()];
  }

  async #mergeEverywhere(rows: readonly RowToMerge[], options: RequestOptions): Promise<MergeCount> {
    const { replica } = this.#state;
    const groups = this.#groupsOf(rows);
    const unreached = groups
      .filter(({ isHere, others }) => !isHere && others.length === 0)
      .flatMap((group) => group.rows);
    if (unreached.length > 0)
      throw new MeridianError('REPLICA_UNAVAILABLE', 'of some records no replica can be reached; nothing was written', {
        records: unreached.length,
      });
    const { changed } = await replica.merge(groups.filter(({ isHere }) => isHere).flatMap((group) => group.rows));
    const elsewhere = await Promise.all(groups.map((group) => this.#sendGroup(group, options)));
    return elsewhere.reduce(addCounts, {
      applied: changed.length,
      concurrent: changed.filter(({ isConflict }) => isConflict).length,
      unconfirmed: 0,
    });
  }

  /** What is durable here needs nobody else, and is counted here; of the rest somebody must confirm each record. */
  async #sendGroup({ isHere, others, rows }: RowGroup, options: RequestOptions): Promise<MergeCount> {
    const outcomes = await Promise.allSettled(others.map((peer) => this.#sendRows(peer, rows, options)));
    if (isHere) return { applied: 0, concurrent: 0, unconfirmed: 0 };
    const confirmed = outcomes.filter((outcome) => outcome.status === 'fulfilled').map(({ value }) => value);
    if (confirmed.length === 0) return { applied: 0, concurrent: 0, unconfirmed: rows.length };
    const most = confirmed.reduce((one, other) => (other.applied > one.applied ? other : one));
    return { ...most, unconfirmed: 0 };
  }

  async #sendRows(
    peer: Peer,
    rows: readonly RowToMerge[],
    options: RequestOptions,
  ): Promise<{ applied: number; concurrent: number }> {
    let applied = 0;
    let concurrent = 0;
    for (const chunk of chunksOf(rows)) {
      const entries: RowEntries = chunk.map(({ key, bytes }) => [key, bytes] as const);
      const [, changed, conflicts] = await this.#state.calls.call(
        peer.node,
        options.requestId,
        options.timeoutMs,
        [MERGE, entries],
        mergeResult,
      );
      applied += changed;
      concurrent += conflicts;
    }
    return { applied, concurrent };
  }

  async changes(since: number, limit: number, namespaceName: string | undefined): Promise<ChangesAnswer> {
    const { store, catalog } = this.#state;
    if (namespaceName !== undefined && !catalog.get(namespaceName)) {
      throw new MeridianError('NAMESPACE_NOT_FOUND', 'no namespace of this name is known here', {
        namespace: namespaceName.slice(0, 64),
      });
    }
    const page = await store
      .changes(since as Sequence, { rowsMax: limit, bytesMax: CHANGES_BYTES_MAX })
      .catch(asMeridianError);
    const changes = page.rows.flatMap(({ key, sequence, record }) => {
      const namespace = catalog.byId(namespaceIdOf(key));
      if (!namespace || namespace === 'dropped' || (namespaceName !== undefined && namespace.name !== namespaceName))
        return [];
      return [{ sequence, record: toPortable(namespace.name, plainKeyOf(key), decodeRecord(record)) }];
    });
    return { store: store.id, changes, upTo: page.upTo, isComplete: page.isComplete };
  }

  /** Compares this store's keys with those of each store of the region (or of all), and repairs both ways. */
  async sync(
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
    this.#countCompared(peer, id, count);
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

  #countCompared(peer: Peer, id: NamespaceId, count: SyncCount): void {
    const { placement, catalog, self } = this.#state;
    const namespace = catalog.byId(id);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const isShared =
        !namespace || namespace === 'dropped'
          ? id === CATALOG_NAMESPACE
          : placement.hosts(self.store, namespace.placement, partition as Partition) &&
            placement.hosts(peer.storeName, namespace.placement, partition as Partition);
      if (isShared) count.compared.add(partition);
    }
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
    count.sent += (await this.#sendRows(peer, rows, options).catch(peerFailed(peer))).applied;
  }

  async onFetch(keys: readonly RecordKey[]): Promise<RowEntries> {
    const rows: (readonly [RecordKey, Uint8Array])[] = [];
    for (const key of keys) {
      const bytes = await this.#state.replica.readBytes(key);
      if (bytes) rows.push([key, bytes]);
    }
    return rows;
  }
}

function addCounts(left: MergeCount, right: MergeCount): MergeCount {
  return {
    applied: left.applied + right.applied,
    concurrent: left.concurrent + right.concurrent,
    unconfirmed: left.unconfirmed + right.unconfirmed,
  };
}

/** The highest write of each store that the record names: as seen, or as seen by those who wrote its values. */
function noteNames(record: VersionedRecord, named: Map<StoreId, Sequence>): void {
  const siblings = [...record.siblings, ...record.ledger.map(({ sibling }) => sibling)];
  for (const vector of [record.vector, ...siblings.map(({ session }) => session)]) {
    for (const [store, sequence] of vector) if (sequence > sequenceIn(named, store)) named.set(store, sequence);
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

function* chunksOf(rows: readonly RowToMerge[]): Generator<readonly RowToMerge[]> {
  let chunk: RowToMerge[] = [];
  let bytes = 0;
  for (const row of rows) {
    chunk.push(row);
    bytes += row.bytes.length;
    if (bytes < SYNC_BYTES_MAX && chunk.length < SYNC_ROWS) continue;
    yield chunk;
    chunk = [];
    bytes = 0;
  }
  if (chunk.length > 0) yield chunk;
}
