import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Receipt } from '@meridian/client/types';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { comparable, contentsOf } from '../support/changes.ts';
import { type Cluster, newCluster } from '../support/cluster.ts';
import { type Demo, startDemo } from '../support/demo.ts';
import { eventually } from '../support/eventually.ts';
import { ask, type HttpTold, missingRegions } from '../support/http.ts';

const KEYS = 60;
/** Found nowhere by chance. */
const KEY_MARK = 'distinctive-key-5f2c91d07be3';
const VALUE_MARK = 'distinctive-value-a1d94480c6f2';

describe('a namespace that ap-northeast holds nothing of, used through ap-northeast', () => {
  const HOLDERS = ['us-east', 'eu-central'] as const;
  const OUTSIDE = 'ap-northeast';
  const keys = Array.from({ length: KEYS }, (_, at) => `${KEY_MARK}-${String(at).padStart(3, '0')}`);
  let demo: Demo;
  let writes: readonly HttpTold[];
  const url = (region: 'us-east' | 'eu-central' | 'ap-northeast', key: string, query = '') =>
    `${demo.urls[region]}/namespaces/europe/kv/${key}${query}`;
  const outside = (key: string, query = '') => url(OUTSIDE, key, query);

  beforeAll(async () => {
    demo = await startDemo();
    await demo.isConnected();
    const created = await ask(`${demo.urls[OUTSIDE]}/namespaces/europe`, {
      method: 'PUT',
      body: { placement: { 'us-east': 1, 'eu-central': 1 } },
    });
    expect(created.status).toBe(201);
    writes = await Promise.all(
      keys.map((key, at) =>
        ask(outside(key, at % 2 === 0 ? '' : '?consistency=quorum'), {
          method: 'PUT',
          body: { value: `${VALUE_MARK} ${key}` },
          headers: { 'meridian-receipt': '1' },
        }),
      ),
    );
  });

  afterAll(() => demo?.remove());

  it('shows its placement in every region', async () => {
    for (const client of demo.clients()) {
      const shown = async () => (await client.namespace('europe')).placement;
      expect(await eventually(shown, { what: 'the namespace' })).toEqual({ 'us-east': 1, 'eu-central': 1 });
    }
  });

  it('passes writes on to a region that holds it, and says so in the receipt', () => {
    for (const [at, told] of writes.entries()) {
      expect(told.status).toBe(201);
      const receipt = receiptOf(told);
      expect(HOLDERS).toContain(receipt.region);
      expect(receipt.store.startsWith(`${receipt.region}-1.`)).toBe(true);
      expect(told.headers.get('meridian-region')).toBe(receipt.region);
      expect(receipt.hops).toContainEqual({
        node: `${receipt.region}-1`,
        region: receipt.region,
        round: 1,
        atMs: expect.any(Number),
        ms: expect.any(Number),
      });
      expect([receipt.level, receipt.replicasAnswered]).toEqual(at % 2 === 0 ? ['eventual', 1] : ['quorum', 2]);
    }
  });

  it('reads, lists, batches and deletes through it', async () => {
    for (const key of keys) {
      for (const level of ['eventual', 'quorum']) {
        const told = await ask(outside(key, `?consistency=${level}`), { headers: { 'meridian-receipt': '1' } });
        if (level === 'quorum') expect(told.body?.value).toBe(`${VALUE_MARK} ${key}`);
        else
          await eventually(async () => (await ask(outside(key))).body?.value === `${VALUE_MARK} ${key}`, { what: key });
        expect(receiptOf(told).hops.length).toBeGreaterThan(0);
      }
    }
    const client = demo.client(OUTSIDE, { namespace: 'europe' });
    const listed: string[] = [];
    for await (const { key } of client.list({ prefix: KEY_MARK, pageSize: 7 })) listed.push(key);
    expect(listed).toEqual(keys);
    const results = await client.batch([
      { op: 'put', key: `${KEY_MARK}-batch`, value: VALUE_MARK },
      { op: 'get', key: keys[0] as string },
      { op: 'delete', key: keys[1] as string },
      { op: 'get', key: `${KEY_MARK}-none` },
    ]);
    expect(results.map(({ status }) => status)).toEqual([201, 200, 204, 404]);
    await eventually(async () => (await client.get(keys[1] as string)) === undefined, { what: 'the delete' });
  });

  it('carries a session through it', async () => {
    const client = demo.client(OUTSIDE, { namespace: 'europe', session: true, consistency: 'session' });
    for (let count = 0; count < 20; count++) {
      await client.put(`${KEY_MARK}-session`, count);
      expect(await client.get(`${KEY_MARK}-session`)).toMatchObject({ value: count, conflict: false });
    }
  });

  it('names the holders, and not the region, on the ring', async () => {
    const ring = await demo.client(OUTSIDE, { namespace: 'europe' }).ring(keys[0] as string);
    expect(ring.preferenceList.map(({ region }) => region).sort()).toEqual([...HOLDERS].sort());
    for (const { region, store, nodes, reachable, why } of ring.preferenceList) {
      expect([store, nodes, reachable]).toEqual([`${region}-1`, [`${region}-1`], true]);
      expect(why).toContain(`the only store of ${region}`);
    }
  });

  it('holds the same in both regions that hold it', async () => {
    await eventually(
      async () => {
        const [us, eu] = await Promise.all(HOLDERS.map((region) => ofNamespace(demo.urls[region])));
        return (
          us?.size === KEYS + 2 && us.size === eu?.size && [...us].every(([key, record]) => eu.get(key) === record)
        );
      },
      { what: 'equal records in both regions' },
    );
  });

  it('leaves no trace of key or value on the disk there, whatever the files are searched for', async () => {
    expect((await ofNamespace(demo.urls[OUTSIDE])).size).toBe(0);
    const regions = await demo.client('us-east').regions();
    const held = Object.fromEntries(regions.map(({ name, keys: count }) => [name, count]));
    expect(held[OUTSIDE]).toBeLessThan(10);
    for (const region of HOLDERS) expect(held[region]).toBeGreaterThanOrEqual(KEYS);
    for (const region of ['us-east', 'eu-central', OUTSIDE] as const) {
      const isHolder = region !== OUTSIDE;
      expect(await isOnDisk(demo.storeFolder(region), KEY_MARK)).toBe(isHolder);
      expect(await isOnDisk(demo.storeFolder(region), VALUE_MARK)).toBe(isHolder);
    }
    expect(await demo.log(OUTSIDE)).not.toContain(VALUE_MARK);
  });

  it('cannot be used where no holder can be reached, and says which are missing', async () => {
    await demo.stop();
    demo = await startDemo({ wan: { rttMs: 5 }, dataDir: demo.dataDir });
    await demo.isConnected();
    expect((await ask(outside(keys[0] as string))).status).toBe(200);
    await demo.isolate(OUTSIDE);
    for (const told of [
      await ask(outside(keys[0] as string)),
      await ask(outside('new'), { method: 'PUT', body: { value: 1 } }),
    ]) {
      expect([told.status, told.body?.code]).toEqual([503, 'REPLICA_UNAVAILABLE']);
      expect(missingRegions(told)).toEqual(HOLDERS.toSorted());
    }
    expect((await ask(url('us-east', keys[0] as string))).status).toBe(200);
  });

  async function ofNamespace(nodeUrl: string): Promise<Map<string, string>> {
    const { records } = await contentsOf(nodeUrl);
    return new Map(
      [...records].filter(([key]) => key.startsWith('europe/')).map(([key, record]) => [key, comparable(record)]),
    );
  }
});

