import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RegionName, StoreName } from '../ids.ts';
import {
  checkPlacement,
  type Layout,
  type LayoutRegion,
  layoutFingerprint,
  REPLICAS_PER_REGION_MAX,
} from './layout.ts';

function region(name: string, ...stores: [string, number][]): LayoutRegion {
  return {
    name: name as RegionName,
    latitude: 0,
    longitude: 0,
    stores: stores.map(([store, capacity]) => ({ name: store as StoreName, region: name as RegionName, capacity })),
    nodes: [],
  };
}

const east = region('us-east', ['a', 1], ['b', 2]);
const central = region('eu-central', ['c', 1]);
const layout: Layout = { version: 1, cluster: 'test', regions: [east, central] };

describe('checkPlacement', () => {
  it.each(['all', { 'us-east': 1 }, { 'us-east': 0, 'eu-central': REPLICAS_PER_REGION_MAX }])(
    'takes %j',
    (placement) => {
      expect(checkPlacement(placement, layout)).toEqual({ placement });
    },
  );

  it.each([
    ['ALL', 'object of region names'],
    [null, 'object of region names'],
    [undefined, 'object of region names'],
    [['us-east'], 'object of region names'],
    [1, 'object of region names'],
    [{}, 'at least one region'],
    [{ 'us-east': 0 }, 'at least one region'],
    [{ 'us-east': -1 }, 'placement of us-east'],
    [{ 'us-east': 1.5 }, 'placement of us-east'],
    [{ 'us-east': '1' }, 'placement of us-east'],
    [{ 'us-east': REPLICAS_PER_REGION_MAX + 1 }, 'from 0 to 16'],
    [{ 'us-east': Number.NaN }, 'placement of us-east'],
    [{ 'us-east': null }, 'placement of us-east'],
    [{ 'us-east': 1, atlantis: 1 }, 'names "atlantis"; the regions are us-east, eu-central'],
    [JSON.parse('{"__proto__": {"us-east": 1}}') as unknown, 'names "__proto__"'],
    [{ ['x'.repeat(100_000)]: 1 }, `names "${'x'.repeat(64)}"`],
  ])('says what is wrong with %j', (placement, problem) => {
    expect(checkPlacement(placement, layout)).toEqual({ problem: expect.stringContaining(problem) as unknown });
  });

  it('takes a copy, which later changes of what was given do not reach', () => {
    const given = { 'us-east': 1 };
    const checked = checkPlacement(given, layout);
    given['us-east'] = 99;
    expect(checked).toEqual({ placement: { 'us-east': 1 } });
  });

  it('answers every JSON value, and takes only what keeps the promise', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.jsonValue(),
          fc.dictionary(fc.constantFrom('us-east', 'eu-central', 'x'), fc.integer({ min: -1, max: 17 })),
        ),
        (value) => {
          const checked = checkPlacement(value, layout);
          if ('problem' in checked || checked.placement === 'all') return;
          const counts = Object.values(checked.placement);
          expect(
            counts.every((count) => Number.isInteger(count) && count >= 0 && count <= REPLICAS_PER_REGION_MAX),
          ).toBe(true);
          expect(counts.some((count) => count > 0)).toBe(true);
          expect(['us-east', 'eu-central']).toEqual(expect.arrayContaining(Object.keys(checked.placement)));
        },
      ),
    );
  });
});

describe('layoutFingerprint', () => {
  const fingerprint = layoutFingerprint(layout);

  it('is the same for the same stores in another order, and under another version', () => {
    const turned = { ...east, stores: east.stores.toReversed() };
    expect(layoutFingerprint({ ...layout, version: 2, regions: [turned, central] })).toBe(fingerprint);
  });

  it('tells apart what places differently', () => {
    const others = [
      [central, east],
      [east],
      [region('us-east', ['a', 1], ['b', 3]), central],
      [region('us-east', ['a', 1], ['d', 2]), central],
      [region('us-west', ['a', 1], ['b', 2]), central],
    ];
    for (const regions of others) expect(layoutFingerprint({ ...layout, regions })).not.toBe(fingerprint);
  });
});
