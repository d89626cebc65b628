import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentsOf, differences } from '../support/changes.ts';
import { type Cluster, newCluster } from '../support/cluster.ts';
import { mixedShape } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';
import { ask, type HttpTold, missingRegions } from '../support/http.ts';
import { runMeridian } from '../support/meridian-process.ts';
import { PostgresServer } from '../support/postgres.ts';
import { RedisServerProcess } from '../support/redis.ts';

const NODES = ['us-1', 'eu-1', 'eu-2', 'ap-1'] as const;
type Node = (typeof NODES)[number];
const REGIONS = ['us-east', 'eu-central', 'ap-northeast'] as const;
const RTT_MS = 4;
const HOPS = 24;
const ROUNDS = 6;
const ADDITIONS = 4;
const KEYS_IN_SPLIT = 40;
const CATCH_UP_MS_MAX = 5_000;
/** What was chosen of a register is written down, and sent to those that missed it, after 5 s. */
const REGISTERS_ALIKE_MS_MAX = 15_000;

describe('a cluster of an embedded region, one of two nodes on PostgreSQL and Redis, and one of a single node on PostgreSQL', () => {
  let databases: PostgresServer;
  let redis: RedisServerProcess;
  let cluster: Cluster;
  const url = (node: Node, key: string, query = '') => `${cluster.url(node)}/kv/${key}${query}`;
  const exact = (node: Node, key: string, query = '') => `${cluster.url(node)}/namespaces/exact/kv/${key}${query}`;
  const put = (to: string, value: unknown, headers: Record<string, string | undefined> = {}) =>
    ask(to, { method: 'PUT', body: { value }, headers });
  const onFrom = (node: Node, steps: number): Node => NODES[(NODES.indexOf(node) + steps) % NODES.length] as Node;
  const etagOf = ({ headers }: HttpTold): string => headers.get('etag') ?? '';
  const isolate = (region: string) =>
    cluster.tellWan({ split: REGIONS.filter((other) => other !== region).map((other) => [region, other] as const) });

  beforeAll(async () => {
    [databases, redis] = await Promise.all([PostgresServer.start(), RedisServerProcess.start()]);
    // What a node could not tell a cache that was away is old there for as long as entries live.
    cluster = await newCluster(mixedShape(databases, `${redis.url}?ttl=3s`), RTT_MS);
    await cluster.startAll({ args: ['--wan-lab'] });
    const created = await ask(`${cluster.url('us-1')}/namespaces/exact`, { method: 'PUT', body: { mode: 'strong' } });
    expect(created.status).toBe(201);
  });

  afterAll(async () => {
    await cluster?.remove();
    await Promise.all([databases?.remove(), redis?.stop()]);
  });

  it('takes writes of every level at every node, and shows them at every other', async () => {
    for (const level of ['eventual', 'session', 'quorum', 'strong']) {
      for (const node of NODES) {
        const key = `${level}-of-${node}`;
        const told = await put(url(node, key, `?consistency=${level}`), key, { 'meridian-receipt': '1' });
        expect([told.status, receiptOf(told).region]).toEqual([201, cluster.place(node).region]);
        const session = told.headers.get('meridian-session') ?? undefined;
        for (const reader of NODES) {
          const read = () =>
            ask(url(reader, key, `?consistency=${level}`), { headers: { 'meridian-session': session } });
          if (level === 'eventual') await eventually(async () => (await read()).status === 200, { what: key });
          expect((await read()).body, `${key} at ${reader}`).toMatchObject({ value: key, conflict: false });
        }
      }
    }
  });

  it('lists, batches and deletes alike through every node', async () => {
    const keys = Array.from({ length: 30 }, (_, at) => `listed-${String(at).padStart(2, '0')}`);
    const wrote = await cluster.client('eu-1').batch(keys.map((key, at) => ({ op: 'put', key, value: at })));
    expect(wrote.map(({ status }) => status)).toEqual(keys.map(() => 201));
    expect((await ask(url('eu-2', keys[0] as string), { method: 'DELETE' })).status).toBe(204);
    for (const node of NODES) {
      const listed = async () => {
        const found: string[] = [];
        for await (const { key } of cluster.client(node).list({ prefix: 'listed-', pageSize: 7 })) found.push(key);
        return found.join() === keys.slice(1).join();
      };
      await eventually(listed, { what: `the keys at ${node}` });
    }
  });

  it('keeps a session that goes to another node with every request', async () => {
    let session: string | undefined;
    for (let hop = 0; hop < HOPS; hop++) {
      const writer = url(onFrom('us-1', hop * 3), 'hopping', '?consistency=session');
      const wrote = await put(writer, hop, { 'meridian-session': session });
      expect(wrote.status).toBeLessThan(300);
      session = wrote.headers.get('meridian-session') ?? session;
      const reader = onFrom('us-1', hop * 3 + 1 + (hop % 3));
      const read = await ask(url(reader, 'hopping', '?consistency=session'), {
        headers: { 'meridian-session': session },
      });
      expect(read.body).toMatchObject({ value: hop, conflict: false });
      session = read.headers.get('meridian-session') ?? session;
    }
  });

  it('lets one of four nodes win each round of compare-and-set, and each creation', async () => {
    const wins = new Map<Node, number>();
    let etag = etagOf(await put(exact('us-1', 'contended'), 'begin'));
    for (let round = 0; round < ROUNDS; round++) {
      const order = NODES.map((_, at) => onFrom('us-1', round + at));
      const tried = await Promise.all(order.map((node) => put(exact(node, 'contended'), node, { 'if-match': etag })));
      expect(tried.map(({ status }) => status).toSorted(ascending)).toEqual([200, 412, 412, 412]);
      const winner = order[tried.findIndex(({ status }) => status === 200)] as Node;
      wins.set(winner, (wins.get(winner) ?? 0) + 1);
      const found = await Promise.all(NODES.map((node) => ask(exact(node, 'contended'))));
      expect(found.map(({ body }) => body?.value)).toEqual(NODES.map(() => winner));
      etag = etagOf(found[0] as HttpTold);
      const made = await Promise.all(
        order.map((node) => put(exact(node, `lock-${round}`), node, { 'if-none-match': '*' })),
      );
      expect(made.map(({ status }) => status).toSorted(ascending)).toEqual([201, 412, 412, 412]);
    }
    console.info(`${ROUNDS} rounds won: ${[...wins].map(([node, count]) => `${node} ${count}`).join(', ')}`);
  });

  it('counts what all nodes add at once, and applies a request once, whichever nodes it is sent to', async () => {
    await put(exact('us-1', 'count'), 0);
    await Promise.all(NODES.map((node) => add(node, ADDITIONS)));
    for (const node of NODES) expect((await ask(exact(node, 'count'))).body?.value).toBe(NODES.length * ADDITIONS);
    for (const node of NODES) {
      const headers = { 'idempotency-key': `once-${node}`, 'if-none-match': '*' };
      const first = await put(exact(node, `once-${node}`), node, headers);
      expect(first.status).toBe(201);
      for (const steps of [1, 2, 3]) {
        const again = await put(exact(onFrom(node, steps), `once-${node}`), node, headers);
        expect([again.status, etagOf(again)]).toEqual([201, etagOf(first)]);
      }
    }
  });

  /** By compare-and-set, tried again until it holds. */
  async function add(node: Node, times: number): Promise<void> {
    for (let added = 0; added < times; ) {
      const before = await ask(exact(node, 'count'));
      const told = await put(exact(node, 'count'), Number(before.body?.value) + 1, { 'if-match': etagOf(before) });
      expect([200, 412]).toContain(told.status);
      if (told.status === 200) added++;
    }
  }

  it('shows a region of two nodes and one store as what it is', async () => {
    const healths = new Map(
      await Promise.all(NODES.map(async (node) => [node, await cluster.client(node).health()] as const)),
    );
    expect(NODES.map((node) => healths.get(node)?.store.engine)).toEqual(['lmdb', 'postgres', 'postgres', 'postgres']);
    expect(healths.get('eu-1')?.store.id).toBe(healths.get('eu-2')?.store.id);
    for (const health of healths.values()) expect(health.peers.length).toBe(NODES.length - 1);
    for (const node of NODES) {
      const ring = await cluster.client(node).ring('any');
      const held = ring.preferenceList.map(({ region, store, nodes, reachable }) => ({
        region,
        store,
        nodes,
        reachable,
      }));
      expect(held.toSorted((one, other) => (one.store < other.store ? -1 : 1))).toEqual([
        { region: 'ap-northeast', store: 'ap-1', nodes: ['ap-1'], reachable: true },
        { region: 'eu-central', store: 'eu', nodes: ['eu-1', 'eu-2'], reachable: true },
        { region: 'us-east', store: 'us-1', nodes: ['us-1'], reachable: true },
      ]);
      const regions = await cluster.client(node).regions();
      const [us, eu, ap] = REGIONS.map((name) => regions.find((region) => region.name === name));
      expect(eu?.nodes.map(({ name, store }) => [name, store])).toEqual([
        ['eu-1', 'eu'],
        ['eu-2', 'eu'],
      ]);
      // What both nodes see is there once.
      expect([eu?.keys, ap?.keys]).toEqual([us?.keys, us?.keys]);
    }
    const { code, stdout } = await runMeridian(['status', '--endpoint', cluster.url('eu-2')], {
      folder: cluster.folder,
    });
    expect(code).toBe(0);
    const said = stdout.join('\n');
    expect(said).toMatch(/us-east .* 1\/1 /);
    expect(said).toMatch(/eu-central .* 2\/2 /);
    expect(said).toMatch(/eu-1 .*\n.*eu-2 .*here/);
    expect(said).toMatch(/ap-northeast .* 1\/1 /);
    expect(said).toContain('all 3 regions answer');
  });

  it('reads through the cache of a region, and goes on where that is gone', async () => {
    const shared = ['eu-1', 'eu-2'] as const;
    expect((await put(url('eu-1', 'cached'), 'once')).status).toBe(201);
    const isCached = async () => {
      for (const node of shared) expect((await ask(url(node, 'cached'))).body?.value).toBe('once');
      const hits = await Promise.all(shared.map((node) => metricAt(cluster.url(node), 'meridian_cache_hits')));
      return hits.every((count) => count > 0);
    };
    await eventually(isCached, { what: 'reads from the cache at both nodes' });
    await redis.kill();
    for (const node of shared) {
      expect((await put(url(node, 'cached'), node)).status).toBe(200);
      for (const reader of shared) {
        const isThere = async () => (await ask(url(reader, 'cached'))).body?.value === node;
        await eventually(isThere, { what: `what ${node} wrote, at ${reader}`, withinMs: 2_000 });
      }
    }
    await redis.start();
  });

  it('keeps what was written at once in three regions as the same siblings everywhere, and resolves them for all', async () => {
    await put(url('us-1', 'siblings', '?consistency=quorum'), 'before');
    for (const node of NODES)
      await eventually(async () => (await ask(url(node, 'siblings'))).status === 200, { what: `the key at ${node}` });
    await cluster.tellWan({
      split: REGIONS.flatMap((one, at) => REGIONS.slice(at + 1).map((other) => [one, other] as const)),
    });
    const writers = ['us-1', 'eu-1', 'ap-1'] as const;
    for (const node of writers) {
      const context = (await ask(url(node, 'siblings'))).headers.get('meridian-context') ?? undefined;
      expect((await put(url(node, 'siblings'), node, { 'meridian-context': context })).status).toBe(200);
    }
    await cluster.tellWan({ heal: true });
    const seenAt = async (node: Node) => {
      const { body, headers } = await ask(url(node, 'siblings'));
      const values = ((body?.siblings ?? []) as readonly { value: string }[]).map(({ value }) => value).toSorted();
      return { values: values.join(), context: body?.context, etag: headers.get('etag'), winner: body?.value };
    };
    for (const node of NODES)
      await eventually(async () => (await seenAt(node)).values === 'ap-1,eu-1,us-1', { what: `siblings at ${node}` });
    const seen = await Promise.all(NODES.map(seenAt));
    for (const one of seen) expect(one).toEqual(seen[0]);
    const resolved = await put(url('eu-2', 'siblings'), 'resolved', { 'meridian-context': String(seen[0]?.context) });
    expect(resolved.status).toBe(200);
    for (const node of NODES) {
      const isResolved = async () => {
        const { body } = await ask(url(node, 'siblings'));
        return body?.value === 'resolved' && body.conflict === false;
      };
      await eventually(isResolved, { what: `the resolution at ${node}` });
    }
  });

  it.each(REGIONS)('goes on while %s is cut off, and catches up both ways', async (region) => {
    const inside = NODES.filter((node) => cluster.place(node).region === region);
    const outside = NODES.filter((node) => cluster.place(node).region !== region);
    await isolate(region);
    await Promise.all(NODES.map((node) => writeMany(node, `split-${region}`)));
    for (const node of inside) {
      const refused = await eventually(
        async () => {
          const told = await put(exact(node, `cut-${region}`), 1);
          return told.status === 503 && told;
        },
        { what: `a refusal at ${node}`, withinMs: 4_000 },
      );
      expect(refused.body).toMatchObject({ code: 'QUORUM_UNAVAILABLE', required: 2, reached: 1 });
      expect(missingRegions(refused)).toEqual(REGIONS.filter((other) => other !== region).toSorted());
    }
    for (const node of outside) expect((await put(exact(node, `cut-${region}`), node)).status).toBeLessThan(300);
    await cluster.tellWan({ heal: true });
    const startedMs = performance.now();
    const isAlike = async () => (await differing()).every((key) => !key.startsWith('default/'));
    await eventually(isAlike, { what: 'the same values in all stores', withinMs: CATCH_UP_MS_MAX });
    console.info(`${region}: caught up within ${Math.round(performance.now() - startedMs)} ms of the heal`);
    for (const node of NODES) {
      const hasNoLag = async () => (await cluster.client(node).health()).peers.every(({ lagMs }) => (lagMs ?? 0) < 500);
      await eventually(hasNoLag, { what: `no lag seen from ${node}` });
      expect((await ask(exact(node, `cut-${region}`))).status).toBe(200);
    }
  });

  it('holds the same in all stores in the end, registers too', async () => {
    const isAlike = async () => (await differing()).length === 0;
    await eventually(isAlike, { what: 'equal stores', withinMs: REGISTERS_ALIKE_MS_MAX });
    const { records } = await contentsOf(cluster.url('eu-2'));
    for (const region of REGIONS) expect(records.has(`exact/cut-${region}`)).toBe(true);
  });

  async function writeMany(node: Node, prefix: string): Promise<void> {
    const keys = Array.from({ length: KEYS_IN_SPLIT }, (_, at) => `${prefix}-${node}-${at}`);
    const told = await Promise.all(keys.map((key) => put(url(node, key), key)));
    expect(told.map(({ status }) => status)).toEqual(keys.map(() => 201));
  }

  async function differing(): Promise<readonly string[]> {
    const [first, ...others] = await Promise.all(NODES.map((node) => contentsOf(cluster.url(node))));
    return others.flatMap((other) => differences(first as NonNullable<typeof first>, other));
  }
});

async function metricAt(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text
    .split('\n')
    .find((candidate) => candidate.startsWith(`${name}{`) || candidate.startsWith(`${name} `));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

function receiptOf({ headers }: HttpTold): { readonly region?: string } {
  return JSON.parse(headers.get('meridian-receipt') ?? '{}') as { region?: string };
}

function ascending(one: number, other: number): number {
  return one - other;
}
