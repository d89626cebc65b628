import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Opened, type Opening, openHttp } from './http.testing.ts';
import type { HttpLimits } from './limits.ts';

let opened: Opened;
let port: number;
const sockets: Socket[] = [];

async function listen(limits: Partial<HttpLimits> = {}, more: Opening = {}): Promise<void> {
  opened = await openHttp({ ...more, limits });
  port = (await opened.http.listen('127.0.0.1', 0)).port;
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await opened.http.stop(0);
});

/** A bare connection: what is sent is what these tests are about. */
class Wire {
  readonly socket: Socket;
  text = '';
  isClosed = false;

  constructor() {
    this.socket = connect(port, '127.0.0.1');
    sockets.push(this.socket);
    this.socket.setEncoding('latin1');
    this.socket.on('data', (chunk: string) => {
      this.text += chunk;
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
    });
  }

  send(text: string | Buffer): this {
    this.socket.write(text);
    return this;
  }

  async until(part: string | RegExp): Promise<this> {
    await expect.poll(() => this.text, { timeout: 5000, interval: 5 }).toMatch(part);
    return this;
  }

  async closed(): Promise<this> {
    await expect.poll(() => this.isClosed, { timeout: 5000, interval: 5 }).toBe(true);
    return this;
  }
}

const problem = (status: number, code: string) =>
  new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*application/problem\\+json[\\s\\S]*"code":"${code}"`);

describe('what is no HTTP', () => {
  it.each([
    'nonsense\r\n\r\n',
    'FETCH /kv/a HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /kv/a HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n',
    'GET /kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n',
    'PUT /kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc',
    'PUT /kv/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'PUT /kv/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'PUT /kv/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    'GET /kv/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'GET /kv/a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n',
    'GET /kv/a HTTP/1.1\r\nHost:\r\nHost: a\r\n\r\n',
    'GET /kv/a HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n',
    '\u0016\u0003\u0001\u0002\u0000\u0001\u0000',
  ])('gets a problem: %j', async (text) => {
    await listen();
    const wire = await new Wire().send(text).until(problem(400, 'INVALID_REQUEST'));
    await wire.closed();
    expect(wire.text).toContain('Connection: close');
    expect(wire.text).not.toMatch(/HPE_|Parse|node:|\/work|\.ts/);
  });

  it('gets a problem for headers beyond 16 KiB', async () => {
    await listen();
    await new Wire()
      .send(`GET /kv/a HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`)
      .until(problem(431, 'HEADERS_TOO_LARGE'));
    await new Wire()
      .send(`GET /kv/${'x'.repeat(17_000)} HTTP/1.1\r\nHost: a\r\n\r\n`)
      .until(problem(431, 'HEADERS_TOO_LARGE'));
  });

  it('is CONNECT, which gets a problem', async () => {
    await listen();
    const wire = await new Wire()
      .send('CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n')
      .until(problem(405, 'METHOD_NOT_ALLOWED'));
    await wire.closed();
    expect(wire.text).toMatch(/^Allow: *\r$/m);
  });

  it('gets a problem without a Host, which HTTP/1.0 does without', async () => {
    await listen();
    await new Wire().send('GET /kv/a HTTP/1.1\r\n\r\n').until(problem(400, 'INVALID_REQUEST'));
    await new Wire().send('GET /kv/a HTTP/1.0\r\n\r\n').until(problem(404, 'KEY_NOT_FOUND'));
  });
});

describe('keys that clients would normalise', () => {
  it.each(['.', '..', '%2e', '%2E%2e'])('are refused: %s', async (key) => {
    await listen();
    await new Wire().send(Buffer.from(`GET /kv/${key} HTTP/1.1\r\nHost: a\r\n\r\n`)).until(problem(400, 'INVALID_KEY'));
  });

  it('are refused as bare bytes above ASCII, which no path may hold', async () => {
    await listen();
    await new Wire().send(Buffer.from('GET /kv/é HTTP/1.1\r\nHost: a\r\n\r\n')).until(problem(400, 'INVALID_REQUEST'));
  });

  it('take an absolute target like others', async () => {
    await listen();
    await new Wire().send('GET http://a/kv/x HTTP/1.1\r\nHost: a\r\n\r\n').until(problem(404, 'KEY_NOT_FOUND'));
  });
});

describe('slow requests', () => {
  it('are ended when headers do not come', async () => {
    await listen({ headersTimeoutMs: 300, requestTimeoutMs: 600 });
    const wire = await new Wire().send('GET /kv/a HTTP/1.1\r\nHost: a\r\n').until(problem(408, 'REQUEST_TIMEOUT'));
    await wire.closed();
  });

  it('are ended when the body does not come', async () => {
    await listen({ headersTimeoutMs: 300, requestTimeoutMs: 600 });
    const wire = await new Wire()
      .send('PUT /kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab')
      .until(problem(408, 'REQUEST_TIMEOUT'));
    await wire.closed();
    expect(opened.service.calls).toEqual([]);
  });

  it('and connections on which nothing moves are closed', async () => {
    await listen({ idleTimeoutMs: 400 });
    const wire = await new Wire().send('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n').until('200 OK');
    await wire.closed();
  });

  it('are not those that this node takes long to answer', async () => {
    await listen({ idleTimeoutMs: 200 });
    opened.service.gate = new Promise((resolve) => setTimeout(resolve, 900));
    const wire = await new Wire().send('GET /kv/a HTTP/1.1\r\nHost: a\r\n\r\n').until(problem(404, 'KEY_NOT_FOUND'));
    await wire.closed();
  });
});

describe('large bodies', () => {
  const put = (headers: string) => `PUT /kv/a HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\n${headers}\r\n\r\n`;
  const chunk = (bytes: number) => `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`;

  it('are refused by what they announce, before they are sent', async () => {
    await listen({ valueBytesMax: 1000 });
    const wire = await new Wire().send(put('Content-Length: 1001')).until(problem(413, 'VALUE_TOO_LARGE'));
    expect(wire.text).toContain('"bytes":1001,"bytesMax":1000');
    await new Wire().send(put('Content-Length: 1000') + 'x'.repeat(1000)).until(/^HTTP\/1\.1 201 /);
  });

  it('are refused at the byte too many where they announce nothing', async () => {
    await listen({ valueBytesMax: 1000 });
    const wire = await new Wire()
      .send(put('Transfer-Encoding: chunked') + chunk(600) + chunk(600))
      .until(problem(413, 'VALUE_TOO_LARGE'));
    expect(wire.text).toContain('"bytesMax":1000');
    expect(opened.service.calls).toEqual([]);
    await new Wire()
      .send(`${put('Transfer-Encoding: chunked') + chunk(500) + chunk(500)}0\r\n\r\n`)
      .until(/^HTTP\/1\.1 201 /);
  });

  it('leave the connection in order: what was not wanted is thrown away', async () => {
    await listen({ valueBytesMax: 1000 });
    const wire = await new Wire().send(put('Content-Length: 5000')).until(problem(413, 'VALUE_TOO_LARGE'));
    wire.send(`${'x'.repeat(5000)}GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n`);
    await wire.until(/"status":"ok"/);
  });

  it('are told before they are sent, to clients that ask', async () => {
    await listen({ valueBytesMax: 1000 });
    const refused = await new Wire()
      .send(put('Content-Length: 5000\r\nExpect: 100-continue'))
      .until(problem(413, 'VALUE_TOO_LARGE'));
    await refused.closed();
    expect(refused.text).not.toContain('100 Continue');
    const taken = await new Wire()
      .send(put('Content-Length: 3\r\nExpect: 100-continue'))
      .until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    await taken.send('abc').until(/HTTP\/1\.1 201 Created[\s\S]*keep-alive/);
  });

  it('in envelopes and batches have limits of their own', async () => {
    await listen({ valueBytesMax: 1000, batchBytesMax: 3000 });
    const json = (value: string) => JSON.stringify({ value });
    const send = (body: string) =>
      opened.call('PUT', '/kv/a', { headers: { 'content-type': 'application/json' }, payload: body });
    expect((await send(json('x'.repeat(998)))).statusCode).toBe(201);
    expect((await send(json('x'.repeat(999)))).json()).toMatchObject({
      code: 'VALUE_TOO_LARGE',
      bytes: 1001,
      bytesMax: 1000,
    });
    expect((await send(`{"value":1${' '.repeat(100_000)}}`)).json().code).toBe('VALUE_TOO_LARGE');
    expect(
      (await send(JSON.stringify({ value: Buffer.alloc(1000).toString('base64'), encoding: 'base64' }))).statusCode,
    ).toBe(200);
    const batch = {
      operations: [1, 2, 3].map((at) => ({ op: 'put', key: `k${at}`, value: 'x'.repeat(at === 2 ? 1500 : 100) })),
    };
    const batched = await opened.call('POST', '/kv/batch', {
      headers: { 'content-type': 'application/json' },
      payload: JSON.stringify(batch),
    });
    expect(batched.json().results.map((result: { status: number }) => result.status)).toEqual([201, 413, 201]);
    const large = await opened.call('POST', '/kv/batch', {
      headers: { 'content-type': 'application/json' },
      payload: ' '.repeat(3001),
    });
    expect(large.statusCode).toBe(413);
  });

  it('that end early disturb nobody', async () => {
    await listen();
    const wire = new Wire().send(`${put('Content-Length: 100')}abc`);
    await once(wire.socket, 'connect');
    await new Promise((resolve) => setTimeout(resolve, 30));
    wire.socket.destroy();
    await new Wire().send('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n').until('200 OK');
    expect(opened.service.calls).toEqual([]);
    expect(opened.logged.filter((line) => line.level === 'error')).toEqual([]);
  });
});

describe('expectations', () => {
  it('other than 100-continue are not met', async () => {
    await listen();
    await new Wire()
      .send('GET /kv/a HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n')
      .until(problem(417, 'EXPECTATION_FAILED'));
  });
});

describe('connections', () => {
  it('are capped in all', async () => {
    await listen({ connectionsMax: 2 });
    const wires = [new Wire(), new Wire()];
    for (const wire of wires) await wire.send('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n').until('200 OK');
    await new Wire().closed();
  });

  it('are capped for each address, and counted down again', async () => {
    await listen({ connectionsPerAddressMax: 1 });
    const first = await new Wire().send('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n').until('200 OK');
    await new Wire().closed();
    first.socket.destroy();
    await expect
      .poll(async () => (await fetch(`http://127.0.0.1:${port}/health/live`).catch(() => undefined))?.status)
      .toBe(200);
  });

  it('answer pipelined requests in order', async () => {
    await listen();
    const wire = new Wire().send('GET /kv/a HTTP/1.1\r\nHost: a\r\n\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n');
    await wire.until(/^HTTP\/1\.1 404 [\s\S]*HTTP\/1\.1 200 /);
  });

  it('never give a problem with one request as the answer to another', async () => {
    await listen();
    const wire = await new Wire().send('DELETE /kv/a HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n').closed();
    expect(wire.text).not.toContain('INVALID_REQUEST');
  });

  it('are answered though more bytes came than their length says; then the connection is closed', async () => {
    await listen();
    const put = 'PUT /kv/a HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\nabcd';
    const wire = await new Wire().send(put).send('efg\r\n\r\n').closed();
    expect(wire.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 201']);
    expect(wire.text).toContain('Connection: close');
    expect((await opened.call('GET', '/kv/a?raw')).payload).toBe('abc');
  });

  it('that wait behind another are not begun where nonsense follows them', async () => {
    await listen();
    const put = (key: string) => `PUT /kv/${key} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx`;
    const wire = await new Wire().send(`${put('a')}${put('b')}nonsense\r\n\r\n`).closed();
    expect(wire.text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 201']);
    expect(opened.service.calls.map(({ key }) => key)).toEqual(['a']);
  });
});

