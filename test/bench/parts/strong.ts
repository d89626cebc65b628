import { etcdVersion, startEtcd } from '../etcd.ts';
import { type Figure, figure } from '../figure.ts';
import { HttpClient } from '../http-client.ts';
import { type Demo, REGIONS, startDemo } from '../servers.ts';
import { interleave, median } from '../statistics.ts';
import { KEYS, type LoadKind, loadRequest, STRONG_NAMESPACE } from '../workload.ts';
import type { Part, PartContext } from './part.ts';
import { loadSides, rateFigure, type Side } from './throughput.ts';

const CONNECTIONS = [64, 256] as const;
const PUT_TARGET = { atLeast: 2 };
const GET_TARGET = { atLeast: 4 };
const LATENCY_TARGET = { atMost: 1 };
const FILL_IN_FLIGHT = 64;
const WARM_UP_SECONDS = 1;

/** Three members of each on this machine, without delays between them. */
export const strongPart: Part = async (context) => {
  const version = etcdVersion();
  if (version === undefined)
    throw new Error('etcd is not installed (Debian: apt-get install etcd-server), so there is nothing to stand beside');
  const demo = await startDemo(context.session, false);
  const etcd = await startEtcd(context.session);
  try {
    const meridian = REGIONS.map((region) => ({ url: demo.url[region], pid: demo.pid(region) }));
    context.say('filling both');
    await makeNamespace(demo);
    await fillBy(urlOf(meridian), 'register-put');
    await fillBy(urlOf(etcd.members), 'etcd-put');
    const figures: Figure[] = [];
    for (const connections of CONNECTIONS) {
      for (const loaded of [1, meridian.length]) {
        const [own, others] = [meridian, etcd.members].map((members) => members.slice(0, loaded));
        figures.push(...(await rateFigures(context, connections, own ?? [], others ?? [], version)));
      }
    }
    return [...figures, ...(await latencyFigures(context, urlOf(meridian), urlOf(etcd.members), version))];
  } finally {
    await Promise.all([demo.stop(), etcd.stop()]);
  }
};

type Members = Side['servers'];

async function rateFigures(
  context: PartContext,
  connections: number,
  own: Members,
  others: Members,
  version: string,
): Promise<readonly Figure[]> {
  const through = own.length === 1 ? 'through one member' : `through all ${own.length}`;
  context.say(`strong PUT and GET at ${connections} connections ${through}`);
  const sides = await loadSides(context, {
    put: { servers: own, kind: 'register-put', connections },
    etcdPut: { servers: others, kind: 'etcd-put', connections },
    get: { servers: own, kind: 'register-get', connections },
    etcdGet: { servers: others, kind: 'etcd-get', connections },
  });
  const putBeside = { what: `${version} put`, results: sides.etcdPut };
  const getBeside = { what: `${version} linearizable read`, results: sides.etcdGet };
  const what = `${connections} connections ${through}`;
  return [
    rateFigure('strong', `strong PUT, ${what}`, sides.put, putBeside, PUT_TARGET),
    rateFigure('strong', `strong GET, ${what}`, sides.get, getBeside, GET_TARGET),
  ];
}

function urlOf([first]: Members): string {
  return first?.url ?? '';
}

async function makeNamespace(demo: Demo): Promise<void> {
  const http = new HttpClient(1);
  await http.json('PUT', `${demo.url[REGIONS[0]]}/namespaces/${STRONG_NAMESPACE}`, { mode: 'strong' });
  http.close();
}

async function fillBy(url: string, kind: LoadKind): Promise<void> {
  const http = new HttpClient(FILL_IN_FLIGHT);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < KEYS) {
      const { method, path, body } = loadRequest(kind, next++);
      const { status, text } = await http.send(method, `${url}${path}`, body);
      if (status >= 300) throw new Error(`${kind}: ${status} ${text}`);
    }
  };
  await Promise.all(Array.from({ length: FILL_IN_FLIGHT }, work));
  http.close();
}

async function latencyFigures(
  { load, options, say }: PartContext,
  own: string,
  others: string,
  version: string,
): Promise<readonly Figure[]> {
  say('strong PUT and GET at one connection');
  const run = async (url: string, kind: LoadKind): Promise<number> =>
    (await load.run({ urls: [url], kind, connections: 1, seconds: options.loadSeconds })).medianMs;
  await load.run({ urls: [own], kind: 'register-put', connections: 1, seconds: WARM_UP_SECONDS });
  const { put, etcdPut, get, etcdGet } = await interleave(options.rounds, {
    put: () => run(own, 'register-put'),
    etcdPut: () => run(others, 'etcd-put'),
    get: () => run(own, 'register-get'),
    etcdGet: () => run(others, 'etcd-get'),
  });
  const of = (what: string, mine: readonly number[], theirs: readonly number[], beside: string): Figure =>
    figure({
      part: 'strong',
      what: `${what}, one connection, median`,
      unit: 'ms',
      measured: median(mine),
      beside: { what: `${version} ${beside}`, value: median(theirs) },
      target: LATENCY_TARGET,
    });
  return [of('strong PUT', put, etcdPut, 'put'), of('strong GET', get, etcdGet, 'linearizable read')];
}
