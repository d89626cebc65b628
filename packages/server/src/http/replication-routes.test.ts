import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { JSON_HEADERS, type Opened, openHttp } from './http.testing.ts';

let opened: Opened;
beforeAll(async () => {
  opened = await openHttp();
});
beforeEach(() => {
  opened.reset();
});

const post = (url: string, body?: unknown) =>
  opened.call(
    'POST',
    url,
    body === undefined
      ? {}
      : { headers: JSON_HEADERS, payload: typeof body === 'string' ? body : JSON.stringify(body) },
  );

const sibling = {
  store: 'us-1.abc',
  sequence: 4,
  timeMs: 1_700_000_000_000,
  body: 'MQ==',
  contentType: 'application/json',
  expiresAtMs: null,
};
const record = { namespace: 'default', key: 'a', vector: { 'us-1.abc': 4 }, siblings: [sibling] };
const withSibling = (change: object) => ({ ...record, siblings: [{ ...sibling, ...change }] });

describe('POST /replicate/', () => {
  it('hands records to the service', async () => {
    const tombstone = withSibling({ body: null, contentType: '' });
    const answer = await post('/replicate', { records: [record, tombstone] });
    expect([answer.statusCode, answer.json()]).toEqual([200, { applied: 2, ignored: 0, concurrent: 0 }]);
    expect(JSON.parse(JSON.stringify(opened.service.received))).toEqual([record, tombstone]);
  });

  it('gives back by /replicate/changes what it takes', async () => {
    await post('/replicate/', { records: [record, { ...record, key: 'b' }] });
    const page = (await opened.call('GET', '/replicate/changes?since=0&limit=1')).json();
    expect(page).toMatchObject({ store: 'us-1.abc', upTo: 1, isComplete: false, changes: [{ sequence: 1, record }] });
    expect(
      (await post('/replicate/', { records: page.changes.map((change: { record: unknown }) => change.record) }))
        .statusCode,
    ).toBe(200);
    expect((await opened.call('GET', '/replicate/changes/')).json().isComplete).toBe(true);
  });

  it.each([
    [{ ...record, key: '' }, 'INVALID_KEY'],
    [{ ...record, namespace: '' }, 'INVALID_BODY'],
    [{ ...record, vector: { 'us-1.abc': 3 } }, 'INVALID_BODY'],
    [{ ...record, vector: { 'us-1.abc': 0 } }, 'INVALID_BODY'],
    [{ ...record, vector: { 'us-1.abc': 1.5 } }, 'INVALID_BODY'],
    [{ ...record, vector: { 'us-1.abc': 2 ** 53 } }, 'INVALID_BODY'],
    [{ ...record, vector: { 'a b c': 4 } }, 'INVALID_BODY'],
    [{ ...record, vector: {} }, 'INVALID_BODY'],
    [{ ...record, more: 1 }, 'INVALID_BODY'],
    [withSibling({ store: 'eu' }), 'INVALID_BODY'],
    [withSibling({ sequence: 5 }), 'INVALID_BODY'],
    [withSibling({ sequence: '4' }), 'INVALID_BODY'],
    [withSibling({ timeMs: 2 ** 48 }), 'INVALID_BODY'],
    [withSibling({ body: 'MQ' }), 'INVALID_BODY'],
    [withSibling({ body: 'not base64' }), 'INVALID_BODY'],
    [withSibling({ body: Buffer.from('{"a":').toString('base64') }), 'INVALID_BODY'],
    [withSibling({ contentType: 'a\nb' }), 'INVALID_BODY'],
    [withSibling({ store: '__proto__' }), 'INVALID_BODY'],
    ['record', 'INVALID_BODY'],
  ])('refuses %j', async (bad, code) => {
    expect((await post('/replicate/', { records: [record, bad] })).json().code).toBe(code);
    expect(opened.service.received).toEqual([]);
  });

  it('takes at most 1,000 records', async () => {
    const records = (count: number) => ({
      records: Array.from({ length: count }, (_, at) => ({ ...record, key: `k${at}` })),
    });
    expect((await post('/replicate/', records(1000))).json().applied).toBe(1000);
    expect((await post('/replicate/', records(1001))).json().code).toBe('INVALID_BODY');
  });
});

describe('POST /replicate/sync', () => {
  it('takes a region, a namespace, both or none, with or without a body', async () => {
    for (const body of [undefined, {}, { region: 'eu-central' }, { namespace: 'default' }]) {
      const answer = await post('/replicate/sync/', body);
      expect([answer.statusCode, answer.json().partitionsCompared]).toEqual([200, 1024]);
    }
    expect(opened.service.calls.map((entry) => [entry.key, entry.namespace])).toEqual([
      ['', ''],
      ['', ''],
      ['eu-central', ''],
      ['', 'default'],
    ]);
  });

  it('refuses a region that is not there', async () => {
    expect((await post('/replicate/sync', { region: 'moon' })).json()).toMatchObject({
      code: 'INVALID_BODY',
      regions: ['us-east', 'eu-central'],
    });
    expect((await post('/replicate/sync', 'null')).json().code).toBe('INVALID_BODY');
  });
});

describe('GET /replicate/changes', () => {
  it.each(['since=-1', 'since=x', 'limit=0', 'limit=1001', 'since=9007199254740992', 'after=1'])(
    'refuses %s',
    async (query) => {
      expect((await opened.call('GET', `/replicate/changes?${query}`)).json().code).toBe('INVALID_PARAMETER');
    },
  );

  it('refuses an unknown namespace', async () => {
    expect((await opened.call('GET', '/replicate/changes?namespace=none')).json().code).toBe('NAMESPACE_NOT_FOUND');
  });
});