describe('stop', () => {
  const get = 'GET /kv/a HTTP/1.1\r\nHost: a\r\n\r\n';

  it('finishes what is under way, turns new requests away, takes no connections, then closes', async () => {
    await listen();
    let open = () => {};
    const [busy, idle] = [new Wire(), new Wire()];
    await idle.send(get).until(problem(404, 'KEY_NOT_FOUND'));
    opened.service.gate = new Promise((resolve) => {
      open = resolve;
    });
    busy.send(get);
    await expect.poll(() => opened.service.calls.length).toBe(2);
    let isStopped = false;
    const stopping = opened.http.stop(5000).then(() => {
      isStopped = true;
    });
    idle.text = '';
    await idle.send(get).until(problem(503, 'SHUTTING_DOWN'));
    expect(idle.text).toContain('Connection: close');
    await idle.closed();
    await new Wire().closed();
    expect([isStopped, busy.text]).toEqual([false, '']);
    open();
    await busy.until(problem(404, 'KEY_NOT_FOUND'));
    expect(busy.text).toContain('Connection: close');
    await stopping;
    expect(busy.isClosed).toBe(true);
  });

  it('cuts what does not finish in its time, and can be asked twice', async () => {
    await listen();
    opened.service.gate = new Promise(() => {});
    const busy = new Wire().send(get);
    await expect.poll(() => opened.service.calls.length).toBe(1);
    const startMs = performance.now();
    await Promise.all([opened.http.stop(200), opened.http.stop(200)]);
    expect(performance.now() - startMs).toBeLessThan(3000);
    await busy.closed();
    expect(busy.text).toBe('');
  });

  it('closes idle connections without waiting for their clients', async () => {
    await listen();
    const idle = await new Wire().send(get).until('404');
    await opened.http.stop(5000);
    await idle.closed();
  });
});
