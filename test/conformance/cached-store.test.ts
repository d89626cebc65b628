import { CachedStore } from '@meridian/server/adapters/cached-store';
import type { Clock } from '@meridian/server/ports/clock';
import type { Log } from '@meridian/server/ports/log';
import { SimulatedCache, SimulatedCacheServer } from '../simulation/simulated-cache.ts';
import { SimulatedDisk, SimulatedStore } from '../simulation/simulated-store.ts';
import { systemRandom } from '../support/system-random.ts';
import { describeStore, STORE_NAME } from './store.ts';

const clock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  timer: (_, fire) => {
    const timer = setImmediate(fire);
    return () => clearImmediate(timer);
  },
  soon: (fire) => void setImmediate(fire),
};
const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const TTL_MS = 60_000;

for (const [name, isAway] of [
  ['a store with a cache', false],
  ['a store whose cache is away', true],
] as const) {
  describeStore(
    name,
    async () => {
      const disk = new SimulatedDisk();
      const server = new SimulatedCacheServer(clock, TTL_MS);
      server.isAway = isAway;
      const simulated = { disk, storeName: STORE_NAME, clock, random: systemRandom, onError: () => undefined };
      return {
        open: async () =>
          new CachedStore({
            store: new SimulatedStore(simulated),
            cache: new SimulatedCache(server, clock),
            clock,
            log: quiet,
            ttlMs: TTL_MS,
            valueBytesMax: 65_536,
            timeoutMs: 20,
          }),
        dispose: async () => undefined,
      };
    },
    { isExclusive: true, propertyRuns: 50 },
  );
}
