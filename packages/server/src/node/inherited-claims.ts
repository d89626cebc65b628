import { EMPTY_VECTOR, join, sequenceIn, type VersionVector } from '@meridian/core/causality/version-vector';
import { type RegionName, type Sequence, type StoreId, type StoreName, storeNameOf } from '@meridian/core/ids';
import type { Placement } from '@meridian/core/placement/layout';
import { PARTITIONS, type Partition } from '@meridian/core/placement/partition';
import type { PlacementTable } from '@meridian/core/placement/placement-table';

/** An origin all of whose records were taken in, and what it had claimed before. */
interface TakenIn {
  readonly store: StoreName;
  readonly claims: VersionVector;
}

/** Keys held here for which the same of these origins answer. */
interface Share {
  readonly placement: Placement;
  readonly holders: readonly TakenIn[];
}

/**
 * What a store may claim of others once it has taken in these origins. A claim speaks of the keys that its store holds, and
 * says nothing of the rest. So of each key that both this store and the one in question hold, an origin that holds it too must
 * have claimed so much. Keys that no origin holds count for nothing: nobody is left who could bring them.
 */
export function inheritedClaims(
  self: StoreName,
  origins: readonly TakenIn[],
  placements: readonly Placement[],
  table: PlacementTable,
): VersionVector {
  const most = origins.reduce((claims, origin) => join(claims, origin.claims), EMPTY_VECTOR);
  if (most.size === 0) return most;
  const shares = sharesOf(self, origins, placements, table);
  const inherited = new Map<StoreId, Sequence>();
  for (const [id, highest] of most) {
    const region = table.regionOfStore(storeNameOf(id));
    let least = highest;
    for (const { placement, holders } of shares) {
      // What this store itself once was sends nothing any more, and its peers see to it that it claims no less than they do.
      if (storeNameOf(id) === self || !mayHold(placement, region)) continue;
      const claimed = holders.reduce((max, { claims }) => Math.max(max, sequenceIn(claims, id)), 0);
      least = Math.min(least, claimed) as Sequence;
    }
    if (least > 0) inherited.set(id, least);
  }
  return inherited;
}

/** By region, not by store: which of its stores holds a key may have changed with the layout. One without a region is in none any more. */
function mayHold(placement: Placement, region: RegionName | undefined): boolean {
  return placement === 'all' || region === undefined || (placement[region] ?? 0) > 0;
}

function sharesOf(
  self: StoreName,
  origins: readonly TakenIn[],
  placements: readonly Placement[],
  table: PlacementTable,
): readonly Share[] {
  const shares = new Map<string, Share>();
  for (const placement of new Map(placements.map((one) => [JSON.stringify(one), one])).values()) {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const replicas = new Set(table.replicas(placement, partition as Partition).map(({ store }) => store));
      if (!replicas.has(self)) continue;
      const holders = origins.filter(({ store }) => replicas.has(store));
      if (holders.length === 0) continue;
      shares.set(JSON.stringify([placement, holders.map(({ store }) => store)]), { placement, holders });
    }
  }
  return [...shares.values()];
}
