import { readFileSync } from 'node:fs';
import type { NodeName, RegionName, StoreName } from '@meridian/core/ids';
import type { RunningNode, ServeOptions } from './cli/dependencies.ts';
import { run } from './cli/program.ts';
import { onStopSignals } from './cli/stop-signals.ts';
import type { ClusterNode } from './config/cluster-file.ts';
import type { RedisSettings } from './config/redis-url.ts';
import { SettingError } from './config/setting-error.ts';
import type { NodeSettings } from './config/settings.ts';
import type { Clock } from './ports/clock.ts';
import type { Log } from './ports/log.ts';
import type { Random } from './ports/random.ts';
import type { Store } from './ports/store.ts';

/**
 * What a node may take to send on what it wrote last and to close its store, once no request is under way. A store waits
 * for its database or its disk there, which may never answer; what was acknowledged is on disk before.
 */
const CLOSE_MS_MAX = 10_000;
/** A node stopped, and its store did not close: something of it may keep the process alive. */
let isLeftOpen = false;

/**
 * The composition root: the only place where adapters are chosen. They are loaded when a node starts, so that a client
 * command or `--help` does not wait for them.
 */
async function serve(options: ServeOptions): Promise<RunningNode> {
  const started = leaveIfToldInVain(options.settings.stopTimeoutMs);
  try {
    return await startNode(options);
  } finally {
    started();
  }
}

/**
 * A node that is told to stop while it starts has nothing to finish, but waits for its own start. Where that hangs, on a
 * database or a disk that does not answer, it ends all the same. Returns what is to be called once the start is over.
 */
function leaveIfToldInVain(graceMs: number): () => void {
  let timer: NodeJS.Timeout | undefined;
  const leave = (): void => {
    process.stderr.write(`meridian: told to stop while it starts, and the start did not end within ${graceMs} ms\n`);
    process.exit(1);
  };
  const told = (): void => {
    timer ??= setTimeout(leave, graceMs);
  };
  const forget = onStopSignals(process, told, () => undefined);
  process.once('disconnect', told);
  return () => {
    clearTimeout(timer);
    forget();
    process.off('disconnect', told);
  };
}

