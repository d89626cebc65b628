import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { type Cluster, newCluster } from '../support/cluster.ts';
import { storeIn } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';
import { ask } from '../support/http.ts';
import { PostgresServer } from '../support/postgres.ts';
import { PostgresProxy } from '../support/postgres-proxy.ts';

/** Far below the ten seconds that a start waits for its database. */
const END_MS_MAX = 5_000;
const STOP_TIMEOUT_MS = 300;
/** Above the ten seconds that a store may take to close, far below what its database may take to answer here. */
const CLOSE_MS_MAX = 20_000;
const STATEMENT_TIMEOUT_MS = 120_000;

const EXECUTABLE = fileURLToPath(new URL('../../bin/meridian', import.meta.url));

let cluster: Cluster | undefined;

afterEach(async () => {
  await cluster?.remove();
  cluster = undefined;
});

describe('a start that cannot succeed', () => {
  it("ends with one line where the file with the cache's password is missing, though the database is there", async () => {
    const databases = await PostgresServer.start();
    try {
      const store = storeIn(databases, 'eu');
      const cache = 'redis://127.0.0.1:1/0?password_file=/no/such/file';
      cluster = await newCluster({ 'eu-central': [{ name: 'eu-1', store, cache }] });
      const node = cluster.spawn('eu-1');
      await node.said('what is wrong', () => node.stderr.length > 0);
      expect(await Promise.race([node.ended, sleep(END_MS_MAX, 'still running')])).toEqual({ code: 2, signal: null });
      expect(node.stderr).toEqual(['meridian: cache: the password file /no/such/file cannot be read (ENOENT)']);
    } finally {
      await databases.remove();
    }
  });
});

describe('a node that is told to stop while it starts', () => {
  let mute: Server | undefined;
  const taken = new Set<Socket>();

  afterEach(async () => {
    for (const socket of taken) socket.destroy();
    await new Promise((done) => mute?.close(done));
  });

  it('ends within its time for that, though its database takes connections and says nothing', async () => {
    mute = createServer((socket) => taken.add(socket.on('error', () => undefined)));
    await new Promise<void>((done) => mute?.listen(0, '127.0.0.1', done));
    const { port } = mute.address() as { port: number };
    const store = `postgres://meridian@127.0.0.1:${port}/meridian`;
    cluster = await newCluster({ 'eu-central': [{ name: 'eu-1', store }] });
    const node = cluster.spawn('eu-1', { args: ['--stop-timeout-ms', String(STOP_TIMEOUT_MS)] });
    for (const untilMs = performance.now() + END_MS_MAX; taken.size === 0 && performance.now() < untilMs; )
      await sleep(10);
    expect(taken.size).toBeGreaterThan(0);
    const toldMs = performance.now();
    expect(await node.stop()).toEqual({ code: 1, signal: null });
    expect(performance.now() - toldMs).toBeLessThan(END_MS_MAX);
    expect(node.stderr).toEqual([
      `meridian: told to stop while it starts, and the start did not end within ${STOP_TIMEOUT_MS} ms`,
    ]);
  });
});

describe('a node whose database says nothing any more', () => {
  it('ends all the same when it is told to stop, says so, and has lost nothing that it acknowledged', async () => {
    const databases = await PostgresServer.start();
    const proxy = await PostgresProxy.start(databases.port);
    try {
      const store = `${storeIn(databases, 'eu', proxy.port)}&statement_timeout=${STATEMENT_TIMEOUT_MS}`;
      cluster = await newCluster({ 'eu-central': [{ name: 'eu-1', store }] });
      const args = ['--stop-timeout-ms', String(STOP_TIMEOUT_MS)];
      const node = await cluster.start('eu-1', { args });
      const put = (key: string) =>
        ask(`${cluster?.url('eu-1')}/kv/${key}`, {
          method: 'PUT',
          body: { value: key },
          headers: { 'meridian-timeout': '500' },
        });
      expect((await put('before')).status).toBe(201);
      proxy.onNextCommit('frozen');
      expect((await put('frozen')).status).toBe(504);
      const toldMs = performance.now();
      expect(await node.stop()).toEqual({ code: 1, signal: null });
      expect(performance.now() - toldMs).toBeLessThan(CLOSE_MS_MAX);
      expect(node.events('stopped')).toEqual([]);
      expect(node.events('the store does not close, and is left open: what was acknowledged is on disk')).toHaveLength(
        1,
      );
      await cluster.start('eu-1', { args });
      expect((await ask(`${cluster.url('eu-1')}/kv/before`)).body?.value).toBe('before');
    } finally {
      await proxy.close();
      await databases.remove();
    }
  });
});

describe('a node whose log goes to a disk that is full', () => {
  it('serves without it, and stops when it is told to', async () => {
    cluster = await newCluster({ 'us-east': ['us-1'] });
    const url = cluster.url('us-1');
    const child = spawn(EXECUTABLE, ['serve', '--cluster', cluster.file, '--node', 'us-1'], {
      stdio: ['ignore', openSync('/dev/full', 'w'), 'ignore'],
    });
    try {
      const isAlive = () => ask(`${url}/health/live`).then(({ status }) => status === 200);
      await eventually(isAlive, { what: 'a node that answers' });
      expect((await ask(`${url}/kv/key`, { method: 'PUT', body: { value: 1 } })).status).toBe(201);
      child.kill('SIGTERM');
      const [, signal] = (await once(child, 'exit', { signal: AbortSignal.timeout(END_MS_MAX) })) as unknown[];
      expect(signal).toBeNull();
    } finally {
      child.kill('SIGKILL');
    }
  });
});
