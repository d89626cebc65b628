import type { VersionedRecord } from '@meridian/core/causality/record';
import { sequenceIn } from '@meridian/core/causality/version-vector';
import { recordKey, type Sequence, type StoreId, storeNameOf } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import { STATUS, statusResult } from '@meridian/core/wire/messages';
import { encodeRecord } from '@meridian/core/wire/record-codec';
import type { Namespaces } from './namespaces.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import { fromPortable } from './portable.ts';
import type { RowToMerge } from './replica.ts';
import { type MergedThere, sendRows } from './row-messages.ts';
import type { PortableRecord, ReplicateAnswer, RequestOptions } from './service.ts';

/** Rows on their way to the same replicas. */
interface RowGroup {
  readonly isHere: boolean;
  readonly others: readonly Peer[];
  readonly rows: RowToMerge[];
}

interface MergeCount extends MergedThere {
  /** Rows that no replica is known to have. */
  readonly unconfirmed: number;
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
   * Merges the records at every replica that can be reached; at least one of each key's has it durably.
   * @throws REPLICA_UNAVAILABLE where nothing was written; OUTCOME_UNKNOWN where no replica confirmed some of them;
   * INVALID_BODY for a record that names a write that its store has not made
   */
  async replicate(records: readonly PortableRecord[], options: RequestOptions): Promise<ReplicateAnswer> {
    const rows: RowToMerge[] = [];
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
    const outcomes = await Promise.allSettled(
      others.map((peer) => sendRows(this.#state.calls, peer.node, rows, options)),
    );
    if (isHere) return { applied: 0, concurrent: 0, unconfirmed: 0 };
    const confirmed = outcomes.filter((outcome) => outcome.status === 'fulfilled').map(({ value }) => value);
    if (confirmed.length === 0) return { applied: 0, concurrent: 0, unconfirmed: rows.length };
    const most = confirmed.reduce((one, other) => (other.applied > one.applied ? other : one));
    return { ...most, unconfirmed: 0 };
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