async function startNode({ clusterFile, secret, nodeName, settings }: ServeOptions): Promise<RunningNode> {
  const [
    { keyedSeal },
    { deriveKey },
    { systemClock },
    { systemRandom },
    { xxh3Hashes },
    { tcpTransport },
    { wanTransport },
    { findNode, linkRttMs },
    { layoutOf, nodesOfOtherCache },
    { linkName },
    { PlacementTable },
    { createHttpServer },
    { MeridianNode },
    { openLog },
    { Metrics },
    { giveBackHeap },
    { endsWithin },
  ] = await Promise.all([
    import('./adapters/system/keyed-seal.ts'),
    import('./adapters/system/derive-key.ts'),
    import('./adapters/system/system-clock.ts'),
    import('./adapters/system/system-random.ts'),
    import('./adapters/system/xxh3-hashes.ts'),
    import('./adapters/tcp/tcp-transport.ts'),
    import('./adapters/wan/wan-transport.ts'),
    import('./config/cluster-file.ts'),
    import('./config/cluster-layout.ts'),
    import('./config/wan-places.ts'),
    import('@meridian/core/placement/placement-table'),
    import('./http/server.ts'),
    import('./node/node.ts'),
    import('./observability/log.ts'),
    import('./observability/metrics.ts'),
    import('./adapters/system/heap.ts'),
    import('./adapters/system/ends-within.ts'),
  ]);
  const place = findNode(clusterFile, nodeName);
  if (!place) throw new Error(`the cluster file names no node ${nodeName}`);
  const node = nodeName as NodeName;
  const region = place.region.name as RegionName;
  const storeName = place.node.storeName as StoreName;
  const log = openLog({ level: settings.logLevel, format: settings.logFormat, node, region });
  const apart = nodesOfOtherCache(place.region, place.node);
  if (apart.length > 0)
    log.warn(
      { nodes: apart },
      'other nodes of this store have another cache, or none: each may show what is old by its ttl',
    );
  const placement = new PlacementTable(layoutOf(clusterFile), xxh3Hashes.text);
  const regions = placement.layout.regions.map(({ name }) => name);
  const nodes = placement.layout.regions.flatMap((one) => one.nodes);
  const tcp = tcpTransport({
    cluster: clusterFile.cluster,
    node,
    secret: deriveKey(secret, 'peers'),
    listen: addressOf(place.node.peer),
    peers: nodes.filter(({ name }) => name !== node).map(({ name, peer }) => ({ node: name, ...addressOf(peer) })),
    clock: systemClock,
    random: systemRandom,
    log,
  });
  const regionOf = (name: NodeName): RegionName => placement.node(name)?.region ?? region;
  const rtt = Object.fromEntries(
    regions.flatMap((one) =>
      regions.filter((other) => one < other).map((other) => [linkName(one, other), linkRttMs(clusterFile, one, other)]),
    ),
  );
  const wan = settings.wanLab
    ? wanTransport(tcp, { region, regions, regionOf, rtt, clock: systemClock, random: systemRandom })
    : undefined;
  const system = { clock: systemClock, random: systemRandom, log };
  const { store, storeFigures } = await openStore(place.node, settings, system);
  const metrics = new Metrics({ node, region });
  const meridian = new MeridianNode({
    node,
    region,
    storeName,
    placement,
    store,
    transport: wan ?? tcp,
    clock: systemClock,
    random: systemRandom,
    seal: keyedSeal(deriveKey(secret, 'tokens')),
    hashes: xxh3Hashes,
    meter: metrics.meter,
    log,
    version: VERSION,
  });
  metrics.watch(
    () => meridian.figures(),
    () => {
      const { rejected, ...counts } = tcp.figures();
      return Object.fromEntries([
        ...Object.entries(counts).map(([name, value]) => [`peer_${snake(name)}`, value] as const),
        ...Object.entries(rejected).map(
          ([name, value]) => [`peer_rejected_${name.replaceAll('-', '_')}`, value] as const,
        ),
        ...Object.entries(storeFigures()).map(([name, value]) => [snake(name), value] as const),
      ]);
    },
  );
  const http = await createHttpServer({
    service: meridian,
    metrics,
    wan,
    limits: {
      valueBytesMax: settings.valueBytesMax,
      operationTimeoutMs: settings.requestTimeoutMs,
      connectionsMax: settings.connectionsMax,
      connectionsPerAddressMax: settings.connectionsPerAddressMax,
    },
    log,
    version: VERSION,
    regions,
  });
  const stop = async (): Promise<void> => {
    await http.stop(settings.stopTimeoutMs);
    if (await endsWithin(CLOSE_MS_MAX, meridian.stop(), systemClock)) {
      log.info({}, 'stopped');
      return;
    }
    isLeftOpen = true;
    log.error(
      { waitedMs: CLOSE_MS_MAX },
      'the store does not close, and is left open: what was acknowledged is on disk',
    );
  };
  try {
    await meridian.start();
    await giveBackHeap();
    const { host, port } = addressOf(place.node.http);
    await http.listen(host, port);
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
  return { log, stop };
}

/** What adapters take from the machine. */
interface System {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface OpenedStore {
  readonly store: Store;
  /** What its adapters count, by the names of their metrics. */
  readonly storeFigures: () => Readonly<Record<string, number>>;
}

/** The adapter that a node's place in the cluster file asks for. */
async function openStore(place: ClusterNode, settings: NodeSettings, system: System): Promise<OpenedStore> {
  const storeName = place.storeName as StoreName;
  const { random, log } = system;
  const onError = (error: unknown): void => log.error({ reason: (error as Error).message }, 'the store failed');
  const { storePlace } = await import('./config/store-place.ts');
  if (storePlace(place.store)?.kind === 'postgres') {
    // First: where it fails, nothing is open yet.
    const cache = place.cache === undefined ? undefined : await cacheSettings(place.cache);
    const shared = await openShared(place, system, onError);
    return cache ? withCache(shared, cache, system) : shared;
  }
  const { openLmdbStore } = await import('./adapters/lmdb/lmdb-store.ts');
  const reserveBytes = settings.diskReserveBytes;
  const store = await openLmdbStore({ path: place.store, storeName, random, reserveBytes, onError });
  return { store, storeFigures: () => ({}) };
}

async function openShared(place: ClusterNode, system: System, onError: (error: unknown) => void): Promise<OpenedStore> {
  const [{ openPostgresDatabase }, { SharedStore }, { parsePostgresUrl }] = await Promise.all([
    import('./adapters/postgres/postgres-database.ts'),
    import('./adapters/shared/shared-store.ts'),
    import('./config/postgres-url.ts'),
  ]);
  const storeName = place.storeName as StoreName;
  const settings = parsePostgresUrl(place.store, process.env);
  const database = await openPostgresDatabase({ settings, storeName, ...system });
  const store = new SharedStore({ database, storeName, ...system, onError });
  return {
    store,
    storeFigures: () =>
      Object.fromEntries(Object.entries(database.counters).map(([name, count]) => [`postgres_${name}`, count])),
  };
}

/** @throws SettingError where the file with the password cannot be read */
async function cacheSettings(url: string): Promise<RedisSettings> {
  const { parseRedisUrl } = await import('./config/redis-url.ts');
  const settings = parseRedisUrl(url, 'cache');
  const { passwordFile } = settings;
  if (passwordFile === undefined) return settings;
  try {
    return { ...settings, password: readFileSync(passwordFile, 'utf8').trim() };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new SettingError('cache', `the password file ${passwordFile} cannot be read (${code})`);
  }
}

/** A cache that is away stops no start: it is asked once it is there. */
async function withCache(
  { store, storeFigures }: OpenedStore,
  settings: RedisSettings,
  system: System,
): Promise<OpenedStore> {
  const [{ CachedStore }, { RedisCache }] = await Promise.all([
    import('./adapters/cached-store.ts'),
    import('./adapters/redis/redis-cache.ts'),
  ]);
  const cache = new RedisCache({ ...settings, ...system });
  const cached = new CachedStore({ ...settings, ...system, store, cache });
  const cacheFigures = (): Record<string, number> => {
    const { breaker, ...counts } = cached.cacheFigures;
    const all = { ...counts, breakerClosed: breaker === 'closed' ? 1 : 0 };
    return Object.fromEntries(Object.entries(all).map(([name, count]) => [`cache_${name}`, count]));
  };
  return { store: cached, storeFigures: () => ({ ...storeFigures(), ...cacheFigures() }) };
}

function addressOf(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(at + 1)) };
}

function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const { version: VERSION } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const exitCode = await run(process.argv.slice(2), {
  serve,
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  folder: process.cwd(),
  version: VERSION,
  self: [process.execPath, ...process.execArgv, import.meta.filename],
  signals: process,
});
process.exitCode = exitCode;
if (isLeftOpen) process.exit(exitCode || 1);
