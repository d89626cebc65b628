import { setTimeout as sleep } from 'node:timers/promises';
import type { Sequence } from '@meridian/core/ids';
import { RedisCache, type RedisCacheOptions } from '@meridian/server/adapters/redis/redis-cache';
import { systemClock } from '@meridian/server/adapters/system/system-clock';
import { parseRedisUrl } from '@meridian/server/config/redis-url';
import type { Cache, CacheLook } from '@meridian/server/ports/cache';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CACHE_TTL_MS, type CacheBed, cacheKey, describeCache, none, row, STORE } from '../conformance/cache.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { SimulatedCache, SimulatedCacheServer } from '../simulation/simulated-cache.ts';
import { ProcessClock, VirtualTime } from '../simulation/virtual-time.ts';
import { eventually } from '../support/eventually.ts';
import { RedisServerProcess } from '../support/redis.ts';
import { RedisClusterProcesses } from '../support/redis-cluster.ts';
import { systemRandom } from '../support/system-random.ts';

async function connect(url: string, options: Partial<RedisCacheOptions> = {}): Promise<RedisCache> {
  const settings = parseRedisUrl(url, 'cache');
  const cache = new RedisCache({
    ...settings,
    ttlMs: CACHE_TTL_MS,
    clock: systemClock,
    random: systemRandom,
    ...options,
  });
  await eventually(() => cache.probe().then(() => true), { what: 'a connected cache', everyMs: 10 });
  return cache;
}

function bedOn(url: () => string, servers: () => readonly RedisServerProcess[]): () => Promise<CacheBed> {
  return async () => {
    const prefix = `${systemRandom.id(8)}:`;
    return {
      connect: () => connect(url(), { prefix }),
      flushAll: async () => void (await Promise.all(servers().map((server) => server.command('FLUSHALL')))),
      passTtl: () => sleep(CACHE_TTL_MS + 50),
      dispose: async () => undefined,
    };
  };
}

describe('one Redis', () => {
  let server: RedisServerProcess;
  beforeAll(async () => {
    server = await RedisServerProcess.start({ password: 'kept secret' });
  });
  afterAll(() => server?.stop());
  const url = () => server.url.replace('kept secret', 'kept%20secret');
  describeCache(
    'Redis',
    bedOn(url, () => [server]),
  );

  /** The scripts in Lua against the same rules in TypeScript, on which everything else was simulated. */
  it('does what the simulated cache does, whatever it is told', async () => {
    const clock = new ProcessClock(new VirtualTime(), 0);
    const model = new SimulatedCache(new SimulatedCacheServer(clock, CACHE_TTL_MS), clock);
    const cache = await connect(url(), { ttlMs: 600_000 });
    const random = new SeededRandom(7);
    const outcomes = new Map<string, number>();
    for (let round = 0; round < 4_000; round++) {
      const key = cacheKey(`${round >> 5}`);
      const reached = random.below(8) as Sequence;
      const [ofModel] = await model.look(STORE, reached, [key]);
      const [ofCache] = await cache.look(STORE, reached, [key]);
      expect([ofCache?.entry?.sequence, ofCache?.lease === undefined]).toEqual([
        ofModel?.entry?.sequence,
        ofModel?.lease === undefined,
      ]);
      if (random.chance(0.5)) continue;
      const entry = random.chance(0.4)
        ? none(random.below(9), random.below(3))
        : row(random.below(9), random.below(9), random.below(3));
      const isFill = random.chance(0.5);
      const tell = async (one: Cache, look: CacheLook | undefined) =>
        isFill
          ? (await one.fill(STORE, [{ key, entry, lease: look?.lease }]))[0]
          : (await one.write(STORE, [{ key, entry }]))[0];
      const expected = await tell(model, ofModel);
      expect(await tell(cache, ofCache), `round ${round}`).toBe(expected);
      outcomes.set(String(expected), (outcomes.get(String(expected)) ?? 0) + 1);
    }
    await cache.close();
    expect([...outcomes.keys()].toSorted()).toEqual(['dropped', 'kept', 'younger']);
    expect(Math.min(...outcomes.values())).toBeGreaterThan(20);
  });
});

describe('a Redis Cluster', () => {
  let cluster: RedisClusterProcesses;
  beforeAll(async () => {
    cluster = await RedisClusterProcesses.start();
  });
  afterAll(() => cluster?.stop());
  describeCache(
    'Redis Cluster',
    bedOn(
      () => cluster.url,
      () => cluster.servers,
    ),
  );
});
