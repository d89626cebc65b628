import type { Sequence, StoreId, StoreName } from '@meridian/core/ids';
import type { Placement } from '@meridian/core/placement/layout';
import { PlacementTable } from '@meridian/core/placement/placement-table';
import { describe, expect, it } from 'vitest';
import { xxh3Hashes } from '../adapters/system/xxh3-hashes.ts';
import { layoutOf } from './cluster.testing.ts';
import { inheritedClaims } from './inherited-claims.ts';

const LOST = 'af-1.lost';
const table = new PlacementTable(layoutOf({ us: 2, eu: 1, ap: 1, af: 1 }), xxh3Hashes.text);

/** What us-1 claims of `id`, once it has taken in origins that had claimed so much of it. */
function claimOf(id: string, claimed: Readonly<Record<string, number>>, placements: readonly object[] = []): number {
  const origins = Object.entries(claimed).map(([store, sequence]) => ({
    store: store as StoreName,
    claims: new Map([[id as StoreId, sequence as Sequence]]),
  }));
  const claims = inheritedClaims('us-1' as StoreName, origins, ['all', ...(placements as Placement[])], table);
  return claims.get(id as StoreId) ?? 0;
}

describe('the claim to what a store that is gone has written', () => {
  it('is the highest of those that hold all that is held here', () => {
    expect(claimOf(LOST, { 'eu-1': 5, 'ap-1': 9 })).toBe(9);
  });

  it('is no higher than that of one who holds some of it', () => {
    // Of what us-1 holds us-2 holds nothing.
    expect(claimOf(LOST, { 'eu-1': 5, 'us-2': 9 })).toBe(5);
  });

  it('counts for each namespace those that hold it', () => {
    expect(claimOf(LOST, { 'eu-1': 5, 'ap-1': 9 }, [{ us: 1, eu: 1, af: 1 }])).toBe(5);
    expect(claimOf(LOST, { 'ap-1': 9, 'eu-1': 5 }, [{ us: 1, ap: 1, af: 1 }])).toBe(9);
  });

  it('asks nothing of a namespace whose keys it cannot have written, or that none of the others holds', () => {
    expect(claimOf(LOST, { 'eu-1': 5, 'ap-1': 9 }, [{ us: 1, eu: 1 }])).toBe(9);
    expect(claimOf(LOST, { 'eu-1': 5, 'ap-1': 9 }, [{ us: 1, af: 1 }])).toBe(9);
    expect(claimOf('xx-1.lost', { 'eu-1': 5, 'ap-1': 9 }, [{ us: 1, eu: 1 }])).toBe(5);
  });

  it('is for its own former writes what its peers have seen of them', () => {
    expect(claimOf('us-1.former', { 'eu-1': 5, 'ap-1': 9 }, [{ us: 1, eu: 1 }])).toBe(9);
  });
});
