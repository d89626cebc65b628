import { describe, expect, it } from 'vitest';
import { runSeed } from './run.ts';

const SEEDS = 200;
const WORKERS_OF_SEEDS = 10;

describe('a simulated cluster under faults', () => {
  for (let batch = 0; batch < SEEDS / WORKERS_OF_SEEDS; batch++) {
    const from = batch * WORKERS_OF_SEEDS + 1;
    it(`keeps its invariants in seeds ${from} to ${from + WORKERS_OF_SEEDS - 1}`, async () => {
      for (let seed = from; seed < from + WORKERS_OF_SEEDS; seed++) {
        const { failure, acknowledged } = await runSeed(seed);
        const told = failure ? `seed ${seed}: ${failure.message}\n  again: make sim SEED=${seed}` : undefined;
        expect(told).toBeUndefined();
        expect(acknowledged).toBeGreaterThan(20);
      }
    });
  }

  it('replays a seed exactly, event for event', async () => {
    for (const seed of [1, 3, 42]) {
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
