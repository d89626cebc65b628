import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Opened, openHttp } from './http.testing.ts';

const VALUE_BYTES = 4 * 1024 * 1024;
/** Room for two such values, not for three. */
const UNSENT_BYTES_MAX = 10 * 1024 * 1024;
const GET = 'GET /kv/large?raw HTTP/1.1\r\nHost: a\r\n\r\n';

let opened: Opened;
let port: number;
const sockets: Socket[] = [];

beforeEach(async () => {
  opened = await openHttp({ limits: { unsentBytesMax: UNSENT_BYTES_MAX } });
  port = (await opened.http.listen('127.0.0.1', 0)).port;
  await opened.call('PUT', '/kv/large', { headers: { 'content-type': 'a/b' }, payload: Buffer.alloc(VALUE_BYTES) });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await opened.http.stop(0);
});

/** Asks so many times on one connection, at once, and reads nothing. */
function askAndReadNothing(times: number): Socket {
  const socket = connect(port, '127.0.0.1').pause();
  sockets.push(socket);
  socket.on('error', () => {});
  socket.write(GET.repeat(times));
  return socket;
}

/** The statuses of all answers on a connection, once there are so many. */
async function statusesOn(socket: Socket, count: number): Promise<readonly number[]> {
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.resume();
  const statuses = () => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
  await expect.poll(() => statuses().length, { timeout: 5000 }).toBe(count);
  return statuses();
}

const status = async (path = '/kv/large?raw') => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  await answer.arrayBuffer();
  return answer.status;
};
const asked = (count: number) => expect.poll(() => opened.service.calls.length).toBe(count + 1);

describe('large answers that nobody reads', () => {
  it('are kept up to a limit; reads past it are refused until they have gone', async () => {
    const reader = askAndReadNothing(4);
    await asked(4);
    expect(await statusesOn(reader, 4)).toEqual([200, 200, 429, 429]);
    await expect.poll(() => status()).toBe(200);
  });

  it('are forgotten with their connection', async () => {
    const reader = askAndReadNothing(5);
    await asked(5);
    expect(await status('/kv/')).toBe(429);
    reader.destroy();
    await expect.poll(() => status('/kv/')).toBe(200);
  });

  it('hinder neither small reads nor what tells of writes', async () => {
    askAndReadNothing(5);
    await asked(5);
    expect(await status()).toBe(429);
    await opened.put('/kv/small', { value: 1 });
    expect(await status('/kv/small')).toBe(200);
    const operations = [
      { op: 'put', key: 'small', value: 2 },
      { op: 'get', key: 'large' },
    ];
    const batch = await fetch(`http://127.0.0.1:${port}/kv/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ operations }),
    });
    const { results } = (await batch.json()) as { results: readonly { status: number }[] };
    expect(results.map((result) => result.status)).toEqual([200, 200]);
  });

  it('let through a single one of any size', async () => {
    await opened.call('PUT', '/kv/larger', {
      headers: { 'content-type': 'a/b' },
      payload: Buffer.alloc(2 * VALUE_BYTES),
    });
    // In an envelope it takes more than the limit.
    expect(await status('/kv/larger')).toBe(200);
  });
});
