import { describe, expect, it } from 'vitest';
import { PLANTED } from './planted.ts';
import { runSeed } from './run.ts';

describe('the simulator finds the planted bug', () => {
  for (const [name, { bugs, seedsMax, knownSeed, step }] of Object.entries(PLANTED)) {
    it(`${name} within ${seedsMax} seeds`, async () => {
      const seeds = [knownSeed, ...Array.from({ length: seedsMax / step }, (_none, at) => (at + 1) * step)];
      let foundAt: number | undefined;
      for (const seed of seeds) {
        if ((await runSeed(seed, bugs)).failure) foundAt = seed;
        if (foundAt !== undefined) break;
      }
      expect(foundAt).toBeDefined();
    });
  }
});
