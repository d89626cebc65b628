import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpClient } from './http-client.ts';
import { freeBasePort } from './ports.ts';
import { ROOT, type Session } from './session.ts';
import { keyOf, VALUE } from './workload.ts';

const MERIDIAN = join(ROOT, 'bin', 'meridian');
const READY_MS_MAX = 30_000;
const READY_POLL_MS = 50;

export interface Server {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export const REGIONS = ['us-east', 'eu-central', 'ap-northeast'] as const;
export type Region = (typeof REGIONS)[number];

export interface Demo {
  readonly url: Readonly<Record<Region, string>>;
  /** Of the node of a region. */
  pid(region: Region): number;
  stop(): Promise<void>;
}

/** A cluster of one node on an embedded store, as `serve` runs it. */
export async function startNode(session: Session): Promise<Server> {
  const [node] = await startRegion(session, [{ store: './us-1' }]);
  return node as Server;
}

/** What a node stands on, as a cluster file names it. */
export interface Foundation {
  readonly store: string;
  readonly cache?: string;
}

/** A cluster of one region, with a node on each of these. */
export async function startRegion(session: Session, foundations: readonly Foundation[]): Promise<readonly Server[]> {
  const port = await freeBasePort(foundations.length);
  const folder = join(session.folder, `region-${port}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'cluster.secret'), randomBytes(32).toString('hex'), { mode: 0o600 });
  const nodes = foundations.map((foundation, at) => ({
    name: `us-${at + 1}`,
    http: `127.0.0.1:${port + at}`,
    peer: `127.0.0.1:${port + 1_000 + at}`,
    ...foundation,
  }));
  const regions = [{ name: 'us-east', latitude: 38.9, longitude: -77, nodes }];
  // JSON is YAML.
  writeFileSync(
    join(folder, 'cluster.yaml'),
    JSON.stringify({ cluster: 'bench', secretFile: './cluster.secret', regions }),
    { mode: 0o600 },
  );
  return Promise.all(
    nodes.map(async ({ name, http }) => {
      const child = startLogged(session, folder, ['serve', '--cluster', 'cluster.yaml', '--node', name]);
      const url = `http://${http}`;
      await whenReady(child, folder, [url]);
      return { url, pid: child.pid ?? 0, stop: () => session.stop(child) };
    }),
  );
}

/** Three regions as `demo` runs them. */
export async function startDemo(session: Session, hasWan: boolean): Promise<Demo> {
  const port = await freeBasePort(REGIONS.length);
  const folder = join(session.folder, `demo-${port}`);
  mkdirSync(folder);
  const settings = ['--regions', REGIONS.join(','), '--base-port', `${port}`, '--data-dir', folder];
  const child = startLogged(session, folder, ['demo', ...settings, ...(hasWan ? [] : ['--no-wan'])]);
  const url = Object.fromEntries(REGIONS.map((region, at) => [region, `http://127.0.0.1:${port + at}`]));
  await whenReady(child, folder, Object.values(url));
  return {
    url: url as Record<Region, string>,
    pid: (region) => Number(readFileSync(join(folder, `${region}-1.pid`), 'utf8')),
    stop: () => session.stop(child),
  };
}

/** A bare Fastify that answers what `node` answers. */
export async function startBareRoute(session: Session, node: Server): Promise<Server> {
  const http = new HttpClient(1);
  const written = await http.json('PUT', `${node.url}/kv/${keyOf(0)}`, { value: VALUE });
  const got = await http.json('GET', `${node.url}/kv/${keyOf(0)}`);
  http.close();
  const script = join(import.meta.dirname, 'bare-fastify.ts');
  const child = session.start(process.execPath, [script, JSON.stringify([got, written])], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [message] = (await once(child, 'message', { signal: AbortSignal.timeout(READY_MS_MAX) })) as [{ url: string }];
  return { url: message.url, pid: child.pid ?? 0, stop: () => session.stop(child) };
}

function startLogged(session: Session, folder: string, args: readonly string[]): ChildProcess {
  const log = openSync(join(folder, 'bench.log'), 'a');
  // The channel is there to be noticed when it closes: a node does not outlive a run that was killed.
  return session.start(MERIDIAN, args, { cwd: folder, stdio: ['ignore', log, log, 'ipc'] });
}

async function whenReady(child: ChildProcess, folder: string, urls: readonly string[]): Promise<void> {
  const http = new HttpClient(1);
  const deadlineMs = performance.now() + READY_MS_MAX;
  for (const url of urls) {
    while (!(await isReady(http, url))) {
      if (child.exitCode !== null || performance.now() > deadlineMs) {
        throw new Error(`the server does not start: ${readFileSync(join(folder, 'bench.log'), 'utf8')}`);
      }
      await sleep(READY_POLL_MS);
    }
  }
  http.close();
}

function isReady(http: HttpClient, url: string): Promise<boolean> {
  return http.send('GET', `${url}/health/ready`).then(
    ({ status }) => status === 200,
    () => false,
  );
}
