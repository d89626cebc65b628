import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Opened, openHttp } from './http.testing.ts';

let opened: Opened;
beforeAll(async () => {
  opened = await openHttp();
});
beforeEach(async () => {
  opened.reset();
  for (const key of ['a', 'b/1', 'b/2', 'c', 'ü', '\uffff', '😀'])
    await opened.put(`/kv/${encodeURIComponent(key)}`, { value: { at: key } });
});

const page = async (query: string) => (await opened.call('GET', `/kv/?${query}`)).json();
const keysOf = (body: { items: { key: string }[] }) => body.items.map((item) => item.key);

describe('GET /kv/', () => {
  it('lists envelopes in key order', async () => {
    const answer = await opened.call('GET', '/kv');
    expect(keysOf(answer.json())).toEqual(['a', 'b/1', 'b/2', 'c', 'ü', '\uffff', '😀']);
    expect(answer.json().cursor).toBeUndefined();
    expect(answer.json().items[0]).toEqual({
      key: 'a',
      value: { at: 'a' },
      context: 'c1',
      time: expect.any(String),
      region: 'us-east',
      conflict: false,
      expiresAt: null,
    });
    expect(answer.headers).toMatchObject({
      'meridian-session': 's7',
      'meridian-region': 'us-east',
      'cache-control': 'no-store',
    });
  });

  it('takes prefix, start and end, percent-encoded or with a plus for a space', async () => {
    expect(keysOf(await page('prefix=b%2F'))).toEqual(['b/1', 'b/2']);
    expect(keysOf(await page('prefix=b/&start=b/2'))).toEqual(['b/2']);
    expect(keysOf(await page('start=b&end=c'))).toEqual(['b/1', 'b/2']);
    expect(keysOf(await page('start=b&end='))).toEqual(keysOf(await page('start=b')));
    expect(keysOf(await page('start=&end='))).toEqual(keysOf(await page('')));
    expect(keysOf(await page('prefix=%C3%BC'))).toEqual(['ü']);
    await opened.put('/kv/x%20y', { value: 1 });
    expect(keysOf(await page('prefix=x+y'))).toEqual(['x y']);
  });

  it('pages by its cursor until there is none', async () => {
    const seen: string[] = [];
    let cursor = '';
    do {
      const body = await page(`limit=2${cursor}`);
      seen.push(...keysOf(body));
      cursor = body.cursor === undefined ? '' : `&cursor=${body.cursor}`;
    } while (cursor !== '');
    expect(seen).toEqual(['a', 'b/1', 'b/2', 'c', 'ü', '\uffff', '😀']);
  });

  it('leaves the values out where it is asked to', async () => {
    await opened.call('PUT', '/kv/a', { headers: { 'content-type': 'image/png' }, payload: 'x' });
    const [item] = (await page('values=false&limit=1')).items;
    expect(item).toEqual({
      key: 'a',
      contentType: 'image/png',
      context: expect.any(String),
      time: expect.any(String),
      region: 'us-east',
      conflict: false,
      expiresAt: null,
    });
  });

  it('shows siblings', async () => {
    await opened.put('/kv/a', { value: 2 }, { 'meridian-context': 'c1' });
    await opened.put('/kv/a', { value: 3 }, { 'meridian-context': 'c1' });
    const [item] = (await page('limit=1')).items;
    expect(item).toMatchObject({ value: 3, conflict: true, siblings: [{ value: 3 }, { value: 2 }] });
  });

  it('gives a receipt where it is asked for one', async () => {
    const { headers } = await opened.call('GET', '/kv/', { headers: { 'meridian-receipt': '1' } });
    expect(JSON.parse(headers['meridian-receipt'] as string).level).toBe('eventual');
  });

  it.each([
    ['limit=0', 'INVALID_PARAMETER'],
    ['limit=1001', 'INVALID_PARAMETER'],
    ['limit=ten', 'INVALID_PARAMETER'],
    ['limit=', 'INVALID_PARAMETER'],
    ['limit=1&limit=2', 'INVALID_PARAMETER'],
    ['values=yes', 'INVALID_PARAMETER'],
    ['reverse=true', 'INVALID_PARAMETER'],
    ['prefix=%FF', 'INVALID_PARAMETER'],
    [`prefix=${'x'.repeat(1025)}`, 'INVALID_PARAMETER'],
    ['cursor=forged', 'INVALID_CURSOR'],
    ['cursor=', 'INVALID_CURSOR'],
  ])('refuses %s', async (query, code) => {
    const answer = await opened.call('GET', `/kv/?${query}`);
    expect([answer.statusCode, answer.json().code]).toEqual([400, code]);
  });

  it('knows its namespace', async () => {
    expect((await opened.call('GET', '/namespaces/default/kv/?limit=1')).json().items).toHaveLength(1);
    expect((await opened.call('GET', '/namespaces/none/kv')).json().code).toBe('NAMESPACE_NOT_FOUND');
  });
});
