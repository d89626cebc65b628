import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Opened, openHttp } from './http.testing.ts';
import type { HttpLimits } from './limits.ts';

let opened: Opened;
let port: number;
const sockets: Socket[] = [];

async function listen(limits: Partial<HttpLimits> = {}): Promise<void> {
  opened = await openHttp({ limits });
  port = (await opened.http.listen('127.0.0.1', 0)).port;
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await opened.http.stop(0);
});

const HOST = 'HTTP/1.1\r\nHost: a\r\n';
const get = (key: string) => `GET /kv/${key}?raw ${HOST}\r\n`;
const remove = (key: string) => `DELETE /kv/${key} ${HOST}\r\n`;
const put = (key: string, value: string, more = '') =>
  `PUT /kv/${key} ${HOST}Content-Type: a/b\r\n${more}Content-Length: ${value.length}\r\n\r\n${value}`;

interface Wire {
  readonly socket: Socket;
  readonly text: () => string;
  readonly statuses: () => number[];
}

function send(text: string): Wire {
  const socket = connect(port, '127.0.0.1');
  sockets.push(socket);
  let received = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    received += chunk;
  });
  socket.on('error', () => {});
  socket.write(text);
  return {
    socket,
    text: () => received,
    statuses: () => [...received.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status)),
  };
}

const soon = { timeout: 8000, interval: 5 };
const begun = () => opened.service.calls.map(({ call, key }) => `${call} ${key}`);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls of the service wait until it is opened. */
function shut(): () => void {
  let open = () => {};
  opened.service.gate = new Promise((resolve) => {
    open = resolve;
  });
  return () => {
    opened.service.gate = undefined;
    open();
  };
}

