import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RegionName, StoreName } from '../ids.ts';
import { preferenceList, quorumOf, type Replica } from './preference-list.ts';

function replica(region: string, store: string): Replica {
  return { region: region as RegionName, store: store as StoreName };
}

const RTT_MS: Record<string, number> = {
  'eu-central': 90,
  'ap-northeast': 160,
  'us-west': 90,
  unknown: Number.NaN,
  dead: Infinity,
};
const rttMs = (region: RegionName): number => RTT_MS[region] ?? 0;
const here = replica('us-east', 'use-2');
const storesOf = (replicas: readonly Replica[]): string[] => replicas.map(({ store }) => store);

describe('preferenceList', () => {
  it('puts the own store first, then the own region, then regions by round trip', () => {
    const replicas = [
      replica('ap-northeast', 'apn-1'),
      replica('eu-central', 'euc-1'),
      replica('us-east', 'use-1'),
      replica('us-east', 'use-2'),
    ];
    expect(storesOf(preferenceList(replicas, here, rttMs))).toEqual(['use-2', 'use-1', 'euc-1', 'apn-1']);
  });

  it('holds the own region nearer than one that answers in no time', () => {
    const replicas = [replica('lab', 'a'), replica('us-east', 'z')];
    expect(storesOf(preferenceList(replicas, here, rttMs))).toEqual(['z', 'a']);
  });

  it('breaks ties by store name, over regions too', () => {
    const replicas = [replica('us-west', 'b'), replica('eu-central', 'c'), replica('us-west', 'a')];
    expect(storesOf(preferenceList(replicas, here, rttMs))).toEqual(['a', 'b', 'c']);
  });

  it('puts regions without a known round trip last', () => {
    const replicas = [replica('unknown', 'b'), replica('dead', 'a'), replica('ap-northeast', 'c')];
    expect(storesOf(preferenceList(replicas, here, rttMs))).toEqual(['c', 'a', 'b']);
  });

  it('is one order, whatever order the replicas come in, and leaves the given list as it was', () => {
    const regions = ['us-east', 'eu-central', 'us-west', 'ap-northeast', 'unknown', 'dead'];
    const all = regions.flatMap((region) => ['1', '2'].map((n) => replica(region, `${region}-${n}`)));
    const expected = preferenceList(all, here, rttMs);
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (shuffled) => {
        const before = [...shuffled];
        expect(preferenceList(shuffled, here, rttMs)).toEqual(expected);
        expect(shuffled).toEqual(before);
      }),
    );
  });
});

describe('quorumOf', () => {
  it('is the least majority: two of them always share a replica, and no smaller number does', () => {
    for (let count = 1; count <= 64; count++) {
      expect(2 * quorumOf(count)).toBeGreaterThan(count);
      expect(2 * (quorumOf(count) - 1)).toBeLessThanOrEqual(count);
    }
  });
});
