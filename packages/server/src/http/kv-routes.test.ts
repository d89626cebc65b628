import { MeridianError } from '@meridian/core/wire/errors';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { JSON_HEADERS, type Opened, openHttp } from './http.testing.ts';

let opened: Opened;
beforeAll(async () => {
  opened = await openHttp();
});
beforeEach(() => {
  opened.reset();
});

const call = (method: string, url: string, headers: Record<string, string> = {}, payload?: string | Buffer) =>
  opened.call(method, url, { headers, ...(payload === undefined ? {} : { payload }) });
const create = (url: string, envelope: unknown) => call('POST', url, JSON_HEADERS, JSON.stringify(envelope));
const bytesOf = async (url: string) => (await call('GET', url, { accept: 'application/octet-stream' })).rawPayload;

describe('POST /kv/', () => {
  it('creates a value, and says where', async () => {
    const answer = await create('/kv/', { key: 'a/b ü', value: { items: 3 } });
    expect(answer.statusCode).toBe(201);
    expect(answer.headers.location).toBe('/kv/a%2Fb%20%C3%BC');
    expect(answer.json()).toMatchObject({ key: 'a/b ü', context: 'c1', region: 'us-east', expiresAt: null });
    expect((await call('GET', answer.headers.location as string)).json().value).toEqual({ items: 3 });
  });

  it('refuses a key that has a live value', async () => {
    await create('/kv', { key: 'a', value: 1 });
    const answer = await create('/kv', { key: 'a', value: 2 });
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({ code: 'KEY_EXISTS', status: 409, key: 'a' });
  });

  it('takes If-None-Match: *, which is what it does anyway, and no If-Match', async () => {
    const send = (headers: Record<string, string>) =>
      call('POST', '/kv/', { ...JSON_HEADERS, ...headers }, '{"key":"k","value":1}');
    expect((await send({ 'if-match': '"v1"' })).json().code).toBe('CONDITION_FAILED');
    expect((await send({ 'if-none-match': '*' })).statusCode).toBe(201);
  });

  it.each([
    ['{"value":1}', 'INVALID_BODY'],
    ['{"key":1,"value":1}', 'INVALID_BODY'],
    ['{"key":"a"}', 'INVALID_BODY'],
    ['{"key":"","value":1}', 'INVALID_KEY'],
    ['{"key":".","value":1}', 'INVALID_KEY'],
    ['{"key":"..","value":1}', 'INVALID_KEY'],
    ['{"key":"\\ud800","value":1}', 'INVALID_KEY'],
    [`{"key":"${'é'.repeat(513)}","value":1}`, 'INVALID_KEY'],
    ['{"key":"a","value":1,"extra":true}', 'INVALID_BODY'],
    ['{"key":"a","value":1,"__proto__":{}}', 'INVALID_BODY'],
    ['{"key":"a","value":1,"value":2}', 'INVALID_BODY'],
    ['{"key":"a","value":1', 'INVALID_BODY'],
    ['[]', 'INVALID_BODY'],
    ['null', 'INVALID_BODY'],
    ['', 'INVALID_BODY'],
    ['{"key":"a","value":1,"ttl":"5"}', 'INVALID_BODY'],
    ['{"key":"a","value":1,"ttl":0}', 'INVALID_BODY'],
    ['{"key":"a","value":1,"ttl":1.5}', 'INVALID_BODY'],
    ['{"key":"a","value":1,"ttl":1e300}', 'INVALID_BODY'],
    [`{"key":"a","value":${'['.repeat(201)}${']'.repeat(201)}}`, 'INVALID_BODY'],
  ])('refuses %s', async (body, code) => {
    const answer = await call('POST', '/kv/', JSON_HEADERS, body);
    expect([answer.statusCode, answer.json().code]).toEqual([400, code]);
    expect(opened.service.calls).toEqual([]);
  });

  it('takes JSON only', async () => {
    for (const type of ['text/plain', 'application/json; charset=utf-16', 'application/jsonx', 'nonsense', '']) {
      const answer = await call('POST', '/kv/', { 'content-type': type }, '{"key":"a","value":1}');
      expect([answer.statusCode, answer.json().code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
    }
    expect(
      (await call('POST', '/kv/', { 'content-type': 'Application/JSON; Charset="UTF-8"' }, '{"key":"a","value":1}'))
        .statusCode,
    ).toBe(201);
  });
});

describe('PUT /kv/{key}', () => {
  it('creates, then replaces', async () => {
    expect((await opened.put('/kv/a', { value: 1 })).statusCode).toBe(201);
    const answer = await opened.put('/kv/a/', { value: 2 });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      etag: '"v2"',
      'meridian-context': 'c2',
      'meridian-session': 's2',
      'meridian-region': 'us-east',
    });
    expect(answer.headers['meridian-receipt']).toBeUndefined();
  });

  it.each([
    '{"__proto__":{"a":1},"b":2}',
    '123456789012345678901234567890.10',
    '"\\u00e9é"',
    '{"a":1,"a":2}',
    '[ 1 ,\n2 ]',
    'null',
    'false',
    '""',
  ])('gives the JSON value %s back as it was sent', async (value) => {
    await call('PUT', '/kv/a', JSON_HEADERS, `{"value": ${value} }`);
    expect((await bytesOf('/kv/a')).toString()).toBe(value);
    expect((await call('GET', '/kv/a')).payload).toContain(`"value":${value},`);
  });

  it('keeps any other body byte for byte, with its type', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
    expect((await call('PUT', '/kv/a', { 'content-type': 'image/png' }, bytes)).statusCode).toBe(201);
    const raw = await call('GET', '/kv/a?raw');
    expect(raw.rawPayload.equals(bytes)).toBe(true);
    expect(raw.headers).toMatchObject({
      'content-type': 'image/png',
      'x-content-type-options': 'nosniff',
      'content-length': '256',
    });
    const envelope = await call('GET', '/kv/a');
    expect(envelope.json()).toMatchObject({
      value: bytes.toString('base64'),
      encoding: 'base64',
      contentType: 'image/png',
    });
  });

  it('takes a body without a type as bytes, and an empty one as the empty value', async () => {
    await call('PUT', '/kv/a', {}, Buffer.from('{"value":1}'));
    expect((await call('GET', '/kv/a?raw=1')).headers['content-type']).toBe('application/octet-stream');
    await call('PUT', '/kv/b');
    await call('PUT', '/kv/c', { 'content-type': 'text/plain' }, '');
    expect((await call('GET', '/kv/b')).json()).toMatchObject({
      value: '',
      encoding: 'base64',
      contentType: 'application/octet-stream',
    });
    expect((await call('GET', '/kv/c')).json()).toMatchObject({
      value: '',
      encoding: 'base64',
      contentType: 'text/plain',
    });
  });

  it('takes an envelope of a value that is not JSON, as GET gives it', async () => {
    const envelope = {
      value: Buffer.from([0, 255, 10]).toString('base64'),
      encoding: 'base64',
      contentType: 'image/png',
      ttl: 60,
    };
    expect((await opened.put('/kv/a', envelope)).statusCode).toBe(201);
    expect([...(await bytesOf('/kv/a'))]).toEqual([0, 255, 10]);
    expect((await call('GET', '/kv/a?raw')).headers['content-type']).toBe('image/png');
  });

  it.each([
    { value: 'no base64!', encoding: 'base64' },
    { value: 'AAA', encoding: 'base64' },
    { value: 5, encoding: 'base64' },
    { value: 'AAAA', encoding: 'hex' },
    { value: 'AAAA', contentType: 'image/png' },
    { value: 'AAAA', encoding: 'base64', contentType: 'application/json' },
    { value: 'AAAA', encoding: 'base64', contentType: 'a\r\nb: c' },
  ])('refuses the envelope %j', async (envelope) => {
    expect((await opened.put('/kv/a', envelope)).json().code).toBe('INVALID_BODY');
  });

  it('hands ttl over from envelope and query', async () => {
    const before = Date.now();
    const inSeconds = (answer: { json(): { expiresAt: string } }) =>
      (Date.parse(answer.json().expiresAt) - before) / 1000;
    expect(inSeconds(await opened.put('/kv/a', { value: 1, ttl: 100 }))).toBeCloseTo(100, -1);
    expect(inSeconds(await call('PUT', '/kv/b?ttl=50', { 'content-type': 'text/plain' }, 'x'))).toBeCloseTo(50, -1);
    expect((await opened.put('/kv/a?ttl=7', { value: 1, ttl: 100 })).json().code).toBe('INVALID_PARAMETER');
    const { expiresAt } = (await call('GET', '/kv/b')).json();
    expect(expiresAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it('refuses types that it could not give back', async () => {
    const send = (type: string) => call('PUT', '/kv/a', { 'content-type': type }, 'x');
    expect((await send(`text/${'x'.repeat(200)}`)).statusCode).toBe(415);
    expect((await send('text/plain; a="é"')).statusCode).toBe(415);
    expect(
      (await call('PUT', '/kv/a', { 'content-type': 'text/plain', 'content-encoding': 'gzip' }, 'x')).statusCode,
    ).toBe(415);
  });

  it('writes above the context it is given, and shows what was concurrent', async () => {
    await opened.put('/kv/cart', { value: 0 });
    const { context } = (await call('GET', '/kv/cart')).json();
    await opened.put('/kv/cart', { value: { items: 2 } }, { 'meridian-context': context });
    await opened.put('/kv/cart', { value: { items: 3 } }, { 'meridian-context': context });
    const shown = (await call('GET', '/kv/cart')).json();
    expect(shown).toMatchObject({ value: { items: 3 }, conflict: true, context: 'c3' });
    expect(shown.siblings.map((sibling: { value: unknown }) => sibling.value)).toEqual([{ items: 3 }, { items: 2 }]);
    expect(Object.keys(shown.siblings[0]).sort()).toEqual(['region', 'time', 'value']);
    await opened.put('/kv/cart', { value: 5 }, { 'meridian-context': 'c3' });
    const healed = (await call('GET', '/kv/cart')).json();
    expect(healed).toMatchObject({ value: 5, conflict: false });
    expect(healed.siblings).toBeUndefined();
  });

  it('passes errors about tokens on', async () => {
    expect((await opened.put('/kv/a', { value: 1 }, { 'meridian-context': 'forged' })).json().code).toBe(
      'INVALID_CONTEXT',
    );
    expect((await opened.put('/kv/a', { value: 1 }, { 'meridian-session': 'forged' })).json().code).toBe(
      'INVALID_SESSION',
    );
  });

  it('takes conditions and idempotency keys in strong namespaces only', async () => {
    for (const header of ['if-match', 'if-none-match', 'idempotency-key']) {
      const put = await opened.put('/kv/a', { value: 1 }, { [header]: '*' });
      expect([put.statusCode, put.json().code]).toEqual([409, 'CONDITION_NEEDS_STRONG_NAMESPACE']);
      expect((await call('DELETE', '/kv/a', { [header]: '"v1"' })).json().code).toBe(
        'CONDITION_NEEDS_STRONG_NAMESPACE',
      );
      expect((await call('DELETE', '/namespaces/none/kv/a', { [header]: '"v1"' })).json().code).toBe(
        'NAMESPACE_NOT_FOUND',
      );
    }
    expect((await call('GET', '/kv/a')).statusCode).toBe(404);
  });
});

describe('conditions in a namespace of mode strong', () => {
  const path = '/namespaces/exact/kv/a';
  beforeEach(() => call('PUT', '/namespaces/exact', JSON_HEADERS, '{"mode":"strong"}'));
  const put = (value: unknown, headers: Record<string, string> = {}) => opened.put(path, { value }, headers);
  const remove = (headers: Record<string, string> = {}) => call('DELETE', path, headers);
  const valueNow = async () => (await call('GET', path)).json().value;
  const refused = (answer: { statusCode: number; json(): { code: string } }) => [answer.statusCode, answer.json().code];

  it('let a value be replaced by who has seen its tag, and by nobody else', async () => {
    const first = await put(1);
    const tag = first.headers.etag as string;
    expect((await call('GET', path)).headers.etag).toBe(tag);
    const second = await put(2, { 'if-match': tag });
    expect([second.statusCode, second.headers.etag === tag]).toEqual([200, false]);
    expect(refused(await put(3, { 'if-match': tag }))).toEqual([412, 'CONDITION_FAILED']);
    expect(await valueNow()).toBe(2);
    expect((await put(4, { 'if-match': `"none", ${second.headers.etag}` })).statusCode).toBe(200);
  });

  it('let a value be created once', async () => {
    expect((await put(1, { 'if-none-match': '*' })).statusCode).toBe(201);
    expect(refused(await put(2, { 'if-none-match': '*' }))).toEqual([412, 'CONDITION_FAILED']);
    expect(refused(await create('/namespaces/exact/kv/', { key: 'a', value: 3 }))).toEqual([409, 'KEY_EXISTS']);
    expect(await valueNow()).toBe(1);
  });

  it('let a value be replaced where there is one', async () => {
    expect(refused(await put(1, { 'if-match': '*' }))).toEqual([412, 'CONDITION_FAILED']);
    await put(1);
    expect((await put(2, { 'if-match': '*' })).statusCode).toBe(200);
  });

  it('let a value be deleted by who has seen its tag', async () => {
    const { etag } = (await put(1)).headers;
    await put(2);
    expect(refused(await remove({ 'if-match': etag as string }))).toEqual([412, 'CONDITION_FAILED']);
    expect((await remove({ 'if-match': (await call('GET', path)).headers.etag as string })).statusCode).toBe(204);
    expect((await call('GET', path)).statusCode).toBe(404);
  });

  it('answer a retry under its idempotency key as the first time, and apply it once', async () => {
    const first = await put(1, { 'idempotency-key': 'order-7' });
    await put(2);
    const again = await put(1, { 'idempotency-key': 'order-7' });
    expect([first.statusCode, again.statusCode]).toEqual([201, 201]);
    expect(again.payload).toBe(first.payload);
    expect(await valueNow()).toBe(2);
    const headers = { ...JSON_HEADERS, 'idempotency-key': 'order-8' };
    const made = await call('POST', '/namespaces/exact/kv/', headers, '{"key":"b","value":1}');
    const madeAgain = await call('POST', '/namespaces/exact/kv/', headers, '{"key":"b","value":1}');
    expect([made.statusCode, madeAgain.statusCode]).toEqual([201, 201]);
    expect(madeAgain.headers.location).toBe('/namespaces/exact/kv/b');
  });

  it('reach the service as they were sent, from writes alone', async () => {
    const tags = 'W/"x",  "y"';
    await put(1, { 'if-match': tags, 'idempotency-key': 'order-7' });
    await remove({ 'if-none-match': '*' });
    await call('GET', path, { 'if-match': tags });
    await create('/namespaces/exact/kv/', { key: 'b', value: 1 });
    expect(opened.service.calls.map(({ options }) => options.conditions)).toEqual([
      { ifMatch: tags, ifNoneMatch: undefined, idempotencyKey: 'order-7' },
      { ifMatch: undefined, ifNoneMatch: '*', idempotencyKey: undefined },
      undefined,
      undefined,
    ]);
  });

  it.each(['', 'x'.repeat(257)])('refuse the idempotency key %j', async (key) => {
    expect((await put(1, { 'idempotency-key': key })).json().code).toBe('INVALID_PARAMETER');
    expect(opened.service.calls).toEqual([]);
  });
});

describe('GET /kv/{key}', () => {
  it('answers the envelope, in the order and with the headers of the contract', async () => {
    await opened.put('/kv/cart:7', { value: { items: 3 } });
    const answer = await call('GET', '/kv/cart:7');
    expect(answer.statusCode).toBe(200);
    expect(answer.payload).toMatch(
      /^{"key":"cart:7","value":{"items":3},"context":"c1","time":"[^"]+Z","region":"us-east","conflict":false,"expiresAt":null}$/,
    );
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      etag: '"v1"',
      'meridian-context': 'c1',
      'meridian-session': 's1',
      'meridian-region': 'us-east',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('answers with no value, but with its context, where there is none', async () => {
    await opened.put('/kv/a', { value: 1 });
    await call('DELETE', '/kv/a');
    const answer = await call('GET', '/kv/a');
    expect([answer.statusCode, answer.json().code]).toEqual([404, 'KEY_NOT_FOUND']);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/problem+json',
      'meridian-context': 'c2',
      'meridian-session': 's2',
    });
  });

  it('gives a receipt where it is asked for one', async () => {
    await opened.put('/kv/a', { value: 1 });
    const receipt = JSON.parse(
      (await call('GET', '/kv/a?consistency=quorum', { 'meridian-receipt': '1' })).headers[
        'meridian-receipt'
      ] as string,
    );
    expect(receipt).toMatchObject({ region: 'us-east', store: 'us-1.abc', level: 'quorum', replicasAsked: 1 });
    expect((await call('GET', '/kv/a', { 'meridian-receipt': '0' })).headers['meridian-receipt']).toBeUndefined();
  });

  it('answers 304 to the tag that the value still has', async () => {
    await opened.put('/kv/a', { value: 1 });
    for (const tag of ['"v1"', 'W/"v1"', '"x", "v1"', '*']) {
      const answer = await call('GET', '/kv/a', { 'if-none-match': tag });
      expect([answer.statusCode, answer.payload, answer.headers.etag, answer.headers.vary]).toEqual([
        304,
        '',
        '"v1"',
        'Accept',
      ]);
    }
    expect((await call('GET', '/kv/a', { 'if-none-match': '"v2"' })).statusCode).toBe(200);
    expect((await call('GET', '/kv/a', { 'if-match': '"v2"' })).json().code).toBe('CONDITION_FAILED');
    expect((await call('GET', '/kv/a', { 'if-match': '"v1"' })).statusCode).toBe(200);
  });

  it('chooses the form by Accept', async () => {
    await opened.put('/kv/a', { value: 1 });
    const form = async (accept: string) => (await call('GET', '/kv/a', { accept })).payload.slice(0, 1);
    for (const accept of [
      '*/*',
      'application/json',
      'text/html,*/*;q=0.8',
      'application/*',
      'application/json, application/octet-stream',
    ])
      expect(await form(accept)).toBe('{');
    for (const accept of [
      'application/octet-stream',
      'application/octet-stream, application/json;q=0.5',
      'text/plain, application/octet-stream',
    ])
      expect(await form(accept)).toBe('1');
    expect((await call('GET', '/kv/a', { accept: 'image/png' })).statusCode).toBe(406);
  });

  it('lets no browser run a raw value', async () => {
    await call('PUT', '/kv/a', { 'content-type': 'text/html' }, '<script>1</script>');
    const { headers } = await call('GET', '/kv/a?raw');
    expect(headers).toMatchObject({
      'content-type': 'text/html',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "sandbox; default-src 'none'",
    });
  });

  it('answers HEAD with the headers alone', async () => {
    await opened.put('/kv/a', { value: 1 });
    const [head, get] = [await call('HEAD', '/kv/a'), await call('GET', '/kv/a')];
    expect([head.statusCode, head.payload]).toEqual([200, '']);
    expect(head.headers['content-length']).toBe(get.headers['content-length']);
    expect(head.headers.etag).toBe('"v1"');
    expect((await call('HEAD', '/kv/none')).statusCode).toBe(404);
  });

  it('gives large values back whole', async () => {
    const text = 'é'.repeat(100_000);
    await opened.put('/kv/a', { value: text });
    expect((await call('GET', '/kv/a')).json().value).toBe(text);
    const bytes = Buffer.alloc(300_000, 7);
    await call('PUT', '/kv/b', { 'content-type': 'a/b' }, bytes);
    expect((await bytesOf('/kv/b')).equals(bytes)).toBe(true);
  });
});

describe('DELETE /kv/{key}', () => {
  it('deletes, and says where there was nothing', async () => {
    await opened.put('/kv/a', { value: 1 });
    const answer = await call('DELETE', '/kv/a');
    expect([answer.statusCode, answer.payload, answer.headers['meridian-context']]).toEqual([204, '', 'c2']);
    const again = await call('DELETE', '/kv/a');
    expect([again.statusCode, again.json().code, again.headers['meridian-context']]).toEqual([
      404,
      'KEY_NOT_FOUND',
      'c2',
    ]);
  });
});

describe('keys in paths', () => {
  it.each([
    'a/b',
    'a b',
    'ключ',
    '😀',
    '%',
    '%2F',
    'a%41',
    'a?b#c',
    'a+b&c=d;e',
    '\u0000',
    '...',
    'batch',
    '-',
    "it's",
    'a/',
    '/',
    '\\',
    'a:b@c',
  ])('keeps %j', async (key) => {
    const path = `/kv/${encodeURIComponent(key)}`;
    expect((await opened.put(path, { value: 1 })).json().key).toBe(key);
    expect((await call('GET', `${path}/`)).json().key).toBe(key);
    expect(opened.service.calls.map((entry) => entry.key)).toEqual([key, key]);
  });

  it.each(['%FF', '%C3', '%ED%A0%80', '%zz', '%', '%C0%AF', `${'x'.repeat(1025)}`, '%E2%82%AC'.repeat(342)])(
    'refuses %s',
    async (path) => {
      for (const base of ['/kv/', '/namespaces/default/kv/']) {
        const answer = await call('GET', base + path);
        expect([answer.statusCode, answer.json().code]).toEqual([400, 'INVALID_KEY']);
      }
    },
  );

  it('takes 1,024 bytes', async () => {
    expect((await opened.put(`/kv/${'x'.repeat(1024)}`, { value: 1 })).statusCode).toBe(201);
    expect((await opened.put(`/kv/${'%C3%A9'.repeat(512)}`, { value: 1 })).statusCode).toBe(201);
  });

  it('has no path with a bare slash in the key', async () => {
    const answer = await call('GET', '/kv/a/b');
    expect([answer.statusCode, answer.json().code]).toEqual([404, 'NO_SUCH_PATH']);
  });
});

describe('options of an operation', () => {
  it('reach the service', async () => {
    await call('GET', '/kv/a?consistency=session', {
      'meridian-session': 's4',
      'meridian-timeout': '250',
      'x-request-id': 'order-7',
    });
    await call('GET', '/kv/a/?consistency=quorum');
    const [first, second] = opened.service.calls.map((entry) => entry.options);
    expect(first).toEqual({
      requestId: 'order-7',
      level: 'session',
      isDefaultLevel: false,
      timeoutMs: 250,
      session: 's4',
    });
    expect(second).toMatchObject({ level: 'quorum', timeoutMs: 5000, session: undefined });
  });

  it('are refused where they are impossible', async () => {
    const codeOf = async (url: string, headers: Record<string, string> = {}) =>
      (await call('GET', url, headers)).json().code;
    for (const timeout of ['0', '30001', '-1', 'soon', '1.5', '0x10', ''])
      expect(await codeOf('/kv/a', { 'meridian-timeout': timeout })).toBe('INVALID_PARAMETER');
    expect(await codeOf('/kv/a', { 'meridian-receipt': 'yes' })).toBe('INVALID_PARAMETER');
    for (const query of [
      'consistency=linear',
      'consistency=',
      'consistency=quorum&consistency=session',
      'other=1',
      'raw=no',
      '%FF=1',
      'consistency=%zz',
      '__proto__=1',
    ]) {
      expect(await codeOf(`/kv/a?${query}`)).toBe('INVALID_PARAMETER');
    }
    expect(opened.service.calls).toEqual([]);
  });

  it('say whether the client named the level', async () => {
    await call('GET', '/kv/a');
    await opened.put('/kv/a?consistency=eventual', { value: 1 });
    await opened.put('/kv/a?consistency=strong', { value: 2 });
    expect(opened.service.calls.map(({ options }) => [options.level, options.isDefaultLevel])).toEqual([
      ['eventual', true],
      ['eventual', false],
      ['strong', false],
    ]);
  });
});

describe('namespaces in paths', () => {
  it('keep values apart', async () => {
    await call('PUT', '/namespaces/shop', JSON_HEADERS, '{}');
    await opened.put('/namespaces/shop/kv/a', { value: 1 });
    expect((await call('GET', '/kv/a')).statusCode).toBe(404);
    expect((await call('GET', '/namespaces/shop/kv/a/')).json().value).toBe(1);
    const created = await create('/namespaces/shop/kv/', { key: 'b/c', value: 1 });
    expect(created.headers.location).toBe('/namespaces/shop/kv/b%2Fc');
    expect((await call('GET', '/namespaces/none/kv/a')).json().code).toBe('NAMESPACE_NOT_FOUND');
  });
});

describe('failures', () => {
  it('show their figures, and when to try again', async () => {
    opened.service.failure = new MeridianError('QUORUM_UNAVAILABLE', 'Required 2, reached 1.', {
      required: 2,
      reached: 1,
      missingRegions: ['eu-central'],
    });
    const answer = await call('GET', '/kv/a', { 'x-request-id': 'r-1' });
    expect(answer.statusCode).toBe(503);
    expect(answer.headers).toMatchObject({
      'retry-after': '1',
      'content-type': 'application/problem+json',
      'x-request-id': 'r-1',
    });
    expect(answer.json()).toEqual({
      type: 'urn:meridian:error:QUORUM_UNAVAILABLE',
      title: 'Too few replicas can be reached; nothing was written',
      status: 503,
      code: 'QUORUM_UNAVAILABLE',
      detail: 'Required 2, reached 1.',
      required: 2,
      reached: 1,
      missingRegions: ['eu-central'],
      requestId: 'r-1',
    });
  });

  it('that nobody foresaw keep their text in the log', async () => {
    opened.service.failure = new Error('secret at /var/lib');
    const answer = await call('GET', '/kv/a');
    expect([answer.statusCode, answer.json().code]).toEqual([500, 'INTERNAL']);
    expect(answer.payload).not.toContain('secret');
    const line = opened.logged.find((entry) => entry.level === 'error');
    expect(line?.fields.requestId).toBe(answer.json().requestId);
    expect(line?.fields.err).toEqual(new Error('secret at /var/lib'));
  });

  it('are told by an id of the node where the client sends none that is sane', async () => {
    const idOf = async (id: string) => (await call('GET', '/kv/a', { 'x-request-id': id })).headers['x-request-id'];
    expect(await idOf('abc-1')).toBe('abc-1');
    for (const id of ['', 'a b', 'x'.repeat(129), '"']) expect(await idOf(id)).not.toBe(id);
  });
});
