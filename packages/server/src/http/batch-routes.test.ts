import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { JSON_HEADERS, type Opened, openHttp } from './http.testing.ts';
import { batchAnswerBytesMax, HTTP_LIMITS } from './limits.ts';

let opened: Opened;
beforeAll(async () => {
  opened = await openHttp();
});
beforeEach(() => {
  opened.reset();
});

const post = (body: string | object, url = '/kv/batch', headers = {}) =>
  opened.call('POST', url, {
    headers: { ...JSON_HEADERS, ...headers },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
  });
const statuses = (body: { results: { status: number }[] }) => body.results.map((result) => result.status);

describe('POST /kv/batch', () => {
  it('answers each operation as the call alone would, in order', async () => {
    await opened.put('/kv/gone', { value: 0 });
    const answer = await post({
      operations: [
        { op: 'put', key: 'a', value: { items: 1 } },
        { op: 'get', key: 'a' },
        { op: 'put', key: 'a', value: 2 },
        { op: 'delete', key: 'gone' },
        { op: 'get', key: 'gone' },
        { op: 'put', key: 'bytes', value: 'AP8=', encoding: 'base64', contentType: 'image/png' },
      ],
    });
    expect(answer.statusCode).toBe(200);
    const { results } = answer.json();
    expect(statuses(answer.json())).toEqual([201, 200, 200, 204, 404, 201]);
    expect(results[0]).toMatchObject({ key: 'a', context: expect.any(String), expiresAt: null });
    expect(results[1]).toMatchObject({ key: 'a', value: { items: 1 }, conflict: false });
    expect(results[4]).toMatchObject({ code: 'KEY_NOT_FOUND', key: 'gone', context: results[3].context });
    expect(answer.headers).toMatchObject({ 'meridian-session': 's5', 'meridian-region': 'us-east' });
    expect([...(await opened.call('GET', '/kv/bytes?raw')).rawPayload]).toEqual([0, 255]);
  });

  it('keeps values as the bytes that were sent', async () => {
    const answer = await post(
      '{"operations":[{"op":"put","key":"a","value":{"__proto__":1.10, "a":1,"a":2}},{"op":"get","key":"a"}]}',
    );
    expect(answer.payload).toContain('"value":{"__proto__":1.10, "a":1,"a":2},"context"');
  });

  it('lets each operation fail on its own', async () => {
    await opened.put('/kv/a', { value: 1 });
    const answer = await post({
      operations: [
        { op: 'get', key: '..' },
        { op: 'put', key: 'b', value: 1, context: 'forged' },
        { op: 'delete', key: 'none' },
        { op: 'get', key: 'a' },
        { op: 'put', key: 'c', value: 'x', encoding: 'base64' },
      ],
    });
    expect(
      answer.json().results.map((result: { status: number; code?: string }) => result.code ?? result.status),
    ).toEqual(['INVALID_KEY', 'INVALID_CONTEXT', 'KEY_NOT_FOUND', 200, 'INVALID_BODY']);
  });

  it('runs operations on one key in order, and others side by side', async () => {
    let open = () => {};
    opened.service.gate = new Promise((resolve) => {
      open = resolve;
    });
    const answering = post({
      operations: [
        { op: 'put', key: 'a', value: 1 },
        { op: 'get', key: 'b' },
        { op: 'get', key: 'a' },
      ],
    });
    await expect.poll(() => opened.service.calls.length).toBe(2);
    expect(opened.service.calls.map((entry) => `${entry.call} ${entry.key}`)).toEqual(['put a', 'get b']);
    open();
    expect(statuses((await answering).json())).toEqual([201, 404, 200]);
    expect(opened.service.calls[2]?.options.session).toBe('s1');
  });

  it('hides what nobody foresaw', async () => {
    opened.service.failure = new Error('secret');
    const answer = await post({ operations: [{ op: 'get', key: 'a' }] });
    expect(answer.json().results[0]).toMatchObject({ status: 500, code: 'INTERNAL' });
    expect(answer.payload).not.toContain('secret');
    expect(opened.logged.some((line) => line.level === 'error')).toBe(true);
  });

  it('takes none and 1,000 operations, not more', async () => {
    const operations = (count: number) => ({
      operations: Array.from({ length: count }, (_, at) => ({ op: 'get', key: `k${at}` })),
    });
    expect((await post(operations(0))).json()).toEqual({ results: [] });
    expect((await post(operations(1000))).json().results).toHaveLength(1000);
    const answer = await post(operations(1001));
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'INVALID_BODY']);
    expect(opened.service.calls).toHaveLength(1000);
  });

  it.each([
    '{}',
    '[]',
    '{"operations":{}}',
    '{"operations":[1]}',
    '{"operations":[{"op":"patch","key":"a"}]}',
    '{"operations":[{"key":"a"}]}',
    '{"operations":[{"op":"get"}]}',
    '{"operations":[{"op":"get","key":"a","value":1}]}',
    '{"operations":[{"op":"put","key":"a"}]}',
    '{"operations":[{"op":"put","key":"a","value":1,"ttl":-1}]}',
    '{"operations":[],"more":1}',
  ])('refuses %s as a whole', async (body) => {
    const answer = await post(body);
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'INVALID_BODY']);
  });

  it('refuses conditions and unknown namespaces', async () => {
    const body = { operations: [{ op: 'get', key: 'a' }] };
    for (const header of ['if-match', 'if-none-match', 'idempotency-key'])
      expect((await post(body, '/kv/batch/', { [header]: '*' })).json().code).toBe('INVALID_PARAMETER');
    expect((await post(body, '/namespaces/none/kv/batch')).json().code).toBe('NAMESPACE_NOT_FOUND');
    expect((await post(body, '/namespaces/default/kv/batch/')).statusCode).toBe(200);
  });

  it('answers large values whole', async () => {
    const value = 'x'.repeat(50_000);
    await opened.put('/kv/a', { value });
    const { results } = (
      await post({
        operations: [
          { op: 'get', key: 'a' },
          { op: 'get', key: 'none' },
          { op: 'get', key: 'a' },
        ],
      })
    ).json();
    expect(results.map((result: { value?: string }) => result.value?.length)).toEqual([50_000, undefined, 50_000]);
  });
});

