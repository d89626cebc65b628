import { describe, expect, it } from 'vitest';
import type { NodeName, RegionName, StoreName } from '../ids.ts';
import { testHash } from './hash.testing.ts';
import type { Layout, LayoutRegion } from './layout.ts';
import { PARTITIONS, type Partition } from './partition.ts';
import { PlacementTable } from './placement-table.ts';
import { buildRing, replicasOn } from './ring.ts';

/** As many stores as asked for, each with two nodes. */
function region(name: string, stores: number): LayoutRegion {
  const names = Array.from({ length: stores }, (_, at) => `${name}-${at + 1}` as StoreName);
  return {
    name: name as RegionName,
    latitude: 0,
    longitude: 0,
    stores: names.map((store) => ({ name: store, region: name as RegionName, capacity: 1 })),
    nodes: names.flatMap((store) =>
      ['x', 'y'].map((which) => ({
        name: `${store}${which}` as NodeName,
        region: name as RegionName,
        store,
        http: 'localhost:1',
        peer: 'localhost:2',
      })),
    ),
  };
}

const layout: Layout = {
  version: 1,
  cluster: 'test',
  regions: [region('us-east', 3), region('eu-central', 2), region('ap-northeast', 1)],
};
const partitions = Array.from({ length: PARTITIONS }, (_, at) => at as Partition);
const US_EAST = 'us-east' as RegionName;

const shared = table();

function table(): PlacementTable {
  return new PlacementTable(layout, testHash);
}

describe('replicas', () => {
  it("of 'all' are one in each region, in the order of the layout", () => {
    for (const partition of partitions) {
      const regions = shared.replicas('all', partition).map((replica) => replica.region);
      expect(regions).toEqual(['us-east', 'eu-central', 'ap-northeast']);
    }
  });

  it("are the first stores clockwise on each region's ring, in that order", () => {
    const placement = { 'us-east': 2, 'eu-central': 1 };
    const [usEast, euCentral] = layout.regions.map((each) => buildRing(each.stores, testHash));
    for (const partition of partitions) {
      expect(shared.replicas(placement, partition).map((replica) => replica.store)).toEqual([
        ...replicasOn(usEast!, partition, 2),
        ...replicasOn(euCentral!, partition, 1),
      ]);
    }
  });

  it('never stand in a region that the placement does not name or gives none', () => {
    const placement = { 'us-east': 3, 'ap-northeast': 0 };
    for (const partition of partitions) {
      for (const replica of shared.replicas(placement, partition)) expect(replica.region).toBe('us-east');
    }
  });

  it("are all of a region's stores where the placement asks for more", () => {
    expect(shared.replicas({ 'eu-central': 16 }, 7 as Partition)).toHaveLength(2);
  });

  it('leave out regions that are not in the layout', () => {
    expect(shared.replicas({ atlantis: 2 }, 7 as Partition)).toEqual([]);
  });

  it('take no count from what every object inherits', () => {
    const odd = new PlacementTable({ ...layout, regions: [region('constructor', 1)] }, testHash);
    expect(odd.replicas({ 'us-east': 1 }, 0 as Partition)).toEqual([]);
    expect(odd.replicas({ constructor: 1 }, 0 as Partition)).toHaveLength(1);
  });

  it('are found once for a placement and partition', () => {
    const placement = { 'us-east': 2 };
    const fresh = table();
    expect(fresh.replicas(placement, 3 as Partition)).toBe(fresh.replicas(placement, 3 as Partition));
    expect(fresh.replicas('all', 3 as Partition)).toBe(fresh.replicas('all', 3 as Partition));
    expect(fresh.replicas({ 'us-east': 1 }, 3 as Partition)).toHaveLength(1);
  });

  it('of a region stay where they are when another region gains a store', () => {
    const grown = new PlacementTable(
      { ...layout, regions: [layout.regions[0]!, region('eu-central', 3), layout.regions[2]!] },
      testHash,
    );
    const placement = { 'us-east': 2, 'ap-northeast': 1 };
    for (const partition of partitions) {
      expect(grown.replicas(placement, partition)).toEqual(shared.replicas(placement, partition));
    }
  });
});

describe('hosts', () => {
  it('is whether the store is among the replicas', () => {
    const placement = { 'us-east': 1 };
    for (const partition of partitions.slice(0, 64)) {
      const replicas = shared.replicas(placement, partition).map((replica) => replica.store);
      for (const { name } of shared.allStores()) {
        expect(shared.hosts(name, placement, partition)).toBe(replicas.includes(name));
      }
    }
  });
});

describe('look-ups', () => {
  it('find regions, stores and nodes by name', () => {
    expect(shared.region(US_EAST)).toBe(layout.regions[0]);
    expect(shared.node('eu-central-2y' as NodeName)?.store).toBe('eu-central-2');
    expect(shared.nodesOf('us-east-3' as StoreName).map((node) => node.name)).toEqual(['us-east-3x', 'us-east-3y']);
    expect(shared.storesOf(US_EAST)).toHaveLength(3);
    expect(shared.allStores()).toHaveLength(6);
    expect(shared.regionOfStore('eu-central-1' as StoreName)).toBe('eu-central');
  });

  it('find nothing under names that are not in the layout', () => {
    expect(shared.region('x' as RegionName)).toBeUndefined();
    expect(shared.node('x' as NodeName)).toBeUndefined();
    expect(shared.nodesOf('x' as StoreName)).toEqual([]);
    expect(shared.storesOf('x' as RegionName)).toEqual([]);
    expect(shared.regionOfStore('x' as StoreName)).toBeUndefined();
  });
});
