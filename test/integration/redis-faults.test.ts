import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RecordKey, Sequence, StoreName } from '@meridian/core/ids';
import { CachedStore } from '@meridian/server/adapters/cached-store';
import { RedisCache } from '@meridian/server/adapters/redis/redis-cache';
import { systemClock } from '@meridian/server/adapters/system/system-clock';
import { parseRedisUrl } from '@meridian/server/config/redis-url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cacheKey, row, STORE } from '../conformance/cache.ts';
import { SimulatedDisk, SimulatedStore } from '../simulation/simulated-store.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisOptions, RedisServerProcess } from '../support/redis.ts';
import { RedisClusterProcesses } from '../support/redis-cluster.ts';
import { systemRandom } from '../support/system-random.ts';

const KEYS = Array.from({ length: 20 }, (_, at) => cacheKey(`key ${at}`));
/** The two cores of the machine may be busy with something else. */
const SLACK_MS = 250;
const decoder = new TextDecoder();

interface Bench {
  readonly cached: CachedStore;
  readonly store: SimulatedStore;
  readonly logged: string[];
}

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function startRedis(options: RedisOptions = {}): Promise<RedisServerProcess> {
  const server = await RedisServerProcess.start(options);
  cleanUps.push(() => server.stop());
  return server;
}

function openCache(url: string): RedisCache {
  const cache = new RedisCache({ ...parseRedisUrl(url, 'cache'), clock: systemClock, random: systemRandom });
  cleanUps.push(() => cache.close());
  return cache;
}

/** A store with this Redis in front of it; its disk is not the one that is tested. */
async function openBench(url: string, mustConnect = true): Promise<Bench> {
  const settings = parseRedisUrl(url, 'cache');
  const logged: string[] = [];
  const note = (fields: object, event: string): void => void logged.push(`${event} ${JSON.stringify(fields)}`);
  const simulated = { disk: new SimulatedDisk(), storeName: 'us-1' as StoreName, clock: systemClock };
  const store = new SimulatedStore({ ...simulated, random: systemRandom });
  const cache = openCache(url);
  if (mustConnect) await eventually(() => cache.probe().then(() => true), { what: 'a connected cache', everyMs: 10 });
  const log = { debug: note, info: note, warn: note, error: note };
  const cached = new CachedStore({ store, cache, clock: systemClock, log, ...settings });
  cleanUps.push(() => cached.close());
  return { cached, store, logged };
}

function put(cached: CachedStore, key: RecordKey, text: string): Promise<Sequence> {
  return cached.update([key], (view) => ({
    writes: [{ key, record: new TextEncoder().encode(text) }],
    result: view.nextSequence,
  }));
}

async function readText(cached: CachedStore, key: RecordKey): Promise<string | undefined> {
  const { record } = await cached.getRecent(key);
  return record && decoder.decode(record);
}

/** Reads and writes without pause; each read is judged, and timed. */
class Readers {
  readonly #bench: Bench;
  readonly #newest = new Map<RecordKey, number>();
  readonly problems: string[] = [];
  reads = 0;
  longestMs = 0;
  #isOver = false;
  readonly #done: Promise<unknown>;

  constructor(bench: Bench) {
    this.#bench = bench;
    this.#done = Promise.all([...Array.from({ length: 8 }, (_, at) => this.#read(at)), this.#write()]);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  async #read(from: number): Promise<void> {
    const { cached, store } = this.#bench;
    for (let at = from; !this.#isOver; at += 7) {
      const key = KEYS[at % KEYS.length] as RecordKey;
      const seen = this.#newest.get(key) ?? 0;
      const startedAtMs = performance.now();
      const read = await cached.getRecent(key, (claims) => (claims.get(store.id) ?? 0) >= seen);
      this.longestMs = Math.max(this.longestMs, performance.now() - startedAtMs);
      this.reads += 1;
      const sequence = read.record ? Number(decoder.decode(read.record).split('@')[1]) : 0;
      if (sequence < seen) this.problems.push(`read ${sequence} after ${seen} was acknowledged`);
      if (read.record && !decoder.decode(read.record).startsWith(`${key}@`))
        this.problems.push('a record of another key');
      if (at % 50 === from) await sleep(1);
    }
  }

  async #write(): Promise<void> {
    for (let at = 0; !this.#isOver; at++) {
      const key = KEYS[at % KEYS.length] as RecordKey;
      const sequence = await this.#bench.cached.update([key], (view) => ({
        writes: [{ key, record: new TextEncoder().encode(`${key}@${view.nextSequence}`) }],
        result: view.nextSequence,
      }));
      this.#newest.set(key, sequence);
      await sleep(1);
    }
  }
}

