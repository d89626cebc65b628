import { compareKeys, type StoreName } from '../ids.ts';
import type { LayoutStore } from './layout.ts';
import { type Hash64, PARTITIONS, type Partition } from './partition.ts';
import { allocateTokens } from './token-allocation.ts';

/**
 * The consistent-hash ring of one region. At the start of each partition stands one token (a virtual node) of one store;
 * each store has as many as its capacity share asks for.
 */
export interface Ring {
  /** By name. */
  readonly stores: readonly StoreName[];
  /** The store whose token stands at each partition: the partition's first replica. Empty where there is no store. */
  readonly tokens: readonly StoreName[];
}

/**
 * A pure function of the set of stores (names and capacities): their order and the ring's history do not matter, so all
 * nodes that know the layout agree. Tokens are within 5% of capacity share, or within one token. Takes milliseconds.
 */
export function buildRing(stores: readonly LayoutStore[], hash: Hash64): Ring {
  if (stores.length === 0) return { stores: [], tokens: [] };
  const byName = stores.toSorted((left, right) => compareKeys(left.name, right.name));
  const names = byName.map((store) => store.name);
  return { stores: names, tokens: Array.from(allocateTokens(byName, hash), (owner) => names[owner]!) };
}

/** The first `count` distinct stores clockwise from the partition; all of them where there are no more than that. */
export function replicasOn(ring: Ring, partition: Partition, count: number): readonly StoreName[] {
  const wanted = Math.min(count, ring.stores.length);
  const found = new Set<StoreName>();
  for (let step = 0; step < PARTITIONS && found.size < wanted; step++) {
    found.add(ring.tokens[(partition + step) % PARTITIONS]!);
  }
  // A store of less than a partition's worth may have no token. It comes last, but it comes.
  for (const store of ring.stores) if (found.size < wanted) found.add(store);
  return [...found];
}
