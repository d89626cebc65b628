import { expect, it } from 'vitest';
import { runSeed } from './run.ts';

const SEEDS_OF_A_TEST = 10;

/** Seeds of two files run side by side. */
export function itKeepsItsInvariants(first: number, last: number): void {
  for (let from = first; from <= last; from += SEEDS_OF_A_TEST) {
    const to = Math.min(from + SEEDS_OF_A_TEST - 1, last);
    it(`keeps its invariants in seeds ${from} to ${to}`, async () => {
      for (let seed = from; seed <= to; seed++) {
        const { failure, acknowledged } = await runSeed(seed);
        const told = failure ? `seed ${seed}: ${failure.message}\n  again: make sim SEED=${seed}` : undefined;
        expect(told).toBeUndefined();
        expect(acknowledged).toBeGreaterThan(20);
      }
    });
  }
}