describe('a region of two nodes with a store each', () => {
  const NODES = ['us-1', 'us-2'] as const;
  const PAIR_KEYS = 300;
  const keys = Array.from({ length: PAIR_KEYS }, (_, at) => `pair-${String(at).padStart(3, '0')}`);
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await newCluster({ 'us-east': NODES, 'eu-central': ['eu-1'] });
    await cluster.startAll();
    const told = await Promise.all(
      keys.map((key, at) =>
        ask(`${cluster.url(NODES[at % 2] as string)}/kv/${key}`, { method: 'PUT', body: { value: key } }),
      ),
    );
    expect(told.map(({ status }) => status)).toEqual(keys.map(() => 201));
  });

  afterAll(() => cluster?.remove());

  it('serves every key through both', async () => {
    for (const node of NODES) {
      for (const key of keys)
        expect((await ask(`${cluster.url(node)}/kv/${key}`)).body).toMatchObject({ value: key, conflict: false });
    }
  });

  it('keeps each key on one of them, and all in the other region', async () => {
    const [first, second] = await Promise.all(NODES.map((node) => contentsOf(cluster.url(node))));
    const held = keys.map(
      (key) => [first, second].filter((contents) => contents?.records.has(`default/${key}`)).length,
    );
    expect(held).toEqual(keys.map(() => 1));
    const shares = [first, second].map(
      (contents) => keys.filter((key) => contents?.records.has(`default/${key}`)).length,
    );
    for (const share of shares) expect(share).toBeGreaterThan(PAIR_KEYS / 4);
    const holdsAll = async () => {
      const { records } = await contentsOf(cluster.url('eu-1'));
      return keys.every((key) => records.has(`default/${key}`));
    };
    await eventually(holdsAll, { what: 'all keys in eu-central' });
  });

  it('lists all keys through either, in order', async () => {
    for (const node of NODES) {
      const listed: string[] = [];
      for await (const { key } of cluster.client(node).list({ prefix: 'pair-', pageSize: 33 })) listed.push(key);
      expect(listed).toEqual(keys);
    }
  });

  it('tells on the ring who holds a key, and why', async () => {
    const [us1, us2] = await Promise.all(NODES.map((node) => contentsOf(cluster.url(node))));
    for (const key of keys.slice(0, 20)) {
      const rings = await Promise.all(NODES.map((node) => cluster.client(node).ring(key)));
      expect(rings[0]?.partition).toBe(rings[1]?.partition);
      for (const ring of rings) {
        const [near, far] = ring.preferenceList;
        expect(ring.preferenceList.length).toBe(2);
        expect([near?.region, far?.region, far?.store]).toEqual(['us-east', 'eu-central', 'eu-1']);
        const holder = near?.store === 'us-1' ? us1 : us2;
        expect(holder?.records.has(`default/${key}`)).toBe(true);
        expect(near?.why).toContain(`one of 2 stores of us-east, next on its ring from partition ${ring.partition}`);
      }
    }
  });

  it('reads and writes across the nodes of the region in one session and at level quorum', async () => {
    for (const level of ['session', 'quorum'] as const) {
      const writer = cluster.client('us-1', { session: true, consistency: level });
      for (const key of keys.slice(0, 20)) {
        await writer.put(key, `${level} ${key}`);
        const reader = cluster.client('us-2', { session: writer.session ?? false, consistency: level });
        expect(await reader.get(key)).toMatchObject({ value: `${level} ${key}`, conflict: false });
      }
    }
  });

  it('goes on with what the other region holds when one of the nodes dies', async () => {
    await cluster.process('us-2').kill();
    const through = cluster.client('us-1');
    for (const key of keys) expect((await through.get(key))?.key).toBe(key);
    for (const key of keys.slice(0, 20)) await through.put(key, 'written meanwhile');
    await eventually(
      async () => (await through.health()).peers.every(({ node, reachable }) => reachable === (node !== 'us-2')),
      { what: 'the death to be known' },
    );
    const listed: string[] = [];
    for await (const { key } of through.list({ prefix: 'pair-' })) listed.push(key);
    expect(listed).toEqual(keys);
    await cluster.start('us-2');
    const isCaughtUp = async () => {
      const values = await Promise.all(keys.slice(0, 20).map((key) => cluster.client('us-2').get(key)));
      return values.every((entry) => entry?.value === 'written meanwhile' && !entry.conflict);
    };
    await eventually(isCaughtUp, { what: 'what was written meanwhile' });
  });
});

function receiptOf({ headers }: HttpTold): Receipt {
  return JSON.parse(headers.get('meridian-receipt') ?? '{}') as Receipt;
}

async function isOnDisk(folder: string, text: string): Promise<boolean> {
  const names = await readdir(folder);
  expect(names).toContain('data.mdb');
  for (const name of names) if ((await readFile(join(folder, name))).includes(text)) return true;
  return false;
}
