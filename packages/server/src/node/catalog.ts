import type { VersionedRecord } from '@meridian/core/causality/record';
import {
  endOfNamespace,
  type NamespaceId,
  namespaceIdOf,
  plainKeyOf,
  type RecordKey,
  type RegionName,
  recordKey,
  type StoreName,
} from '@meridian/core/ids';
import { DEFAULT_NAMESPACE, LEDGER_KEEP_SECONDS_DEFAULT, type Namespace } from '@meridian/core/placement/namespace';
import { type Partition, partitionOf } from '@meridian/core/placement/partition';
import type { PlacementTable } from '@meridian/core/placement/placement-table';
import type { Replica } from '@meridian/core/placement/preference-list';
import { decodeStored } from '@meridian/core/wire/stored-record';
import type { Hashes } from '../ports/hash.ts';
import type { Store, StoredRow } from '../ports/store.ts';

/** Where the definitions of namespaces are kept: registers that every store holds. No user's namespace starts so. */
export const CATALOG_NAMESPACE = '_catalog.1' as NamespaceId;
const CATALOG_PREFIX = `${CATALOG_NAMESPACE}\0`;

/** A definition as it is stored. A drop stays as a definition, so that the next of that name gets another generation. */
export interface Definition {
  readonly generation: number;
  readonly isDropped: boolean;
  readonly mode: Namespace['mode'];
  readonly conflict: Namespace['conflict'];
  readonly placement: Namespace['placement'];
  readonly defaultTtlSeconds: number | null;
  readonly ledgerKeepSeconds: number;
}

export const DEFAULT_DEFINITION: Definition = {
  generation: 1,
  isDropped: false,
  mode: 'eventual',
  conflict: 'siblings',
  placement: 'all',
  defaultTtlSeconds: null,
  ledgerKeepSeconds: LEDGER_KEEP_SECONDS_DEFAULT,
};

export function definitionKey(name: string): RecordKey {
  return recordKey(CATALOG_NAMESPACE, name);
}

export function namespaceIdFor(name: string, generation: number): NamespaceId {
  return `${name}.${generation.toString(36)}` as NamespaceId;
}

export function definitionIn(record: VersionedRecord | undefined): Definition | undefined {
  const body = record?.siblings[0]?.body;
  return body ? (JSON.parse(fromUtf8(body)) as Definition) : undefined;
}

/** The name in an id made by `namespaceIdFor`. */
export function namespaceNameOf(id: NamespaceId): string {
  return id.slice(0, id.lastIndexOf('.'));
}

const decoder = new TextDecoder();
const fromUtf8 = (bytes: Uint8Array): string => decoder.decode(bytes);

export function definitionBody(definition: Definition): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(definition));
}

/** A namespace whose id is known, though it was dropped. */
export type Known = Namespace | 'dropped';

/** The namespaces as this node knows them, kept up with the store, and where the keys of each are held. */
export class Catalog {
  readonly #placement: PlacementTable;
  readonly #hashes: Hashes;
  readonly #self: StoreName;
  readonly #byName = new Map<string, Namespace>();
  readonly #byId = new Map<NamespaceId, Known>();
  readonly #generations = new Map<string, number>();
  /** Of the register that each definition was learned from. */
  readonly #versions = new Map<string, number>();
  readonly #everyStore: readonly Replica[];
  /** Stores that hold all of a namespace, because their region has no other: no key of it need be hashed to know. */
  readonly #wholeHolders = new WeakMap<Namespace, Map<StoreName, boolean>>();
  /** The replicas of all keys of a namespace, where they are the same for every key; else `null`. */
  readonly #alikeReplicas = new WeakMap<Namespace, readonly Replica[] | null>();
  readonly #byRegion = new WeakMap<readonly Replica[], Map<RegionName, readonly Replica[]>>();
  #onPlacementChange: (namespace: Namespace) => void = () => {};
  #onDrop: (id: NamespaceId) => void = () => {};

  constructor(placement: PlacementTable, hashes: Hashes, self: StoreName) {
    this.#placement = placement;
    this.#hashes = hashes;
    this.#self = self;
    this.#everyStore = placement.allStores().map(({ name, region }) => ({ store: name, region }));
    this.#set(DEFAULT_NAMESPACE, DEFAULT_DEFINITION);
  }

  /** `onPlacementChange`: a known namespace now lies elsewhere than this node had believed. */
  listen(onPlacementChange: (namespace: Namespace) => void, onDrop: (id: NamespaceId) => void): void {
    this.#onPlacementChange = onPlacementChange;
    this.#onDrop = onDrop;
  }

  async load(store: Store): Promise<void> {
    let from = CATALOG_PREFIX as RecordKey;
    for (;;) {
      const page = await store.scan(from, endOfNamespace(CATALOG_NAMESPACE), {
        rowsMax: 1000,
        bytesMax: 4 * 1024 * 1024,
      });
      this.onRows(page.rows);
      const last = page.rows[page.rows.length - 1];
      if (page.isComplete || !last) return;
      from = `${last.key}\0` as RecordKey;
    }
  }

  onRows(rows: readonly StoredRow[]): void {
    for (const row of rows) {
      if (!row.key.startsWith(CATALOG_PREFIX)) continue;
      const record = decodeStored(row.record);
      if (record) this.learn(plainKeyOf(row.key), record);
    }
  }

