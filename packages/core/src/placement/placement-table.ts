import type { NodeName, RegionName, StoreName } from '../ids.ts';
import type { Layout, LayoutNode, LayoutRegion, LayoutStore, Placement } from './layout.ts';
import { type Hash64, PARTITIONS, type Partition } from './partition.ts';
import type { Replica } from './preference-list.ts';
import { buildRing, type Ring, replicasOn } from './ring.ts';

type ReplicasByPartition = (readonly Replica[] | undefined)[];

/**
 * What one layout says about who holds what. Assumes of the layout: names of regions, stores and nodes are each unique
 * in the cluster, capacities are above 0, a node's store stands in its region.
 *
 * Building it draws the rings, some milliseconds a region. Asking again for the replicas of a partition is one look-up,
 * as long as the caller hands in the same placement object; placements are never changed once shared.
 */
export class PlacementTable {
  readonly layout: Layout;
  readonly #rings: ReadonlyMap<RegionName, Ring>;
  readonly #regions: ReadonlyMap<RegionName, LayoutRegion>;
  readonly #nodes: ReadonlyMap<NodeName, LayoutNode>;
  readonly #regionByStore: ReadonlyMap<StoreName, RegionName>;
  readonly #nodesByStore: ReadonlyMap<StoreName, readonly LayoutNode[]>;
  readonly #stores: readonly LayoutStore[];
  readonly #replicasEverywhere = emptyPartitions();
  readonly #replicasByPlacement = new WeakMap<Exclude<Placement, 'all'>, ReplicasByPartition>();

  constructor(layout: Layout, hash: Hash64) {
    const nodes = layout.regions.flatMap((region) => region.nodes);
    this.layout = layout;
    this.#stores = layout.regions.flatMap((region) => region.stores);
    this.#rings = new Map(layout.regions.map((region) => [region.name, buildRing(region.stores, hash)]));
    this.#regions = new Map(layout.regions.map((region) => [region.name, region]));
    this.#nodes = new Map(nodes.map((node) => [node.name, node]));
    this.#regionByStore = new Map(this.#stores.map((store) => [store.name, store.region]));
    this.#nodesByStore = Map.groupBy(nodes, (node) => node.store);
  }

  /** Regions in the order of the layout, the replicas of a region in the order of its ring. */
  replicas(placement: Placement, partition: Partition): readonly Replica[] {
    const known = this.#replicasFor(placement);
    const replicas = known[partition] ?? this.#findReplicas(placement, partition);
    known[partition] = replicas;
    return replicas;
  }

  hosts(store: StoreName, placement: Placement, partition: Partition): boolean {
    return this.replicas(placement, partition).some((replica) => replica.store === store);
  }

  region(name: RegionName): LayoutRegion | undefined {
    return this.#regions.get(name);
  }

  node(name: NodeName): LayoutNode | undefined {
    return this.#nodes.get(name);
  }

  /** The nodes that serve a store, in the order of the layout. */
  nodesOf(store: StoreName): readonly LayoutNode[] {
    return this.#nodesByStore.get(store) ?? [];
  }

  storesOf(region: RegionName): readonly LayoutStore[] {
    return this.#regions.get(region)?.stores ?? [];
  }

  allStores(): readonly LayoutStore[] {
    return this.#stores;
  }

  /** Nothing where the store is not, or no longer, in the layout. */
  regionOfStore(store: StoreName): RegionName | undefined {
    return this.#regionByStore.get(store);
  }

  #replicasFor(placement: Placement): ReplicasByPartition {
    if (placement === 'all') return this.#replicasEverywhere;
    let known = this.#replicasByPlacement.get(placement);
    if (!known) {
      known = emptyPartitions();
      this.#replicasByPlacement.set(placement, known);
    }
    return known;
  }

  #findReplicas(placement: Placement, partition: Partition): readonly Replica[] {
    return [...this.#rings].flatMap(([region, ring]) =>
      replicasOn(ring, partition, replicasIn(placement, region)).map((store) => ({ store, region })),
    );
  }
}

function emptyPartitions(): ReplicasByPartition {
  return new Array<readonly Replica[] | undefined>(PARTITIONS).fill(undefined);
}

function replicasIn(placement: Placement, region: RegionName): number {
  if (placement === 'all') return 1;
  return Object.hasOwn(placement, region) ? (placement[region] ?? 0) : 0;
}
