import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { JSON_HEADERS, type Opened, openHttp } from './http.testing.ts';

let opened: Opened;
beforeAll(async () => {
  opened = await openHttp();
});
beforeEach(() => {
  opened.reset();
});

const put = (url: string, body: unknown) =>
  opened.call('PUT', url, { headers: JSON_HEADERS, payload: typeof body === 'string' ? body : JSON.stringify(body) });

describe('/namespaces', () => {
  it('are created, changed, shown and dropped', async () => {
    const settings = {
      mode: 'eventual',
      conflict: 'lww',
      placement: { 'us-east': 1 },
      defaultTtl: 60,
      ledger: { keepSeconds: 100 },
    };
    const created = await put('/namespaces/shop', settings);
    expect([created.statusCode, created.json()]).toEqual([201, { name: 'shop', ...settings }]);
    expect((await put('/namespaces/shop/', settings)).statusCode).toBe(200);
    expect((await opened.call('GET', '/namespaces/shop')).json()).toEqual({ name: 'shop', ...settings });
    expect(
      (await opened.call('GET', '/namespaces/')).json().namespaces.map((entry: { name: string }) => entry.name),
    ).toEqual(['default', 'shop']);
    expect((await opened.call('DELETE', '/namespaces/shop')).statusCode).toBe(204);
    expect((await opened.call('GET', '/namespaces/shop')).json().code).toBe('NAMESPACE_NOT_FOUND');
    expect((await opened.call('DELETE', '/namespaces/shop')).statusCode).toBe(404);
  });

  it('take their defaults for what is left out', async () => {
    expect((await put('/namespaces/a', {})).json()).toEqual({
      name: 'a',
      mode: 'eventual',
      conflict: 'siblings',
      placement: 'all',
      defaultTtl: null,
      ledger: { keepSeconds: 3600 },
    });
    expect((await put('/namespaces/b', { defaultTtl: null, ledger: {}, placement: 'all' })).statusCode).toBe(201);
  });

  it('of mode strong are created and shown as such', async () => {
    const answer = await put('/namespaces/a', { mode: 'strong' });
    expect([answer.statusCode, answer.json().mode]).toEqual([201, 'strong']);
    expect((await opened.call('GET', '/namespaces/a')).json().mode).toBe('strong');
  });

  it('refuse a name that the service refuses', async () => {
    expect((await put('/namespaces/%00', {})).json().code).toBe('INVALID_NAMESPACE');
  });
});

describe('/namespaces/{ns}/ledger', () => {
  const hidden = {
    id: 'us-1.abc:4',
    key: 'a',
    hiddenAtMs: 1_700_000_000_123,
    value: {
      body: Buffer.from('{"n":1}'),
      contentType: 'application/json',
      timeMs: 1_600_000_000_000,
      region: null,
      expiresAtMs: null,
    },
  };

  it('lists what a choice hid, and brings it back', async () => {
    opened.service.ledgerItems.push(hidden);
    const { items } = (await opened.call('GET', '/namespaces/default/ledger/?key=a')).json();
    expect(items).toEqual([
      {
        id: 'us-1.abc:4',
        key: 'a',
        value: { n: 1 },
        time: '2020-09-13T12:26:40.000Z',
        region: null,
        expiresAt: null,
        hiddenAt: '2023-11-14T22:13:20.123Z',
      },
    ]);
    const restored = await opened.call('POST', '/namespaces/default/ledger/restore', {
      headers: JSON_HEADERS,
      payload: '{"key":"a","id":"us-1.abc:4"}',
    });
    expect(restored.statusCode).toBe(200);
    expect(restored.headers['meridian-context']).toBe('c1');
    expect((await opened.call('GET', '/kv/a')).json().value).toEqual({ n: 1 });
  });

  it('refuses what is not there or not said', async () => {
    const restore = async (body: string) =>
      (await opened.call('POST', '/namespaces/default/ledger/restore', { headers: JSON_HEADERS, payload: body })).json()
        .code;
    expect(await restore('{"key":"a","id":"x"}')).toBe('LEDGER_ENTRY_NOT_FOUND');
    expect(await restore('{"key":"a"}')).toBe('INVALID_BODY');
    expect(await restore('{"key":"..","id":"x"}')).toBe('INVALID_KEY');
    expect((await opened.call('GET', '/namespaces/default/ledger')).json().code).toBe('INVALID_PARAMETER');
    expect((await opened.call('GET', '/namespaces/default/ledger?key=')).json().code).toBe('INVALID_KEY');
    expect((await opened.call('GET', '/namespaces/none/ledger?key=a')).json().code).toBe('NAMESPACE_NOT_FOUND');
  });
});
