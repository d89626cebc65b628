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

/** A cluster of one node, as `serve` runs it. */
export async function startNode(session: Session): Promise<Server> {
  const port = await freeBasePort(1);
  const folder = join(session.folder, `node-${port}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'cluster.secret'), randomBytes(32).toString('hex'), { mode: 0o600 });
  const addresses = `http: "127.0.0.1:${port}", peer: "127.0.0.1:${port + 1_000}"`;
  writeFileSync(
    join(folder, 'cluster.yaml'),
    `cluster: bench
secretFile: ./cluster.secret
regions:
  - name: us-east
    latitude: 38.9
    longitude: -77.0
    nodes: [{ name: us-1, ${addresses}, store: ./us-1 }]
`,
  );
  const child = startLogged(session, folder, ['serve', '--cluster', 'cluster.yaml', '--node', 'us-1']);
  const url = `http://127.0.0.1:${port}`;
  await whenReady(child, folder, [url]);
  return { url, pid: child.pid ?? 0, stop: () => session.stop(child) };
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
