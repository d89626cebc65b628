import { InvariantBroken } from './invariant-broken.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import { EPOCH_MS } from './virtual-time.ts';

/** How wrong a clock may be for a replica still to count as sane. */
export const SANE_CLOCK_MS = 200;

/** Knows which clocks are right, and since when all are. */
export class Clocks {
  readonly #cluster: SimulatedCluster;

  constructor(cluster: SimulatedCluster) {
    this.#cluster = cluster;
  }

  isSane(offsetMs: number): boolean {
    return Math.abs(offsetMs) <= SANE_CLOCK_MS;
  }

  /** Invariant 6 where all clocks are right: nothing is seen by a read that began after its expiry. */
  checkVisible(key: string, expiresAtMs: number, startedAtMs: number): void {
    if (this.#cluster.lastWrongClockMs >= startedAtMs) return;
    const afterMs = EPOCH_MS + startedAtMs - expiresAtMs;
    if (afterMs > 2 * SANE_CLOCK_MS)
      throw new InvariantBroken(6, `${key} was seen by a read that began ${Math.round(afterMs)} ms after its expiry`);
  }
}
