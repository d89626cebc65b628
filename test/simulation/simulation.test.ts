import { describe, expect, it } from 'vitest';
import { runSeed } from './run.ts';
import { itKeepsItsInvariants } from './seeds.testing.ts';

describe('a simulated cluster under faults', () => {
  itKeepsItsInvariants(1, 100);

  it('replays a seed exactly, event for event', async () => {
    for (const seed of [1, 3, 5, 7, 42]) {
      const first = await runSeed(seed);
      const second = await runSeed(seed);
      expect(second.hash).toBe(first.hash);
      expect(second.events).toBe(first.events);
    }
  });

  it('gives different seeds different runs', async () => {
    expect((await runSeed(5)).hash).not.toBe((await runSeed(6)).hash);
  });
});