describe('a cache whose Redis fails under reads and writes', () => {
  it('serves no session anything stale, and none waits long, while Redis is killed, empty, stopped, emptied', async () => {
    const server = await startRedis();
    const bench = await openBench(server.url);
    const { cached } = bench;
    const isBack = () =>
      eventually(async () => cached.cacheFigures.breaker === 'closed', { what: 'a closed breaker', everyMs: 20 });
    const readers = new Readers(bench);
    await sleep(500);
    const hitsBefore = cached.cacheFigures.hits;
    expect(hitsBefore).toBeGreaterThan(100);
    await server.kill();
    await sleep(700);
    expect(cached.cacheFigures.breaker).not.toBe('closed');
    await server.start();
    await isBack();
    await sleep(300);
    const hitsAfterKill = cached.cacheFigures.hits;
    expect(hitsAfterKill).toBeGreaterThan(hitsBefore);
    const longestBeforeMs = readers.longestMs;
    server.pause();
    await sleep(1_500);
    expect(cached.cacheFigures.breaker).not.toBe('closed');
    server.resume();
    await isBack();
    for (let count = 0; count < 20; count++) {
      await server.command('FLUSHALL');
      await sleep(20);
    }
    await sleep(200);
    expect(cached.cacheFigures.hits).toBeGreaterThan(hitsAfterKill);
    await readers.stop();
    expect(readers.problems).toEqual([]);
    expect(Math.max(longestBeforeMs, readers.longestMs)).toBeLessThan(20 + SLACK_MS);
    console.info(
      `${readers.reads} reads, the longest ${readers.longestMs.toFixed(1)} ms; ${JSON.stringify(cached.cacheFigures)}`,
    );
    expect(bench.logged.join('\n')).not.toMatch(/key \d|redis:\/\//);
  });

  it('adds nothing to reads while Redis is stopped, once it has been seen to be', async () => {
    const server = await startRedis();
    const { cached } = await openBench(server.url);
    await put(cached, KEYS[0] as RecordKey, 'one');
    server.pause();
    await eventually(
      async () => {
        await readText(cached, KEYS[0] as RecordKey);
        return cached.cacheFigures.breaker === 'open';
      },
      { what: 'an open breaker', everyMs: 1 },
    );
    const startedAtMs = performance.now();
    for (let count = 0; count < 500; count++) expect(await readText(cached, KEYS[0] as RecordKey)).toBe('one');
    expect(performance.now() - startedAtMs).toBeLessThan(500);
    server.resume();
  });

  it('starts without Redis, says why it is not used, and uses it when it comes', async () => {
    const server = await startRedis({ password: 'right' });
    const { cached, logged } = await openBench(`redis://:wr0ng@127.0.0.1:${server.port}`, false);
    await put(cached, KEYS[0] as RecordKey, 'one');
    await sleep(200);
    const isOpen = async () =>
      (await readText(cached, KEYS[0] as RecordKey)) === 'one' && cached.cacheFigures.breakerOpened > 0;
    await eventually(isOpen, { what: 'an open breaker', everyMs: 5 });
    expect(logged[0]).toMatch(/does not answer.*WRONGPASS/);
    expect(logged.join('\n')).not.toMatch(/wr0ng/);
    await server.command('CONFIG', 'SET', 'requirepass', 'wr0ng');
    await eventually(async () => cached.cacheFigures.breaker === 'closed', { what: 'a closed breaker' });
  });

  it('goes on where the scripts were forgotten', async () => {
    const server = await startRedis();
    const { cached } = await openBench(server.url);
    await server.command('SCRIPT', 'FLUSH');
    await put(cached, KEYS[0] as RecordKey, 'one');
    await readText(cached, KEYS[0] as RecordKey);
    await sleep(50);
    await server.command('SCRIPT', 'FLUSH');
    await put(cached, KEYS[0] as RecordKey, 'two');
    expect(await readText(cached, KEYS[0] as RecordKey)).toBe('two');
    expect(cached.cacheFigures).toMatchObject({ hits: 1, fills: 1, writeThroughs: 1, errors: 0 });
  });

  it('serves nothing stale from a Redis that is full and may not evict', async () => {
    const server = await startRedis({ settings: ['--maxmemory-policy', 'noeviction'] });
    const { cached } = await openBench(server.url);
    const [known, fresh] = KEYS as [RecordKey, RecordKey];
    await put(cached, known, 'one');
    await readText(cached, known);
    await sleep(50);
    await server.command('CONFIG', 'SET', 'maxmemory', '1');
    expect(await readText(cached, fresh)).toBeUndefined();
    await put(cached, fresh, 'new');
    await put(cached, known, 'two');
    expect([await readText(cached, known), await readText(cached, fresh)]).toEqual(['two', 'new']);
    expect(cached.cacheFigures).toMatchObject({ hits: 0, errors: 0, breaker: 'closed' });
    await server.command('CONFIG', 'SET', 'maxmemory', '0');
  });
});

describe('what is in Redis', () => {
  it('is not taken for an entry where it is none, or one of another key', async () => {
    const server = await startRedis();
    const cache = openCache(server.url);
    await eventually(() => cache.probe().then(() => true), { what: 'a connected cache', everyMs: 10 });
    const [a, b] = KEYS as [RecordKey, RecordKey];
    const [look] = await cache.look(STORE, 0 as Sequence, [a]);
    await cache.fill(STORE, [{ key: a, entry: row(5), lease: look?.lease }]);
    const placeOf = (key: RecordKey) => `meridian:1:${STORE}:${key}`;
    await server.command('COPY', placeOf(a), placeOf(b));
    expect((await cache.look(STORE, 0 as Sequence, [b]))[0]).toEqual({});
    const whole = String(await server.command('GET', placeOf(a)));
    const damaged = [
      '',
      'R',
      'nonsense',
      whole.slice(0, 49),
      whole.slice(0, 60),
      `X${whole.slice(1)}`,
      whole.replace('0005', '00x5'),
    ];
    for (const value of damaged) {
      await server.command('SET', placeOf(a), value);
      expect((await cache.look(STORE, 0 as Sequence, [a]))[0]?.entry).toBeUndefined();
      await cache.write(STORE, [{ key: a, entry: row(6) }]);
      const [again] = await cache.look(STORE, 0 as Sequence, [a]);
      expect(again?.entry === undefined || again.entry.sequence === 6).toBe(true);
    }
  });

  it('of another kind than ours hinders neither its neighbours nor the cache', async () => {
    const server = await startRedis();
    const { cached, store } = await openBench(server.url);
    const [foreign, ...others] = KEYS as [RecordKey, ...RecordKey[]];
    const place = `meridian:1:${store.id}:${foreign}`;
    await server.command('RPUSH', place, 'of another program');
    for (const key of KEYS) await put(cached, key, 'one');
    await Promise.all(KEYS.map((key) => readText(cached, key)));
    await sleep(50);
    await Promise.all(KEYS.map((key) => put(cached, key, 'two')));
    for (let round = 0; round < 10; round++)
      expect(await Promise.all(KEYS.map((key) => readText(cached, key)))).toEqual(KEYS.map(() => 'two'));
    const { hits, errors, breaker } = cached.cacheFigures;
    expect({ hits, errors, breaker }).toEqual({ hits: 10 * others.length, errors: 0, breaker: 'closed' });
  });
});

describe('a connection that the network has dropped without a word', () => {
  let gate: Server;
  let isSilent = false;
  const sockets = new Set<Socket>();

  beforeEach(() => {
    isSilent = false;
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    gate?.close();
  });

  /** Passes on what comes, until it is silent: then old connections stay open, and dead. */
  async function startGate(port: number): Promise<number> {
    gate = createServer((near) => {
      const far = connectTcp(port, '127.0.0.1');
      const isDead = { of: false };
      sockets.add(near).add(far);
      near.on('data', (bytes) => {
        isDead.of ||= isSilent;
        if (!isDead.of) far.write(bytes);
      });
      far.on('data', (bytes) => {
        if (!isDead.of) near.write(bytes);
      });
      for (const socket of [near, far]) socket.on('error', () => undefined);
      near.on('close', () => far.destroy());
    });
    await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
    return (gate.address() as { port: number }).port;
  }

  it('is replaced, though neither end closes it', async () => {
    const server = await startRedis();
    const port = await startGate(server.port);
    const { cached } = await openBench(`redis://127.0.0.1:${port}`);
    await put(cached, KEYS[0] as RecordKey, 'one');
    await readText(cached, KEYS[0] as RecordKey);
    isSilent = true;
    await eventually(
      async () => {
        await readText(cached, KEYS[0] as RecordKey);
        return cached.cacheFigures.breaker !== 'closed';
      },
      { what: 'an open breaker', everyMs: 1 },
    );
    isSilent = false;
    await eventually(async () => cached.cacheFigures.breaker === 'closed', { what: 'a new connection', everyMs: 50 });
    expect(await readText(cached, KEYS[0] as RecordKey)).toBe('one');
  });
});

describe('a Redis Cluster that loses a server', () => {
  it('goes on with the others, and with all once it is back', async () => {
    const cluster = await RedisClusterProcesses.start();
    cleanUps.push(() => cluster.stop());
    const { cached } = await openBench(cluster.url);
    for (const [at, key] of KEYS.entries()) await put(cached, key, `${at}`);
    const readAll = async () => {
      for (const [at, key] of KEYS.entries()) expect(await readText(cached, key)).toBe(`${at}`);
    };
    await readAll();
    await sleep(50);
    await readAll();
    const { hits } = cached.cacheFigures;
    expect(hits).toBe(KEYS.length);
    await cluster.servers[1]?.kill();
    for (let round = 0; round < 5; round++) await readAll();
    expect(cached.cacheFigures.hits).toBeGreaterThan(hits);
    await cluster.servers[1]?.start();
    await eventually(
      async () => {
        const before = cached.cacheFigures.hits;
        await readAll();
        return cached.cacheFigures.hits - before === KEYS.length;
      },
      { what: 'hits for all keys', everyMs: 100 },
    );
  });
});
