import { describe, expect, it } from 'vitest';
import { PLANTED } from './planted.ts';
import { runSeed } from './run.ts';

describe('the simulator finds the planted bug', () => {
  for (const [name, { bugs, seedsMax }] of Object.entries(PLANTED)) {
    it(`${name} within ${seedsMax} seeds`, async () => {
      let foundAt: number | undefined;
      for (let seed = 1; seed <= seedsMax && foundAt === undefined; seed++) {
        if ((await runSeed(seed, bugs)).failure) foundAt = seed;
      }
      expect(foundAt).toBeDefined();
    });
  }
});
