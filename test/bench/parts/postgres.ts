import { type Database, startPostgres, startRedis } from '../databases.ts';
import { type Figure, figure } from '../figure.ts';
import type { LoadResult } from '../load.ts';
import { fillBenchTable, findPgbench, runPgbench } from '../pgbench.ts';
import { type Server, startNode, startRegion } from '../servers.ts';
import { interleave, median } from '../statistics.ts';
import type { Part, PartContext } from './part.ts';
import { fill } from './throughput.ts';

const CLIENTS = 64;
const MANY = 256;
const PUT_TARGET = { atLeast: 1 };
const PUT_MANY_TARGET = { atLeast: 1.2 };
const COLD_GET_TARGET = { atLeast: 0.6 };
const WARM_GET_TARGET = { atLeast: 0.8 };
const TWO_NODES_TARGET = { atLeast: 1 };
const WARM_UP_SECONDS = 1;

type Run = (seconds: number) => Promise<LoadResult>;

/** A region on PostgreSQL, beside what pgbench gets out of the same server with a statement a row. */
export const postgresPart: Part = async (context) => {
  const pgbench = findPgbench();
  if (!pgbench)
    throw new Error('pgbench is not installed (Debian: apt-get install postgresql-contrib): nothing to stand beside');
  const { session, load } = context;
  const stops: (() => Promise<void>)[] = [];
  const running = async <One extends { stop(): Promise<void> }>(starting: Promise<One>): Promise<One> => {
    const one = await starting;
    stops.unshift(() => one.stop());
    return one;
  };
  try {
    context.say('starting PostgreSQL, Redis and nodes on them');
    const postgres = await running(startPostgres(session));
    const redis = await running(startRedis(session));
    const [plain, one, two] = await startNodes(context, postgres, redis, running);
    const embedded = await running(startNode(session));
    for (const { url } of [plain.server, one, embedded]) await fill(url);
    await fillBenchTable(postgres);
    const bare =
      (script: 'upsert' | 'select'): Run =>
      (seconds) =>
        runPgbench(session, pgbench.program, postgres, { script, clients: CLIENTS, seconds });
    const of =
      (servers: readonly Server[], kind: 'get' | 'put', connections: number): Run =>
      (seconds) =>
        load.run({ urls: servers.map(({ url }) => url), kind, connections, seconds });
    const sides = await loadAll(context, {
      upsert: bare('upsert'),
      put: of([plain.server], 'put', CLIENTS),
      putMany: of([plain.server], 'put', MANY),
      putOne: of([one], 'put', CLIENTS),
      putTwo: of([one, two], 'put', CLIENTS),
      select: bare('select'),
      getCold: of([plain.server], 'get', CLIENTS),
      getWarm: of([one], 'get', CLIENTS),
      getEmbedded: of([embedded], 'get', CLIENTS),
      getTwo: of([one, two], 'get', CLIENTS),
    });
    const upsert = `${pgbench.name} upsert, ${CLIENTS} clients`;
    const select = `${pgbench.name} select, ${CLIENTS} clients`;
    return [
      rate(`PUT on PostgreSQL, ${CLIENTS} connections`, sides.put, upsert, sides.upsert, PUT_TARGET),
      rate(`PUT on PostgreSQL, ${MANY} connections`, sides.putMany, upsert, sides.upsert, PUT_MANY_TARGET),
      rate('GET on PostgreSQL, no cache', sides.getCold, select, sides.select, COLD_GET_TARGET),
      rate('GET on PostgreSQL, warm Redis', sides.getWarm, 'embedded store', sides.getEmbedded, WARM_GET_TARGET),
      rate('PUT by two nodes on one database', sides.putTwo, 'one node', sides.putOne, TWO_NODES_TARGET),
      rate('GET by two nodes on one database', sides.getTwo, 'one node', sides.getWarm, TWO_NODES_TARGET),
    ];
  } finally {
    for (const stop of stops) await stop();
  }
};

/** One node without a cache, with a store of its own; and two with a cache that share one. */
async function startNodes(
  { session }: PartContext,
  postgres: Database,
  redis: Database,
  running: <One extends { stop(): Promise<void> }>(starting: Promise<One>) => Promise<One>,
): Promise<readonly [{ readonly server: Server }, Server, Server]> {
  const own = { store: `${postgres.url}?schema=own` };
  const shared = { store: `${postgres.url}?schema=shared`, cache: redis.url };
  const startAll = async (foundations: readonly { store: string; cache?: string }[]) => {
    const servers = await startRegion(session, foundations);
    return { servers, stop: async () => void (await Promise.all(servers.map((server) => server.stop()))) };
  };
  const [alone, region] = [await running(startAll([own])), await running(startAll([shared, shared]))];
  const [server] = alone.servers;
  const [one, two] = region.servers;
  return [{ server: server as Server }, one as Server, two as Server];
}

async function loadAll<Name extends string>(
  { options, say }: PartContext,
  runs: Readonly<Record<Name, Run>>,
): Promise<Readonly<Record<Name, readonly LoadResult[]>>> {
  for (const [name, run] of Object.entries(runs) as [Name, Run][]) {
    say(`warming up: ${name}`);
    await run(WARM_UP_SECONDS);
  }
  say('measuring');
  const sides = Object.entries(runs).map(([name, run]) => [name, () => (run as Run)(options.loadSeconds)]);
  return interleave(options.rounds, Object.fromEntries(sides) as Record<Name, () => Promise<LoadResult>>);
}

function rate(
  what: string,
  measured: readonly LoadResult[],
  besideWhat: string,
  beside: readonly LoadResult[],
  target: Figure['target'],
): Figure {
  const rateOf = (results: readonly LoadResult[]): number =>
    median(results.map(({ requestsPerSecond }) => requestsPerSecond));
  const value = rateOf(beside);
  return figure({
    part: 'postgres',
    what,
    unit: 'requests/s',
    measured: rateOf(measured),
    beside: { what: besideWhat, value },
    target,
  });
}
