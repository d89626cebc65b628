import { etcdVersion, startEtcd } from '../etcd.ts';
import { type Figure, figure } from '../figure.ts';
import { HttpClient } from '../http-client.ts';
import { type Demo, REGIONS, type Server, startDemo } from '../servers.ts';
import { interleave, median } from '../statistics.ts';
import { KEYS, type LoadKind, loadRequest, STRONG_NAMESPACE } from '../workload.ts';
import type { Part, PartContext } from './part.ts';
import { loadSides, rateFigure } from './throughput.ts';

const CONNECTIONS = [64, 256] as const;
const PUT_TARGET = { atLeast: 2 };
const GET_TARGET = { atLeast: 4 };
const LATENCY_TARGET = { atMost: 1 };
const FILL_IN_FLIGHT = 64;
const WARM_UP_SECONDS = 1;

/** Three members of each on this machine, without delays between them, all load on the first. */
export const strongPart: Part = async (context) => {
  const version = etcdVersion();
  if (version === undefined)
    throw new Error('etcd is not installed (Debian: apt-get install etcd-server), so there is nothing to stand beside');
  const demo = await startDemo(context.session, false);
  const etcd = await startEtcd(context.session);
  try {
    const meridian = { url: demo.url[REGIONS[0]], pid: demo.pid(REGIONS[0]) };
    context.say('filling both');
    await makeNamespace(demo);
    await fillBy(meridian.url, 'register-put');
    await fillBy(etcd.url, 'etcd-put');
    const figures: Figure[] = [];
    for (const connections of CONNECTIONS) {
      context.say(`strong PUT and GET at ${connections} connections`);
      const sides = await loadSides(context, {
        put: { server: meridian, kind: 'register-put', connections },
        etcdPut: { server: etcd, kind: 'etcd-put', connections },
        get: { server: meridian, kind: 'register-get', connections },
        etcdGet: { server: etcd, kind: 'etcd-get', connections },
      });
      const putBeside = { what: `${version} put`, results: sides.etcdPut };
      const getBeside = { what: `${version} linearizable read`, results: sides.etcdGet };
      figures.push(
        rateFigure('strong', `strong PUT, ${connections} connections`, sides.put, putBeside, PUT_TARGET),
        rateFigure('strong', `strong GET, ${connections} connections`, sides.get, getBeside, GET_TARGET),
      );
    }
    return [...figures, ...(await latencyFigures(context, meridian, etcd, version))];
  } finally {
    await Promise.all([demo.stop(), etcd.stop()]);
  }
};

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
  meridian: Pick<Server, 'url'>,
  etcd: Server,
  version: string,
): Promise<readonly Figure[]> {
  say('strong PUT and GET at one connection');
  const run = async (url: string, kind: LoadKind): Promise<number> =>
    (await load.run({ url, kind, connections: 1, seconds: options.loadSeconds })).medianMs;
  await load.run({ url: meridian.url, kind: 'register-put', connections: 1, seconds: WARM_UP_SECONDS });
  const { put, etcdPut, get, etcdGet } = await interleave(options.rounds, {
    put: () => run(meridian.url, 'register-put'),
    etcdPut: () => run(etcd.url, 'etcd-put'),
    get: () => run(meridian.url, 'register-get'),
    etcdGet: () => run(etcd.url, 'etcd-get'),
  });
  const of = (what: string, own: readonly number[], others: readonly number[], beside: string): Figure =>
    figure({
      part: 'strong',
      what: `${what}, one connection, median`,
      unit: 'ms',
      measured: median(own),
      beside: { what: `${version} ${beside}`, value: median(others) },
      target: LATENCY_TARGET,
    });
  return [of('strong PUT', put, etcdPut, 'put'), of('strong GET', get, etcdGet, 'linearizable read')];
}
