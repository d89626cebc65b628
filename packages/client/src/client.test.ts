import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MeridianClient } from './client.ts';
import type { MeridianRequestError, MeridianUnreachableError } from './errors.ts';
import { parseExact } from './exact-json.ts';
import type { Receipt } from './types.ts';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly port: number;
}

let server: Server;
let seen: Seen[];
let answer: (request: Seen, response: ServerResponse) => void;

beforeEach(async () => {
  seen = [];
  answer = (_request, response) => response.end('{}');
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const one = {
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        body,
        port: request.socket.remotePort ?? 0,
      };
      seen.push(one);
      response.setHeader('meridian-region', 'us-east');
      answer(one, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const endpoint = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const client = (options: object = {}) => new MeridianClient({ endpoint: endpoint(), ...options });
const problem = (response: ServerResponse, status: number, body: object) => {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify(body));
};

async function gather<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const gathered: Item[] = [];
  for await (const item of items) gathered.push(item);
  return gathered;
}

describe('MeridianClient', () => {
  it('addresses keys by what they are, in any namespace', async () => {
    await client().put('a/b ü', { x: 1 }, { ttlSeconds: 5, context: 'c', consistency: 'quorum' });
    await client({ namespace: 'shop' }).putRaw('k', Buffer.from('x'), 'text/plain', { ttlSeconds: 7 });
    expect(seen[0]).toMatchObject({
      method: 'PUT',
      url: '/kv/a%2Fb%20%C3%BC?consistency=quorum',
      body: '{"value":{"x":1},"ttl":5}',
    });
    expect(seen[0]?.headers['meridian-context']).toBe('c');
    expect(seen[1]).toMatchObject({ url: '/namespaces/shop/kv/k?ttl=7', body: 'x' });
    expect(seen[1]?.headers['content-type']).toBe('text/plain');
  });

  it.each(['', '.', '..', '\ud800', 'x'.repeat(1_025)])('refuses the key %j before it is sent', async (key) => {
    await expect(client().delete(key)).rejects.toMatchObject({ code: 'INVALID_KEY', status: 400, retry: 'fix' });
    expect(seen).toEqual([]);
  });

  it('carries the session token from answer to request, unless told not to', async () => {
    answer = (_request, response) => response.setHeader('meridian-session', `t${seen.length}`).end('{}');
    const carrying = client({ session: 't0' });
    await carrying.put('k', 1);
    await carrying.get('k');
    expect(seen.map(({ headers }) => headers['meridian-session'])).toEqual(['t0', 't1']);
    expect(carrying.session).toBe('t2');
    const without = client({ session: false });
    await without.put('k', 1);
    await without.put('k', 1);
    expect(seen.slice(2).map(({ headers }) => headers['meridian-session'])).toEqual([undefined, undefined]);
  });

  it('takes the session along from an answer that there is nothing', async () => {
    answer = (_request, response) => {
      response.setHeader('meridian-session', 'gone');
      problem(response, 404, { code: 'KEY_NOT_FOUND', detail: 'no' });
    };
    const carrying = client();
    await carrying.get('k');
    expect(carrying.session).toBe('gone');
  });

  it('creates JSON as it is written, and bytes as they are', async () => {
    await client().createText('k', '{"n":1.0}', { ttlSeconds: 7 });
    await client().createRaw('k', new Uint8Array([0, 255]), 'image/png');
    expect(seen.map(({ method, url, body }) => `${method} ${url} ${body}`)).toEqual([
      'POST /kv/ {"key":"k","value":{"n":1.0},"ttl":7}',
      'POST /kv/ {"key":"k","value":"AP8=","encoding":"base64","contentType":"image/png"}',
    ]);
  });

  it('takes no answer of another server for a value, or for a write that was done', async () => {
    answer = (_request, response) => {
      response.removeHeader('meridian-region');
      response.end('<html>');
    };
    const asked = client();
    const calls = [
      () => asked.getRaw('k'),
      () => asked.put('k', 1),
      () => asked.create('k', 1),
      () => asked.delete('k'),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'NOT_MERIDIAN', status: 200 });
  });

  it('takes no JSON of another server for an answer', async () => {
    const asked = client();
    const calls = [
      () => asked.get('k'),
      () => gather(asked.list()),
      () => asked.listPage({}),
      () => asked.batch([]),
      () => asked.namespaces(),
      () => asked.namespace('n'),
      () => asked.putNamespace('n', {}),
      () => asked.ledger('k'),
      () => asked.restore('k', 'id'),
      () => asked.health(),
      () => asked.regions(),
      () => asked.ring('k'),
      () => asked.wan(),
      () => asked.wan({ heal: true }),
      () => asked.replicate([]),
      () => asked.sync(),
    ];
    for (const body of ['{}', 'null', '[]', '"hello"', '{"error":"no"}', '']) {
      answer = (_request, response) => {
        response.removeHeader('meridian-region');
        response.end(body);
      };
      for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'NOT_MERIDIAN', status: 200 });
    }
  });

  it('tells where a server sends it that is no node, and follows nobody', async () => {
    for (const [location, told] of [
      ['https://other.example/kv/k?token=secret', 'https://other.example'],
      ['/login?next=secret', 'another of its pages'],
      [undefined, 'another of its pages'],
    ] as const) {
      answer = (_request, response) => response.writeHead(302, location === undefined ? {} : { location }).end();
      for (const call of [() => client().get('k'), () => client().put('k', 1), () => client().health()]) {
        seen.length = 0;
        await expect(call()).rejects.toMatchObject({
          name: 'MeridianRequestError',
          status: 302,
          code: 'NOT_MERIDIAN',
          detail: `${endpoint()} answers as no node of Meridian does: it redirects to ${told}`,
        });
        expect(seen).toHaveLength(1);
      }
    }
  });

  it('hands the tag of an answer back as a condition', async () => {
    answer = (_request, response) => response.setHeader('etag', '"v3.1"').end('{}');
    const { head } = await client().put('k', 1, { ifNoneMatch: '*', idempotencyKey: 'order 7' });
    await client().put('k', 2, { ifMatch: head.etag as string });
    await client().delete('k', { ifMatch: 'v3.1' });
    await client().create('k', 1, { idempotencyKey: 'x' });
    expect(
      seen.map(({ headers }) => [headers['if-none-match'], headers['if-match'], headers['idempotency-key']]),
    ).toEqual([
      ['*', undefined, 'order 7'],
      [undefined, '"v3.1"', undefined],
      [undefined, '"v3.1"', undefined],
      [undefined, undefined, 'x'],
    ]);
  });

  it.each(['', ' x', 'x\ny', 'schl\u00fcssel', 'x'.repeat(257)])(
    'refuses the idempotency key %j before it is sent',
    async (idempotencyKey) => {
      await expect(client().put('k', 1, { idempotencyKey })).rejects.toMatchObject({ code: 'INVALID_PARAMETER' });
      expect(seen).toEqual([]);
    },
  );

  it('hands over the receipt of every answer about a key', async () => {
    answer = ({ method }, response) => {
      response.setHeader('meridian-receipt', `{"rounds":${seen.length}}`);
      if (method === 'DELETE') problem(response, 404, { code: 'KEY_NOT_FOUND', detail: 'no' });
      else response.end('{}');
    };
    const receipts: Receipt[] = [];
    const asking = client({ receipt: (receipt: Receipt) => receipts.push(receipt) });
    await asking.get('k');
    expect((await asking.delete('k')).head.receipt).toEqual({ rounds: 2 });
    expect(receipts).toEqual([{ rounds: 1 }, { rounds: 2 }]);
    expect(seen.map(({ headers }) => headers['meridian-receipt'])).toEqual(['1', '1']);
  });

  it('keeps its connections', async () => {
    const one = client();
    for (let at = 0; at < 20; at++) await one.get('k');
    expect(new Set(seen.map(({ port }) => port)).size).toBeLessThanOrEqual(2);
  });

  it('tells an absent key from a failure', async () => {
    answer = (_request, response) => problem(response, 404, { code: 'KEY_NOT_FOUND', detail: 'no' });
    expect(await client().get('k')).toBeUndefined();
    expect(await client().getRaw('k')).toBeUndefined();
    expect(await client().delete('k')).toEqual({ existed: false, head: { region: 'us-east' } });
    answer = (_request, response) =>
      problem(response, 404, { code: 'NAMESPACE_NOT_FOUND', detail: 'no such namespace' });
    await expect(client().get('k')).rejects.toMatchObject({ code: 'NAMESPACE_NOT_FOUND' });
  });

  it('gives the code, detail and figures of a problem, and its advice', async () => {
    answer = (_request, response) =>
      problem(response, 503, {
        type: 't',
        title: 'x',
        status: 503,
        code: 'QUORUM_UNAVAILABLE',
        detail: 'too few',
        requestId: 'r',
        required: 2,
        reached: 1,
        missingRegions: ['eu'],
      });
    const error = await client()
      .put('k', 1)
      .catch((thrown: MeridianRequestError) => thrown);
    expect(error).toMatchObject({
      status: 503,
      code: 'QUORUM_UNAVAILABLE',
      detail: 'too few',
      retry: 'later',
      figures: { required: 2, reached: 1, missingRegions: ['eu'] },
    });
    expect(Object.keys((error as MeridianRequestError).figures)).not.toContain('requestId');
    answer = (_request, response) => response.writeHead(502).end('<html>');
    await expect(client().get('k')).rejects.toMatchObject({ status: 502, code: 'HTTP_502' });
  });

  it('walks all pages of a list', async () => {
    answer = ({ url }, response) => {
      const cursor = new URL(url, 'http://x').searchParams.get('cursor');
      response.end(cursor === null ? '{"items":[{"key":"a"},{"key":"b"}],"cursor":"2"}' : '{"items":[{"key":"c"}]}');
    };
    const keys = (await gather(client().list({ prefix: 'p', pageSize: 2, values: false }))).map(({ key }) => key);
    expect(keys).toEqual(['a', 'b', 'c']);
    expect(seen.map(({ url }) => url)).toEqual([
      '/kv/?prefix=p&values=false&limit=2',
      '/kv/?prefix=p&values=false&limit=2&cursor=2',
    ]);
  });

  it('reads receipts and raw values', async () => {
    answer = (_request, response) => {
      response.writeHead(200, {
        'content-type': 'image/png',
        'meridian-receipt': '{"region":"us-east"}',
        'meridian-context': 'c',
        etag: '"e"',
      });
      response.end(Buffer.from([0, 255]));
    };
    const raw = await client({ receipt: true }).getRaw('k');
    expect(seen[0]?.headers).toMatchObject({ accept: 'application/octet-stream', 'meridian-receipt': '1' });
    expect(raw).toEqual({
      bytes: new Uint8Array([0, 255]),
      contentType: 'image/png',
      head: { context: 'c', etag: '"e"', region: 'us-east', receipt: { region: 'us-east' } },
    });
  });

  it('sends a read again when its connection breaks, and a write never', async () => {
    answer = (_request, response) => response.destroy();
    await expect(client().get('k')).rejects.toMatchObject({
      name: 'MeridianUnreachableError',
      wasSent: true,
      isTimeout: false,
    });
    expect(seen).toHaveLength(2);
    await expect(client().put('k', 1)).rejects.toMatchObject({ wasSent: true });
    await expect(client().batch([{ op: 'get', key: 'k' }])).rejects.toMatchObject({ wasSent: true });
    expect(seen).toHaveLength(4);
  });

  it('gives up after its timeout', async () => {
    answer = () => {};
    const error = await client()
      .put('k', 1, { timeoutMs: 20 })
      .catch((thrown: MeridianUnreachableError) => thrown);
    expect(error).toMatchObject({ isTimeout: true, wasSent: true });
    expect(seen[0]?.headers['meridian-timeout']).toBe('20');
  });

  it('knows when nothing was sent', async () => {
    const gone = endpoint();
    await new Promise((resolve) => server.close(resolve));
    await expect(new MeridianClient({ endpoint: gone }).put('k', 1)).rejects.toMatchObject({
      wasSent: false,
      message: `${gone} does not answer: nothing listens there`,
    });
  });

  it('shows the health of a node that is not well', async () => {
    answer = (_request, response) =>
      response.writeHead(503).end('{"status":"stopping","node":"us-1","region":"us-east"}');
    expect(await client().health()).toMatchObject({ status: 'stopping', node: 'us-1' });
  });
});

describe('parseExact', () => {
  it('keeps numbers as they were written', () => {
    const text = '{"a":12345678901234567890,"b":[1.0,1e400,-0,2],"__proto__":{"c":0.1}}';
    expect(JSON.stringify(parseExact(text))).toBe(text);
  });
});
