import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { JSON_HEADERS, type Opened, openHttp } from './http.testing.ts';

let opened: Opened;
beforeAll(async () => {
  opened = await openHttp({ withWan: true });
});
beforeEach(() => {
  opened.reset();
});

const get = (url: string) => opened.call('GET', url);

describe('/health', () => {
  it('answers how the node is', async () => {
    const answer = await get('/health/');
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({
      status: 'ok',
      node: 'us-1',
      region: 'us-east',
      store: { engine: 'memory' },
      peers: [{ node: 'eu-1', reachable: true, rttMs: 90, lagMs: null }],
    });
    expect((await get('/health')).statusCode).toBe(200);
  });

  it('answers 503, with the same body, where the node should get no requests', async () => {
    opened.service.isServing = false;
    expect((await get('/health/')).statusCode).toBe(503);
    expect((await get('/health/')).json().node).toBe('us-1');
    expect((await get('/health/ready/')).statusCode).toBe(503);
    expect((await get('/health/ready')).json()).toEqual({ status: 'unavailable' });
    expect((await get('/health/live')).statusCode).toBe(200);
    opened.service.isServing = true;
    expect((await get('/health/ready')).statusCode).toBe(200);
    opened.service.status = 'stopping';
    expect((await get('/health/')).statusCode).toBe(503);
    opened.service.status = 'degraded';
    expect((await get('/health/')).statusCode).toBe(200);
  });
});

describe('figures', () => {
  it('come as Prometheus text and as JSON', async () => {
    const text = await get('/metrics/');
    expect([text.payload, text.headers['content-type']]).toEqual(['meridian_up 1\n', 'text/plain; version=0.0.4']);
    expect((await get('/admin/metrics')).json()).toEqual([{ name: 'meridian_up' }]);
  });

  it('show regions and the ring', async () => {
    expect((await get('/admin/regions/')).json().regions[0]).toMatchObject({
      name: 'us-east',
      latitude: 38.9,
      nodes: [{ name: 'us-1' }],
    });
    expect((await get('/admin/ring/?key=a%2Fb')).json()).toMatchObject({
      key: 'a/b',
      namespace: 'default',
      partition: 7,
    });
    expect((await get('/admin/ring?key=a&namespace=none')).json().code).toBe('NAMESPACE_NOT_FOUND');
    expect((await get('/admin/ring')).json()).toMatchObject({ code: 'INVALID_PARAMETER', parameter: 'key' });
    expect((await get('/admin/ring?key=..')).json().code).toBe('INVALID_KEY');
  });
});

describe('/admin/wan', () => {
  const post = (body: string) => opened.call('POST', '/admin/wan', { headers: JSON_HEADERS, payload: body });

  it.each(['{"split":[["us-east","eu-central"]]}', '{"heal":true}', '{"rtt":{"us-east|eu-central":120},"loss":0.01}'])(
    'takes %s',
    async (body) => {
      expect((await post(body)).json()).toEqual({ changes: 1 });
      expect(JSON.parse(JSON.stringify(opened.wanChanges[0]))).toEqual(JSON.parse(body));
      expect((await get('/admin/wan/')).json()).toEqual({ changes: 1 });
    },
  );

  it.each([
    '{}',
    '{"split":[["us-east"]]}',
    '{"split":[["us-east","moon"]]}',
    '{"split":[["us-east","us-east"]]}',
    '{"heal":false}',
    '{"rtt":{"us-east":1}}',
    '{"rtt":{"us-east|eu-central":-1}}',
    '{"rtt":{"us-east|eu-central":"9"}}',
    '{"loss":2}',
    '{"loss":1}',
    '{"join":true}',
  ])('refuses %s', async (body) => {
    const answer = await post(body);
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'INVALID_BODY']);
    expect(opened.wanChanges).toEqual([]);
  });

  it('is not there without --wan-lab', async () => {
    const without = await openHttp();
    const posted = without.call('POST', '/admin/wan', { headers: JSON_HEADERS, payload: '{"heal":true}' });
    for (const answer of [await without.call('GET', '/admin/wan'), await posted]) {
      expect([answer.statusCode, answer.json().code]).toEqual([404, 'NO_SUCH_PATH']);
      expect(answer.json().detail).toContain('--wan-lab');
    }
  });
});

describe('what is not built yet', () => {
  it.each([
    ['GET', '/admin/rebalance'],
    ['POST', '/admin/rebalance/'],
    ['GET', '/admin/layout/'],
    ['PUT', '/admin/layout'],
  ])('says so: %s %s', async (method, url) => {
    const answer = await opened.call(
      method,
      url,
      method === 'GET' ? {} : { headers: JSON_HEADERS, payload: '{"dryRun":true}' },
    );
    expect([answer.statusCode, answer.json().code]).toEqual([501, 'NOT_BUILT']);
  });
});
