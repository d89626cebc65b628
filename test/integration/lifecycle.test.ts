import { cp, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { contentsOf } from '../support/changes.ts';
import { type Cluster, newCluster } from '../support/cluster.ts';
import { type Demo, REGIONS, startDemo } from '../support/demo.ts';
import { eventually } from '../support/eventually.ts';
import { ask, type HttpTold, wasRefused } from '../support/http.ts';

const STARTS = 4;
/** Against absurdity only: how long a start takes is printed, and the bench holds it against its goal. */
const START_MS_MAX = 15_000;

let cluster: Cluster | undefined;
let demo: Demo | undefined;

afterEach(async () => {
  await Promise.all([cluster?.remove(), demo?.remove()]);
  cluster = undefined;
  demo = undefined;
});

describe('one node', () => {
  it('is ready soon after its start, and ends without a fault', async () => {
    cluster = await newCluster({ 'us-east': ['us-1'] });
    const tookMs: number[] = [];
    for (let start = 0; start < STARTS; start++) {
      const startedMs = performance.now();
      const node = await cluster.start('us-1');
      await eventually(() => (cluster as Cluster).client('us-1').isReady(500), { what: 'readiness', everyMs: 5 });
      tookMs.push(Math.round(performance.now() - startedMs));
      expect(await node.stop()).toEqual({ code: 0, signal: null });
      expect(node.events('stopped').length).toBe(1);
    }
    console.info(`start of one node to its first answer: ${tookMs.join(', ')} ms`);
    expect(Math.max(...tookMs)).toBeLessThan(START_MS_MAX);
  });

  it('answers all requests in flight when it is told to stop, and takes no more', async () => {
    cluster = await newCluster({ 'us-east': ['us-1'], 'eu-central': ['eu-1'] }, 800);
    await cluster.startAll({ args: ['--wan-lab'] });
    const [url, node] = [cluster.url('us-1'), cluster.process('us-1')];
    // A majority of two regions is both: each write waits for the sea.
    const inFlight = Array.from({ length: 50 }, (_, at) =>
      ask(`${url}/kv/slow-${at}?consistency=quorum`, { method: 'PUT', body: { value: at } }),
    );
    await sleep(300);
    const ended = node.stop();
    await sleep(100);
    const late = await ask(`${url}/kv/late`, { method: 'PUT', body: { value: 1 } }).catch(wasRefused);
    expect(late === true || (late as HttpTold).status === 503).toBe(true);
    const answers = await Promise.all(inFlight);
    expect(answers.map(({ status, body }) => [status, body?.code])).toEqual(answers.map(() => [201, undefined]));
    expect(await ended).toEqual({ code: 0, signal: null });
    for (let at = 0; at < inFlight.length; at++)
      expect((await ask(`${cluster.url('eu-1')}/kv/slow-${at}`)).body?.value).toBe(at);
  });

  it('loses nothing that it acknowledged before a SIGTERM under load', async () => {
    cluster = await newCluster({ 'us-east': ['us-1'] });
    const node = await cluster.start('us-1');
    const url = cluster.url('us-1');
    const acknowledged: string[] = [];
    const failures: unknown[] = [];
    const writer = async (name: number) => {
      for (let count = 0; !node.end; count++) {
        const key = `load-${name}-${count}`;
        const told = await ask(`${url}/kv/${key}`, { method: 'PUT', body: { value: key } }).catch(
          (error: unknown) => error,
        );
        if (told instanceof Error) {
          if (!wasRefused(told)) failures.push(told.cause);
          return;
        }
        const { status } = told as HttpTold;
        if (status === 201) acknowledged.push(key);
        else expect(status).toBe(503);
      }
    };
    const writers = Array.from({ length: 16 }, (_, name) => writer(name));
    await sleep(700);
    expect(await node.stop()).toEqual({ code: 0, signal: null });
    await Promise.all(writers);
    expect(acknowledged.length).toBeGreaterThan(200);
    await cluster.start('us-1');
    const found = new Set((await contentsOf(url)).records.keys());
    expect(acknowledged.filter((key) => !found.has(`default/${key}`))).toEqual([]);
    console.info(
      `${acknowledged.length} writes acknowledged before the end, ${failures.length} requests broken off without an answer`,
    );
  });

  it('refuses a store that another process has open, in one line, and leaves that process alone', async () => {
    cluster = await newCluster({ 'us-east': ['us-1'] });
    await cluster.start('us-1');
    const store = cluster.storeFolder('us-1');
    const other = await newCluster({ 'us-east': ['us-1'] });
    try {
      await symlink(store, other.storeFolder('us-1'));
      const second = other.spawn('us-1');
      expect((await second.ended).code).toBeGreaterThan(0);
      expect(second.stderr).toEqual([
        `meridian: the store at ${other.storeFolder('us-1')} is in use by another process`,
      ]);
      expect(second.stdout).toEqual([]);
    } finally {
      await other.remove();
    }
    expect((await ask(`${cluster.url('us-1')}/kv/after`, { method: 'PUT', body: { value: 1 } })).status).toBe(201);
  });
});

describe('three regions', () => {
  const NODES = ['us-1', 'eu-1', 'ap-1'] as const;
  type Node = (typeof NODES)[number];
  const urlOf = (node: Node) => (cluster as Cluster).url(node);

  async function startThree(): Promise<Cluster> {
    const started = await newCluster({ 'us-east': ['us-1'], 'eu-central': ['eu-1'], 'ap-northeast': ['ap-1'] }, 5);
    cluster = started;
    await started.startAll({ args: ['--wan-lab'] });
    return started;
  }

  it('fill a wiped store, which comes back under its name, takes writes at once and answers no quorum before it is filled', async () => {
    const running = await startThree();
    const keys = [
      ...(await putMany(urlOf('us-1'), 'us', 100)),
      ...(await putMany(urlOf('eu-1'), 'eu', 100)),
      ...(await putMany(urlOf('ap-1'), 'ap', 100)),
    ];
    await everywhere(NODES.map(urlOf), keys);
    const lost = await contentsOf(urlOf('eu-1'));
    await running.tellWan({
      split: [
        ['us-east', 'eu-central'],
        ['ap-northeast', 'eu-central'],
      ],
    });
    await running.process('eu-1').kill();
    await rm(running.storeFolder('eu-1'), { recursive: true });
    await running.start('eu-1', { args: ['--wan-lab'] });
    expect((await running.client('eu-1').health()).store).toMatchObject({ name: 'eu-1', isFilled: false });
    const meanwhile = await putMany(urlOf('eu-1'), 'while-empty', 20);
    for (const told of [
      await ask(`${urlOf('eu-1')}/kv/us-0?consistency=quorum`),
      await put(urlOf('eu-1'), 'no-quorum', '?consistency=quorum'),
    ])
      expect([told.status, told.body?.code]).toEqual([503, 'QUORUM_UNAVAILABLE']);
    const majority = await ask(`${urlOf('us-1')}/kv/eu-0?consistency=quorum`);
    expect([majority.status, majority.body?.value]).toEqual([200, 'eu-0']);
    await running.tellWan({ heal: true });
    await eventually(async () => (await running.client('eu-1').health()).store.isFilled === true, {
      what: 'the filled store',
    });
    await everywhere(NODES.map(urlOf), [...keys, ...meanwhile]);
    for (const key of ['us-0', 'eu-0', 'ap-0', 'while-empty-0']) {
      const told = await ask(`${urlOf('eu-1')}/kv/${key}?consistency=quorum`);
      expect([told.status, told.body?.value]).toEqual([200, key]);
    }
    expect((await put(urlOf('eu-1'), 'quorum-again', '?consistency=quorum')).status).toBe(201);
    const filled = await contentsOf(urlOf('eu-1'));
    expect(filled.store.startsWith('eu-1.')).toBe(true);
    expect(filled.store).not.toBe(lost.store);
  });

  it('give a store that was restored from an older copy a new id, so that no dot is issued twice', async () => {
    const running = await startThree();
    const kept = await restoreOlderCopy(running, async () => undefined);
    expect(kept.now.startsWith('eu-1.')).toBe(true);
    expect(kept.now).not.toBe(kept.former);
    for (const node of NODES) {
      const { records } = await contentsOf(urlOf(node));
      for (const key of kept.restored) expect(records.get(`default/${key}`)?.siblings[0]?.store).toBe(kept.now);
      for (const key of [...kept.before, ...kept.after])
        expect(records.get(`default/${key}`)?.siblings[0]?.store).toBe(kept.former);
    }
  });

  it('lose nothing where a store that was restored from an older copy is cut off when it starts', async () => {
    const running = await startThree();
    const cut = {
      split: [
        ['us-east', 'eu-central'],
        ['ap-northeast', 'eu-central'],
      ],
    } as const;
    await restoreOlderCopy(running, async (isRestored) => {
      if (!isRestored) await Promise.all(['us-1', 'ap-1'].map((node) => running.client(node).wan(cut)));
      else await Promise.all(['us-1', 'ap-1'].map((node) => running.client(node).wan({ heal: true })));
    });
  });

  /** Writes before a copy is made, after it, and once it stands in place of the store; `around` is called before and after the last. */
  async function restoreOlderCopy(running: Cluster, around: (isRestored: boolean) => Promise<unknown>) {
    const [folder, copy] = [running.storeFolder('eu-1'), join(running.folder, 'older-copy')];
    const before = await putMany(urlOf('eu-1'), 'before-copy', 50);
    await everywhere(NODES.map(urlOf), before);
    await running.process('eu-1').kill();
    await cp(folder, copy, { recursive: true });
    await running.start('eu-1', { args: ['--wan-lab'] });
    const after = await putMany(urlOf('eu-1'), 'after-copy', 50);
    await everywhere(NODES.map(urlOf), [...before, ...after]);
    const { store: former } = await contentsOf(urlOf('eu-1'));
    await running.process('eu-1').kill();
    await rm(folder, { recursive: true });
    await rename(copy, folder);
    await around(false);
    await running.start('eu-1', { args: ['--wan-lab'] });
    const restored = await putMany(urlOf('eu-1'), 'after-restore', 50);
    await around(true);
    await everywhere(NODES.map(urlOf), [...before, ...after, ...restored]);
    const { store: now } = await contentsOf(urlOf('eu-1'));
    for (const node of NODES) {
      const { records } = await contentsOf(urlOf(node));
      const dots = [...records.values()].flatMap(({ siblings }) =>
        siblings.map(({ store, sequence }) => `${store}:${sequence}`),
      );
      expect(new Set(dots).size).toBe(dots.length);
    }
    return { before, after, restored, former, now };
  }
});

describe('the demo', () => {
  it('takes quorum writes and new namespaces in every region as soon as it says that it is ready', async () => {
    const running = await startDemo({ wan: 'measured' });
    demo = running;
    const answers = await Promise.all(
      REGIONS.flatMap((region) => [
        put(running.urls[region], `at-once-${region}`, '?consistency=quorum'),
        ask(`${running.urls[region]}/namespaces/${region}`, { method: 'PUT', body: {} }),
      ]),
    );
    expect(answers.map(({ status, body }) => [status, body?.code])).toEqual(answers.map(() => [201, undefined]));
  });

  it('finds its data when it is started again', async () => {
    const first = await startDemo();
    demo = first;
    const urls = REGIONS.map((region) => first.urls[region]);
    const keys = [
      ...(await putMany(first.urls['us-east'], 'us', 40)),
      ...(await putMany(first.urls['ap-northeast'], 'ap', 40)),
    ];
    await everywhere(urls, keys);
    const before = await Promise.all(urls.map(contentsOf));
    expect(await first.stop()).toEqual({ code: 0, signal: null });
    const second = await startDemo({ dataDir: first.dataDir });
    demo = second;
    const urlsAgain = REGIONS.map((region) => second.urls[region]);
    const after = await Promise.all(urlsAgain.map(contentsOf));
    expect(after.map(({ store }) => store)).toEqual(before.map(({ store }) => store));
    await everywhere(urlsAgain, keys);
  });
});

function put(url: string, key: string, query = ''): Promise<HttpTold> {
  return ask(`${url}/kv/${key}${query}`, { method: 'PUT', body: { value: key } });
}

async function putMany(url: string, prefix: string, count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, at) => `${prefix}-${at}`);
  for (const told of await Promise.all(keys.map((key) => put(url, key)))) expect(told.status).toBe(201);
  return keys;
}

/** Waits until all keys are at all nodes, and reads each there. */
async function everywhere(urls: readonly string[], keys: readonly string[]): Promise<void> {
  for (const url of urls) {
    const holdsAll = async () => {
      const { records } = await contentsOf(url);
      const missing = keys.filter((key) => records.get(`default/${key}`)?.siblings.length !== 1);
      if (missing.length > 0) throw new Error(`${missing.length} of ${keys.length} are missing, such as ${missing[0]}`);
      return true;
    };
    await eventually(holdsAll, { what: `all keys at ${url}`, withinMs: 10_000 });
  }
  for (const url of urls) for (const key of keys) expect((await ask(`${url}/kv/${key}`)).body?.value).toBe(key);
}
