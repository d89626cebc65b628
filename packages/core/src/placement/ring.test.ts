import { describe, expect, it } from 'vitest';
import type { RegionName, StoreName } from '../ids.ts';
import { testHash } from './hash.testing.ts';
import type { LayoutStore } from './layout.ts';
import { PARTITIONS, type Partition } from './partition.ts';
import { buildRing, type Ring, replicasOn } from './ring.ts';

function store(name: string, capacity = 1): LayoutStore {
  return { name: name as StoreName, region: 'us-east' as RegionName, capacity };
}

const at = (partition: number): Partition => partition as Partition;

describe('buildRing', () => {
  it('gives every partition to the only store there is', () => {
    const ring = buildRing([store('a')], testHash);
    expect(ring.tokens).toHaveLength(PARTITIONS);
    expect(new Set(ring.tokens)).toEqual(new Set(['a']));
  });

  it('of no stores has no replicas', () => {
    expect(replicasOn(buildRing([], testHash), at(5), 3)).toEqual([]);
  });

  it('never changes for a given set of stores, because a change would move the data of every cluster', () => {
    const ring = buildRing(
      [store('us-east-1'), store('us-east-2', 2), store('us-east-3'), store('us-east-4', 1.5)],
      testHash,
    );
    expect(testHash(ring.tokens.join()).toString(16)).toBe('cc1843c3acc9bd2b');
  });

  it('asks the hash for the names of stores only, so that a region of other stores plays no part', () => {
    const asked: string[] = [];
    const stores = [store('b'), store('a')];
    buildRing(stores, (text) => {
      asked.push(text);
      return testHash(text);
    });
    expect(asked.sort()).toEqual(['ring\0a', 'ring\0b']);
  });

  it('depends on the ratios of capacities, not on their unit', () => {
    const small = buildRing([store('a', 1), store('b', 2), store('c', 4)], testHash);
    const large = buildRing([store('a', 2 ** 40), store('b', 2 ** 41), store('c', 2 ** 42)], testHash);
    expect(large.tokens).toEqual(small.tokens);
  });
});

describe('replicasOn', () => {
  const a = 'a' as StoreName;
  const b = 'b' as StoreName;
  const c = 'c' as StoreName;
  const tokens = new Array<StoreName>(PARTITIONS).fill(a);
  tokens[2] = b;
  tokens[1023] = c;
  const ring: Ring = { stores: [a, b, c], tokens };

  it('walks clockwise over distinct stores', () => {
    expect(replicasOn(ring, at(2), 1)).toEqual(['b']);
    expect(replicasOn(ring, at(2), 2)).toEqual(['b', 'a']);
    expect(replicasOn(ring, at(3), 3)).toEqual(['a', 'c', 'b']);
  });

  it('goes on from the last partition to the first', () => {
    expect(replicasOn(ring, at(1023), 3)).toEqual(['c', 'a', 'b']);
  });

  it('gives all stores where more are asked for, and none where none are', () => {
    expect(replicasOn(ring, at(0), 16)).toEqual(['a', 'b', 'c']);
    expect(replicasOn(ring, at(0), 0)).toEqual([]);
  });

  it('counts on a store too small for a token, after all others', () => {
    const stores = [store('tiny', 1), store('large', 1e6), store('other', 1e6)];
    const uneven = buildRing(stores, testHash);
    const bare = uneven.tokens.indexOf('tiny' as StoreName) === -1;
    expect(bare).toBe(true);
    expect(replicasOn(uneven, at(0), 3)).toHaveLength(3);
    expect(replicasOn(uneven, at(0), 3)[2]).toBe('tiny');
    expect(replicasOn(uneven, at(0), 2)).not.toContain('tiny');
  });
});
