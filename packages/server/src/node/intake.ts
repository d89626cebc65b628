import type { VersionedRecord } from '@meridian/core/causality/record';
import { covers, EMPTY_VECTOR, sequenceIn } from '@meridian/core/causality/version-vector';
import {
  plainKeyOf,
  type RecordKey,
  type RegionName,
  recordKey,
  type Sequence,
  type StoreId,
  storeNameOf,
} from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import { STATUS, statusResult } from '@meridian/core/wire/messages';
import { decodeVector, encodeRecord } from '@meridian/core/wire/record-codec';
import { oweComparisons } from './comparing.ts';
import type { Namespaces } from './namespaces.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import { fromPortable } from './portable.ts';
import { asMeridianError, type RowToMerge } from './replica.ts';
import { type MergedThere, sendRows } from './row-messages.ts';
import type { PortableRecord, ReplicateAnswer, RequestOptions } from './service.ts';

/** Rows on their way to the same replicas. */
interface RowGroup {
  readonly isHere: boolean;
  readonly others: readonly Peer[];
  /** Where a replica stands that cannot be reached. */
  readonly missing: readonly RegionName[];
  readonly rows: RowToMerge[];
}

interface MergeCount extends MergedThere {
  /** Rows that no replica is known to have. */
  readonly unconfirmed: number;
  /** Where a replica stands that is not known to have all rows, though this store has them. */
  readonly behind: readonly RegionName[];
}

/** Takes versioned records in from outside: of an export, of another cluster, of a backup. */
export class Intake {
  readonly #state: NodeState;
  readonly #namespaces: Namespaces;

  constructor(state: NodeState, namespaces: Namespaces) {
    this.#state = state;
    this.#namespaces = namespaces;
  }

