import { describe, expect, it } from 'vitest';
import { distanceKm, estimatedRttMs, measuredRttMs, wanPlace, wanPlaces } from './wan-places.ts';

describe('places and round trips', () => {
  it('are measured between all pairs of the table, either way round', () => {
    for (const { name: one } of wanPlaces()) {
      for (const { name: other } of wanPlaces()) {
        if (one === other) continue;
        expect(measuredRttMs(one, other)).toBeGreaterThan(0);
        expect(measuredRttMs(one, other)).toBe(measuredRttMs(other, one));
      }
    }
    expect(measuredRttMs('us-east', 'mars')).toBeUndefined();
  });

  it('are estimated with the median of the measured detours', () => {
    const ratios = wanPlaces().flatMap((one, at) =>
      wanPlaces()
        .slice(at + 1)
        .map((other) => (measuredRttMs(one.name, other.name) ?? 0) / estimatedRttMs(one, other)),
    );
    const median = ratios.toSorted((left, right) => left - right)[ratios.length >> 1] ?? 0;
    expect(median).toBeCloseTo(1, 1);
  });

  it('know the way from Frankfurt to Sydney', () => {
    const [frankfurt, sydney] = [wanPlace('eu-central'), wanPlace('ap-southeast')];
    if (!frankfurt || !sydney) throw new Error('both are in the table');
    expect(distanceKm(frankfurt, sydney)).toBeCloseTo(16_490, -2);
    expect(estimatedRttMs(frankfurt, frankfurt)).toBe(1);
  });
});