  /** A definition that is chosen. One that is older than what is known is passed over. */
  learn(name: string, record: VersionedRecord): void {
    const version = record.siblings[0]?.dot.sequence ?? 0;
    if (version <= (this.#versions.get(name) ?? 0)) return;
    this.#versions.set(name, version);
    const definition = definitionIn(record);
    if (definition) this.#set(name, definition);
  }

  #set(name: string, definition: Definition): void {
    const { generation, isDropped, ...rest } = definition;
    const former = this.#byName.get(name);
    const id = namespaceIdFor(name, generation);
    for (let dropped = (this.#generations.get(name) ?? 0) || 1; dropped < generation; dropped++)
      this.#drop(namespaceIdFor(name, dropped));
    this.#generations.set(name, Math.max(generation, this.#generations.get(name) ?? 0));
    if (isDropped) {
      // Also where this node knew it of an earlier generation only: it may have been away while the next was made.
      this.#byName.delete(name);
      this.#drop(id);
      return;
    }
    const namespace: Namespace = { id, name, ...rest };
    this.#byName.set(name, namespace);
    this.#byId.set(id, namespace);
    if (former && former.id === id && JSON.stringify(former.placement) !== JSON.stringify(namespace.placement)) {
      this.#onPlacementChange(namespace);
    }
  }

  #drop(id: NamespaceId): void {
    const was = this.#byId.get(id);
    this.#byId.set(id, 'dropped');
    if (was !== 'dropped') this.#onDrop(id);
  }

  get(name: string): Namespace | undefined {
    return this.#byName.get(name);
  }

  all(): readonly Namespace[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  dropped(): readonly NamespaceId[] {
    return [...this.#byId].filter(([, known]) => known === 'dropped').map(([id]) => id);
  }

  /** How many replicas the keys of each namespace have. */
  replicaCounts(): readonly number[] {
    const { regions } = this.#placement.layout;
    return this.all().map((namespace) =>
      regions.reduce((sum, { name }) => sum + replicasPerRegion(namespace, name), 0),
    );
  }

  byId(id: NamespaceId): Known | undefined {
    return this.#byId.get(id);
  }

  /** Whether this node can tell where the key is held. */
  knows(key: RecordKey): boolean {
    return key.startsWith(CATALOG_PREFIX) || this.#byId.has(namespaceIdOf(key));
  }

  /** The replicas of a key. Every store holds the catalog; a dropped or unknown namespace is held nowhere. */
  replicas(key: RecordKey): readonly Replica[] {
    if (key.startsWith(CATALOG_PREFIX)) return this.#everyStore;
    const namespace = this.#byId.get(namespaceIdOf(key));
    if (!namespace || namespace === 'dropped') return [];
    return this.replicasIn(namespace, key);
  }

  replicasIn(namespace: Namespace, key: RecordKey): readonly Replica[] {
    const everywhereAlike = this.#alike(namespace);
    if (everywhereAlike) return everywhereAlike;
    return this.#placement.replicas(namespace.placement, partitionOf(this.#hashes.text, key));
  }

  /** Those of a key's replicas that stand in a region. */
  replicasInRegion(key: RecordKey, region: RegionName): readonly Replica[] {
    const replicas = this.replicas(key);
    let byRegion = this.#byRegion.get(replicas);
    if (!byRegion) {
      byRegion = new Map();
      this.#byRegion.set(replicas, byRegion);
    }
    let inRegion = byRegion.get(region);
    if (!inRegion) {
      inRegion = replicas.filter((replica) => replica.region === region);
      byRegion.set(region, inRegion);
    }
    return inRegion;
  }

  /** The replicas of every key, where each region that holds any has all of its stores hold all. */
  #alike(namespace: Namespace): readonly Replica[] | undefined {
    let alike = this.#alikeReplicas.get(namespace);
    if (alike === undefined) {
      const holders = this.#placement.allStores().filter(({ region }) => replicasPerRegion(namespace, region) > 0);
      const isAlike = holders.every(({ name }) => this.#holdsAllOf(namespace, name));
      alike = isAlike ? this.#placement.replicas(namespace.placement, 0 as Partition) : null;
      this.#alikeReplicas.set(namespace, alike);
    }
    return alike ?? undefined;
  }

  isHeldBy(store: StoreName, key: RecordKey): boolean {
    if (key.startsWith(CATALOG_PREFIX)) return true;
    const namespace = this.#byId.get(namespaceIdOf(key));
    if (!namespace || namespace === 'dropped') return false;
    if (this.#holdsAllOf(namespace, store)) return true;
    return this.#placement.hosts(store, namespace.placement, partitionOf(this.#hashes.text, key));
  }

  #holdsAllOf(namespace: Namespace, store: StoreName): boolean {
    let holders = this.#wholeHolders.get(namespace);
    if (!holders) {
      holders = new Map();
      this.#wholeHolders.set(namespace, holders);
    }
    let holdsAll = holders.get(store);
    if (holdsAll === undefined) {
      const region = this.#placement.regionOfStore(store);
      const replicas = region === undefined ? 0 : replicasPerRegion(namespace, region);
      holdsAll = region !== undefined && replicas >= this.#placement.storesOf(region).length;
      holders.set(store, holdsAll);
    }
    return holdsAll;
  }

  isHeldHere(key: RecordKey): boolean {
    return this.isHeldBy(this.#self, key);
  }
}

function replicasPerRegion({ placement }: Namespace, region: RegionName): number {
  return placement === 'all' ? 1 : (placement[region] ?? 0);
}
