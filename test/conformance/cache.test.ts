import { SimulatedCache, SimulatedCacheServer } from '../simulation/simulated-cache.ts';
import { ProcessClock, VirtualTime } from '../simulation/virtual-time.ts';
import { CACHE_TTL_MS, describeCache } from './cache.ts';

describeCache('simulated', async () => {
  const time = new VirtualTime();
  const clock = new ProcessClock(time, 0);
  const server = new SimulatedCacheServer(clock, CACHE_TTL_MS);
  return {
    connect: async () => new SimulatedCache(server, clock),
    flushAll: async () => server.flushAll(),
    passTtl: async () => {
      let isOver = false;
      time.at(CACHE_TTL_MS + 1, () => {
        isOver = true;
      });
      await time.run(() => isOver);
    },
    dispose: async () => undefined,
  };
});
