import { spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpClient } from './http-client.ts';
import { freeBasePort } from './ports.ts';
import type { Server } from './servers.ts';
import type { Session } from './session.ts';

const MEMBERS = 3;
const READY_MS_MAX = 20_000;
const READY_POLL_MS = 100;

/** `etcd Version: 3.4.23`; `undefined` where it is not installed (Debian: `apt-get install etcd-server`). */
export function etcdVersion(): string | undefined {
  const { stdout } = spawnSync('etcd', ['--version'], { encoding: 'utf8' });
  const version = /etcd Version: (\S+)/.exec(String(stdout ?? ''))?.[1];
  return version === undefined ? undefined : `etcd ${version}`;
}

export interface Etcd {
  /** With the URLs of their JSON gateways. */
  readonly members: readonly Pick<Server, 'url' | 'pid'>[];
  stop(): Promise<void>;
}

/** Three members on this machine. */
export async function startEtcd(session: Session): Promise<Etcd> {
  const port = await freeBasePort(MEMBERS);
  const clientUrl = (at: number): string => `http://127.0.0.1:${port + at}`;
  const peerUrl = (at: number): string => `http://127.0.0.1:${port + 1_000 + at}`;
  const members = Array.from({ length: MEMBERS }, (_none, at) => at);
  const cluster = members.map((at) => `m${at}=${peerUrl(at)}`).join(',');
  const log = openSync(join(session.folder, 'etcd.log'), 'a');
  const children = members.map((at) =>
    session.start(
      'etcd',
      [
        ...['--name', `m${at}`, '--data-dir', join(session.folder, `etcd-${port}-${at}`)],
        ...['--listen-client-urls', clientUrl(at), '--advertise-client-urls', clientUrl(at)],
        ...['--listen-peer-urls', peerUrl(at), '--initial-advertise-peer-urls', peerUrl(at)],
        ...['--initial-cluster', cluster, '--initial-cluster-token', `bench-${port}`, '--log-level', 'error'],
      ],
      { stdio: ['ignore', log, log] },
    ),
  );
  await whenReady(members.map(clientUrl));
  return {
    members: members.map((at) => ({ url: clientUrl(at), pid: children[at]?.pid ?? 0 })),
    stop: async () => {
      await Promise.all(children.map((child) => session.stop(child)));
    },
  };
}

async function whenReady(urls: readonly string[]): Promise<void> {
  const http = new HttpClient(1);
  const deadlineMs = performance.now() + READY_MS_MAX;
  for (const url of urls) {
    for (;;) {
      const answer = await http.send('GET', `${url}/health`).catch(() => undefined);
      if (answer?.status === 200 && answer.text.includes('"true"')) break;
      if (performance.now() > deadlineMs) throw new Error('etcd does not start; its log is in the folder of this run');
      await sleep(READY_POLL_MS);
    }
  }
  http.close();
}
