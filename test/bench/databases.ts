import { randomBytes } from 'node:crypto';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresServer, SUPERUSER } from '@meridian/server/cli/postgres/postgres-server';
import { freeBasePort } from './ports.ts';
import type { Session } from './session.ts';

const START_MS = 10_000;
const POLL_MS = 20;
/** 256 of pgbench, the nodes', and some for looking on. */
const CONNECTIONS = 330;

export interface Database {
  readonly url: string;
  stop(): Promise<void>;
}

/** PostgreSQL 18 with the settings it comes with: each commit waits for the disk. */
export async function startPostgres(session: Session): Promise<Database> {
  const port = await freeBasePort(1);
  const password = randomBytes(12).toString('hex');
  const server = new PostgresServer({
    folder: join(session.folder, `postgres-${port}`),
    port,
    password,
    settings: { max_connections: `${CONNECTIONS}` },
    // Of its making only; what is measured is synced as ever.
    isTemporary: true,
  });
  await server.start();
  return { url: `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/postgres`, stop: () => server.stop() };
}

/** Without persistence: a cache. */
export async function startRedis(session: Session): Promise<Database> {
  const port = await freeBasePort(1);
  const log = openSync(join(session.folder, 'redis.log'), 'a');
  const child = session.start(
    'redis-server',
    ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', session.folder],
    { stdio: ['ignore', 'pipe', log] },
  );
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
  });
  child.once('error', () => undefined);
  for (let waitedMs = 0; !said.includes('Ready to accept connections'); waitedMs += POLL_MS) {
    if (child.exitCode !== null || child.pid === undefined || waitedMs > START_MS)
      throw new Error('redis-server does not start (Debian: apt-get install redis-server)');
    await sleep(POLL_MS);
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: () => session.stop(child),
  };
}