  /**
   * Merges the records at every replica that can be reached; at least one of each key's has it durably. Those that missed
   * some get them by a comparison later, where this store has them: no stream brings what another cluster's stores wrote.
   * @throws REPLICA_UNAVAILABLE where nothing was written; OUTCOME_UNKNOWN where no replica confirmed some of them;
   * INVALID_BODY for a record that names a write that its store has not made, or not of this key
   */
  async replicate(records: readonly PortableRecord[], options: RequestOptions): Promise<ReplicateAnswer> {
    const rows: RowToMerge[] = [];
    const taken: { readonly key: RecordKey; readonly record: VersionedRecord }[] = [];
    const named = new Map<StoreId, Sequence>();
    for (const portable of records) {
      const namespace = await this.#namespaces.find(portable.namespace, options);
      if (namespace.mode === 'strong')
        throw new MeridianError(
          'NAMESPACE_CONFLICT',
          'a namespace of mode strong is changed by consensus only: write its keys one by one',
          { namespace: namespace.name },
        );
      const record = fromPortable(portable);
      noteNames(record, named);
      const key = recordKey(namespace.id, portable.key);
      taken.push({ key, record });
      rows.push({ key, bytes: encodeRecord(record) });
    }
    await this.#refuseFutureDots(named, options);
    await Promise.all(taken.map(({ key, record }) => this.#refuseForeignDots(key, record)));
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

  /**
   * A value under this store's claims that its record does not know would be taken for superseded, here and at all others, and
   * passed over without a word. Its write was one of another key, or of a namespace that was dropped and made again, or was
   * lost with its disk. (No record is forgotten: the day tombstones are collected, this has to ask more.)
   */
  async #refuseForeignDots(key: RecordKey, { siblings }: VersionedRecord): Promise<void> {
    const { catalog, coverage, replica } = this.#state;
    if (!catalog.isHeldHere(key)) return;
    const claimed = siblings.filter(({ body, dot }) => body !== null && coverage.appliedOf(dot.store) >= dot.sequence);
    if (claimed.length === 0) return;
    const bytes = await replica.readBytes(key);
    const known = bytes === undefined ? EMPTY_VECTOR : decodeVector(bytes);
    const foreign = claimed.find(({ dot }) => !covers(known, dot));
    if (foreign === undefined) return;
    const { store, sequence } = foreign.dot;
    throw new MeridianError(
      'INVALID_BODY',
      'a record names a write that was not made of this key in this namespace as it is now, or was lost; write its value anew',
      { key: plainKeyOf(key), store, sequence },
    );
  }

  /** The sequence of a store that is there; `undefined` of one that is not in this cluster any more, whose sequences go no further. */
  async #issuedBy(store: StoreId, atLeast: Sequence, options: RequestOptions): Promise<Sequence | undefined> {
    const { peers, calls, coverage } = this.#state;
    if (store === this.#state.store.id) return this.#issuedHere(atLeast);
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
    // Of a shared store one node may not have heard yet what another has written.
    const nodes = peers.nodesOf(peer.storeName).filter((node) => node === peer || peers.isLive(node));
    const told = await Promise.allSettled(
      nodes.map(({ node }) => calls.call(node, options.requestId, options.timeoutMs, [STATUS], statusResult)),
    );
    const sequences = told.filter((answer) => answer.status === 'fulfilled').map(({ value }) => value[2]);
    if (sequences.length === 0) throw cannotBeAsked;
    return Math.max(...sequences) as Sequence;
  }

  /** Of a shared store, with what other nodes have written. @throws STORE_UNAVAILABLE */
  async #issuedHere(atLeast: Sequence): Promise<Sequence> {
    const { store } = this.#state;
    if (store.sequence < atLeast) await store.shared?.refresh().catch(asMeridianError);
    return store.sequence;
  }

  /** Rows that have the same replicas to go to. */
  #groupsOf(rows: readonly RowToMerge[]): readonly RowGroup[] {
    const { catalog, self, peers } = this.#state;
    const groups = new Map<string, RowGroup>();
    for (const row of rows) {
      const isHere = catalog.isHeldHere(row.key);
      const others: Peer[] = [];
      const missing: RegionName[] = [];
      for (const { store, region } of catalog.replicas(row.key)) {
        if (store === self.store) continue;
        const peer = peers.ofStore(store);
        if (peer && peers.isLive(peer)) others.push(peer);
        else missing.push(region);
      }
      const name = JSON.stringify([isHere, others.map(({ node }) => node), missing]);
      const group = groups.get(name);
      if (group) group.rows.push(row);
      else groups.set(name, { isHere, others, missing, rows: [row] });
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
    const counts = elsewhere.reduce(addCounts, {
      applied: changed.length,
      concurrent: changed.filter(({ isConflict }) => isConflict).length,
      unconfirmed: 0,
      behind: [],
    });
    if (counts.behind.length > 0) await this.#owe(counts.behind);
    return counts;
  }

  async #owe(regions: readonly RegionName[]): Promise<void> {
    await oweComparisons(this.#state.store, regions).catch(() => {
      throw new MeridianError(
        'OUTCOME_UNKNOWN',
        'not all replicas have the records, and the disk of this store did not take the note of it: send them again',
        { regions: [...new Set(regions)] },
      );
    });
  }

  /** What is durable here needs nobody else, and is counted here; of the rest somebody must confirm each record. */
  async #sendGroup({ isHere, others, missing, rows }: RowGroup, options: RequestOptions): Promise<MergeCount> {
    const outcomes = await Promise.allSettled(
      others.map((peer) => sendRows(this.#state.calls, peer.node, rows, options)),
    );
    const failed = others.filter((_peer, at) => outcomes[at]?.status === 'rejected').map(({ region }) => region);
    if (isHere) return { applied: 0, concurrent: 0, unconfirmed: 0, behind: [...missing, ...failed] };
    const confirmed = outcomes.filter((outcome) => outcome.status === 'fulfilled').map(({ value }) => value);
    if (confirmed.length === 0) return { applied: 0, concurrent: 0, unconfirmed: rows.length, behind: [] };
    const most = confirmed.reduce((one, other) => (other.applied > one.applied ? other : one));
    return { ...most, unconfirmed: 0, behind: [] };
  }
}

function addCounts(left: MergeCount, right: MergeCount): MergeCount {
  return {
    applied: left.applied + right.applied,
    concurrent: left.concurrent + right.concurrent,
    unconfirmed: left.unconfirmed + right.unconfirmed,
    behind: [...left.behind, ...right.behind],
  };
}

/** The highest write of each store that the record names: as seen, or as seen by those who wrote its values. */
function noteNames(record: VersionedRecord, named: Map<StoreId, Sequence>): void {
  const siblings = [...record.siblings, ...record.ledger.map(({ sibling }) => sibling)];
  for (const vector of [record.vector, ...siblings.map(({ session }) => session)]) {
    for (const [store, sequence] of vector) if (sequence > sequenceIn(named, store)) named.set(store, sequence);
  }
}