describe('requests on one connection that do not wait for answers', () => {
  it('take effect in order', async () => {
    await listen();
    const wire = send(put('k', 'one') + put('k', 'two') + get('k') + remove('k') + get('k'));
    await expect.poll(wire.statuses, soon).toEqual([201, 200, 200, 204, 404]);
    expect(wire.text()).toContain('\r\n\r\ntwoHTTP/1.1 204');
    expect(begun()).toEqual(['put k', 'put k', 'get k', 'delete k', 'get k']);
  });

  it('begin when the one before has been answered', async () => {
    await listen();
    const open = shut();
    const wire = send(put('a', '1') + get('a') + put('b', '1'));
    await expect.poll(begun, soon).toEqual(['put a']);
    await pause(50);
    expect(begun()).toEqual(['put a']);
    open();
    await expect.poll(wire.statuses, soon).toEqual([201, 200, 201]);
  });

  it('run side by side where all of them only read', async () => {
    await listen();
    const open = shut();
    const wire = send(get('a') + get('b') + put('c', '1') + get('d') + get('e') + get('f') + put('g', '1'));
    await expect.poll(begun, soon).toEqual(['get a', 'get b']);
    await pause(50);
    expect(begun()).toEqual(['get a', 'get b']);
    open();
    await expect.poll(begun, soon).toContain('put c');
    await expect.poll(wire.statuses, soon).toEqual([404, 404, 201, 404, 404, 404, 201]);
    expect(begun()).toEqual(['get a', 'get b', 'put c', 'get d', 'get e', 'get f', 'put g']);
  });

  it('read side by side again after a write', async () => {
    await listen();
    const open = shut();
    const wire = send(put('a', '1') + get('b') + get('c') + put('d', '1') + get('e'));
    await expect.poll(begun, soon).toEqual(['put a']);
    open();
    const openAgain = shut();
    await expect.poll(begun, soon).toEqual(['put a', 'get b', 'get c']);
    await pause(50);
    expect(begun()).toHaveLength(3);
    openAgain();
    await expect.poll(wire.statuses, soon).toEqual([201, 404, 404, 201, 404]);
  });

  it('do not hold up other connections', async () => {
    await listen();
    const open = shut();
    send(put('a', '1') + put('a', '2'));
    await expect.poll(begun, soon).toEqual(['put a']);
    send(put('b', '1'));
    await expect.poll(begun, soon).toEqual(['put a', 'put b']);
    open();
  });

  it('do not begin once their client has gone', async () => {
    await listen();
    const open = shut();
    const wire = send(put('a', '1') + put('b', '2') + put('c', '3'));
    await expect.poll(begun, soon).toEqual(['put a']);
    wire.socket.destroy();
    await pause(50);
    open();
    await pause(50);
    expect(begun()).toEqual(['put a']);
    expect(opened.logged.filter((line) => line.level === 'error')).toEqual([]);
  });

  it('do not begin once their client has gone, where so many wait that this node does not read any more', async () => {
    await listen();
    const open = shut();
    const wire = send(put('a', '1') + remove('none').repeat(20_000));
    await expect.poll(begun, soon).toEqual(['put a']);
    await pause(50);
    wire.socket.destroy();
    await pause(50);
    open();
    await pause(300);
    expect(begun().length).toBeLessThan(50);
  });

  it('are read from the socket as they are answered, however many they are', async () => {
    await listen();
    const open = shut();
    const wire = send(`DELETE /kv/a ${HOST}Padding: ${'x'.repeat(1000)}\r\n\r\n`.repeat(15_000));
    await expect.poll(begun, soon).toHaveLength(1);
    await pause(300);
    expect(wire.socket.writableLength).toBeGreaterThan(0);
    open();
    await expect.poll(() => begun().length, soon).toBeGreaterThan(1000);
  }, 20_000);

  it('are all answered when they come in numbers, with bodies and without', async () => {
    await listen();
    const large = 'x'.repeat(100_000);
    const round = (at: number) =>
      put(`k${at}`, at % 50 === 0 ? large : String(at)) + get(`k${at}`) + get('none') + remove(`k${at}`);
    const wire = send(Array.from({ length: 300 }, (_, at) => round(at)).join(''));
    const wanted = Array.from({ length: 300 }, () => [201, 200, 404, 204]).flat();
    await expect.poll(() => wire.statuses().length, { timeout: 20_000, interval: 20 }).toBe(wanted.length);
    expect(wire.statuses()).toEqual(wanted);
  }, 30_000);

  it('may ask before they send their body', async () => {
    await listen();
    const open = shut();
    const wire = send(
      `${put('a', '1')}PUT /kv/b ${HOST}Content-Type: a/b\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n`,
    );
    await expect.poll(begun, soon).toEqual(['put a']);
    await pause(50);
    expect(wire.text()).toBe('');
    open();
    await expect.poll(wire.statuses, soon).toEqual([201, 100]);
    wire.socket.write(`abc${get('b')}`);
    await expect.poll(wire.statuses, soon).toEqual([201, 100, 201, 200]);
  });

  it('are not late because this node did not read them', async () => {
    await listen({ headersTimeoutMs: 300, requestTimeoutMs: 600 });
    const open = shut();
    const large = 'x'.repeat(1_000_000);
    const first = send(put('a', '1') + put('b', large) + get('b'));
    const second = send(put('a', '1') + remove('none').repeat(20_000));
    await pause(2000);
    expect([first.text(), second.text()]).toEqual(['', '']);
    expect(begun()).toEqual(['put a', 'put a']);
    open();
    await expect.poll(() => first.statuses(), soon).toEqual([201, 201, 200]);
    await expect.poll(() => second.statuses().length, { timeout: 30_000, interval: 50 }).toBe(20_001);
  }, 40_000);

  it('that wait when the node stops are not begun', async () => {
    await listen();
    const open = shut();
    const wire = send(put('a', '1') + put('b', '2') + put('c', '3'));
    await expect.poll(begun, soon).toEqual(['put a']);
    const stopping = opened.http.stop(5000);
    open();
    await stopping;
    expect([begun(), wire.statuses()]).toEqual([['put a'], [201]]);
    expect(wire.text()).toContain('Connection: close');
  });
});