describe('the answer of POST /kv/batch', () => {
  const BYTES = 1_500_000;
  const getsOf = (count: number) => Array.from({ length: count }, (_, at) => ({ op: 'get', key: `k${at}` }));
  const fill = async (count: number, type: string) => {
    const payload = Buffer.alloc(BYTES, type.includes('json') ? '1' : 'x');
    for (const { key } of getsOf(count))
      await opened.service.put('default', key, { body: payload, contentType: type }, undefined, OPTIONS);
    opened.service.calls.length = 0;
  };
  const OPTIONS = { requestId: 'r', level: 'eventual', timeoutMs: 1000 } as const;
  const count = (wanted: number, body: { results: { status: number }[] }) =>
    statuses(body).filter((status) => status === wanted).length;

  it.each([
    ['application/json', BYTES],
    ['text/plain', (BYTES / 3) * 4],
  ])('has room for so many values, and leaves the other gets unread: %s', async (type, bytesInAnswer) => {
    await fill(52, type);
    const writes = Array.from({ length: 20 }, (_, at) => ({ op: 'put', key: `new${at}`, value: at }));
    const answer = await post({ operations: [...getsOf(52), ...writes, { op: 'delete', key: 'k51' }] });
    expect(answer.statusCode).toBe(200);
    const bytesMax = batchAnswerBytesMax(HTTP_LIMITS.valueBytesMax);
    const fitting = Math.floor(bytesMax / bytesInAnswer);
    expect([count(200, answer.json()), count(413, answer.json())]).toEqual([fitting, 52 - fitting]);
    expect(statuses(answer.json()).slice(52)).toEqual([...writes.map(() => 201), 204]);
    expect(answer.json().results.find((result: { status: number }) => result.status === 413)).toMatchObject({
      type: 'urn:meridian:error:VALUE_TOO_LARGE',
      code: 'VALUE_TOO_LARGE',
      bytesMax,
      key: expect.stringMatching(/^k\d+$/),
    });
    expect(answer.rawPayload.length).toBeLessThan(bytesMax + 64 * 1024);
    expect(opened.service.calls.filter((entry) => entry.call === 'get').length).toBeLessThanOrEqual(fitting + 8);
  });

  it('has room for one value of any size', async () => {
    const body = Buffer.alloc(HTTP_LIMITS.valueBytesMax, 255);
    await opened.service.put('default', 'a', { body, contentType: 'image/png' }, undefined, OPTIONS);
    const answer = await post({ operations: [{ op: 'get', key: 'a' }] });
    expect(statuses(answer.json())).toEqual([200]);
  });

  it('counts the winner of a conflict twice, as it is written twice', async () => {
    const body = Buffer.alloc(BYTES, '1');
    const get = async () => statuses((await post({ operations: [{ op: 'get', key: 'a' }] })).json());
    const put = () => opened.service.put('default', 'a', { body, contentType: 'application/json' }, 'c0', OPTIONS);
    for (let siblings = 1; siblings <= 6; siblings++) await put();
    expect(await get()).toEqual([200]);
    await put();
    expect(await get()).toEqual([413]);
    expect((await opened.call('GET', '/kv/a')).statusCode).toBe(200);
  });

  it('is made of few reads at a time while values are large, of more while they are small', async () => {
    await fill(40, 'application/json');
    let under = 0;
    let most = 0;
    const { service } = opened;
    const plain = service.get.bind(service);
    service.get = async (...sent) => {
      most = Math.max(most, ++under);
      await new Promise((resolve) => setTimeout(resolve, 1));
      under--;
      return plain(...sent);
    };
    await post({ operations: getsOf(40) });
    expect(most).toBe(8);
    const small = Array.from({ length: 1000 }, (_, at) => ({ op: 'get', key: `none${at}` }));
    expect(statuses((await post({ operations: small })).json())).toEqual(small.map(() => 404));
    expect(most).toBe(32);
  });

  it('keeps the session of a write for the next of its key, past one that failed', async () => {
    const answer = await post({
      operations: [
        { op: 'put', key: 'a', value: 1 },
        { op: 'put', key: 'a', value: '?', encoding: 'base64' },
        { op: 'get', key: 'a' },
      ],
    });
    expect(statuses(answer.json())).toEqual([201, 400, 200]);
    expect(opened.service.calls.at(-1)).toMatchObject({ call: 'get', key: 'a', options: { session: 's1' } });
  });

  it('keeps the session of a write for the next of its key, past a get that found no room', async () => {
    await fill(30, 'application/json');
    const change = (value: number) => ({ op: 'put', key: 'a', value });
    const answer = await post({ operations: [...getsOf(30), change(1), { op: 'get', key: 'a' }, change(2)] });
    expect(statuses(answer.json()).slice(30)).toEqual([201, 413, 200]);
    expect(opened.service.calls.at(-1)).toMatchObject({ call: 'put', key: 'a', options: { session: 's31' } });
  });
});
