import { setTimeout as sleep } from 'node:timers/promises';
import type { PortableRecord } from '@meridian/server/node/service';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentsOf, differences, type StoreContents } from '../support/changes.ts';
import { type Demo, REGIONS, type Region, startDemo } from '../support/demo.ts';
import { eventually } from '../support/eventually.ts';
import { type Hops, hop } from '../support/hopper.ts';
import { ask, type HttpTold, missingRegions } from '../support/http.ts';
import { faultsIn } from '../support/judge.ts';
import { Load, type Try } from '../support/load.ts';

const CUT_OFF = 'ap-northeast';
const KILLED = 'eu-central';
const PAUSED = 'us-east';
const WRITERS_PER_REGION = 4;
const RTT_MS = 30;
const EVENTUAL_WRITES = 20;

interface Sides {
  readonly minority: HttpTold;
  readonly majority: HttpTold;
}

describe('three regions under load, split and healed, one killed, another paused', () => {
  let demo: Demo;
  let load: Load;
  let contents: readonly StoreContents[];
  let cutQuorumWrite: Sides;
  let cutQuorumRead: Sides;
  let cutEventual: readonly HttpTold[];
  const hops: Hops = { reads: 0, elsewhere: 0, unserved: 0, faults: [] };
  const url = (region: Region, key: string, query = '') => `${demo.urls[region]}/kv/${encodeURIComponent(key)}${query}`;

  beforeAll(async () => {
    demo = await startDemo({ wan: { rttMs: RTT_MS } });
    await demo.isConnected();
    load = new Load(demo);
    let isOver = false;
    await prepare();
    load.start(WRITERS_PER_REGION);
    const hoppers = ['anna', 'bela'].map((name) => hop(demo, name, hops, () => isOver));
    await sleep(2_000);
    await demo.isolate(CUT_OFF);
    await duringSplit();
    await sleep(1_500);
    await demo.heal();
    await sleep(1_000);
    await demo.kill(KILLED);
    await sleep(1_000);
    await demo.isReady(KILLED);
    await demo.isConnected();
    await pause(PAUSED, 2_500);
    await sleep(1_000);
    isOver = true;
    await Promise.all([load.stop(), ...hoppers]);
    contents = await eventually(quiet, { what: 'the same records in all regions', withinMs: 30_000, everyMs: 500 });
    const count = (outcome: string) => load.tries.filter((one) => one.outcome === outcome).length;
    console.info(
      `${load.tries.length} writes: ${count('acknowledged')} acknowledged, ${count('refused')} refused, ${count('unknown')} unknown; ` +
        `${hops.reads} session reads, ${hops.elsewhere} in another region, ${hops.unserved} not served`,
    );
  }, 120_000);

  afterAll(() => demo?.remove());

  /** Stops a process where it stands, for longer than it takes to be given up by its peers. */
  async function pause(region: Region, ms: number): Promise<void> {
    const pid = await demo.pid(region);
    process.kill(pid, 'SIGSTOP');
    try {
      await sleep(ms);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await demo.isConnected();
  }

  /** Keys of which every region knows the same before the split. */
  async function prepare(): Promise<void> {
    for (const key of ['both-write', 'delete-and-write', 'both-delete', 'deleted']) {
      await load.put('us-east', key, `${key}-before`, { level: 'quorum' });
      for (const region of REGIONS) {
        await eventually(async () => (await ask(url(region, key))).status === 200, { what: `${key} in ${region}` });
      }
    }
  }

  async function contextAt(region: Region, key: string): Promise<string> {
    return (await ask(url(region, key))).headers.get('meridian-context') ?? '';
  }

  async function duringSplit(): Promise<void> {
    const inSplit = { level: 'eventual' } as const;
    const put = async (region: Region, key: string, value: string | null) => {
      const context = await contextAt(region, key);
      const { tried } = await load.put(region, key, value, { ...inSplit, context });
      expect(tried.outcome).toBe('acknowledged');
    };
    await put('us-east', 'both-write', 'of-us-east');
    await put(CUT_OFF, 'both-write', 'of-ap-northeast');
    await put('us-east', 'delete-and-write', null);
    await put(CUT_OFF, 'delete-and-write', 'written-meanwhile');
    await put('us-east', 'both-delete', null);
    await put(CUT_OFF, 'both-delete', null);
    await put('us-east', 'deleted', null);
    await load.put('us-east', 'blind-both', 'blind-us-east', inSplit);
    await load.put(CUT_OFF, 'blind-both', 'blind-ap-northeast', inSplit);
    const quorum = async (region: Region, method: 'PUT' | 'GET') => {
      const body = method === 'PUT' ? { value: `${region} alone` } : undefined;
      return ask(url(region, 'quorum-in-split', '?consistency=quorum'), {
        method,
        body,
        headers: { 'meridian-receipt': '1' },
      });
    };
    cutQuorumWrite = { minority: await quorum(CUT_OFF, 'PUT'), majority: await quorum('us-east', 'PUT') };
    cutQuorumRead = { minority: await quorum(CUT_OFF, 'GET'), majority: await quorum(KILLED, 'GET') };
    const eventualWrites = REGIONS.flatMap((region) =>
      Array.from({ length: EVENTUAL_WRITES }, (_, at) =>
        ask(url(region, `split:${region}:${at}`), {
          method: 'PUT',
          body: { value: at },
          headers: { 'meridian-receipt': '1' },
        }),
      ),
    );
    cutEventual = await Promise.all(eventualWrites);
  }

  async function quiet(): Promise<readonly StoreContents[] | undefined> {
    const all = await Promise.all(REGIONS.map((region) => contentsOf(demo.urls[region])));
    const [first, ...others] = all as [StoreContents, ...StoreContents[]];
    const different = others.flatMap((other) => differences(first, other));
    if (different.length > 0)
      throw new Error(`${different.length} keys differ, among them ${different.slice(0, 3).join(', ')}`);
    return all;
  }

  it('acknowledges writes of every kind at every level in every region', () => {
    const acknowledged = load.tries.filter(({ outcome }) => outcome === 'acknowledged');
    expect(acknowledged.length).toBeGreaterThan(500);
    for (const region of REGIONS) {
      for (const level of ['eventual', 'session', 'quorum'])
        expect(acknowledged.filter((one) => one.region === region && one.level === level).length).toBeGreaterThan(10);
    }
    expect(acknowledged.filter(({ value }) => value === null).length).toBeGreaterThan(20);
  });

  it('refuses nothing but quorums in the minority and requests to the dead', () => {
    const failed = load.tries.filter(({ outcome }) => outcome !== 'acknowledged');
    const unexpected = failed.filter(({ region, code, level }) => {
      if (code === undefined) return region !== KILLED;
      if (code === 'KEY_NOT_FOUND') return false;
      return (
        !(level === 'quorum' && (code === 'QUORUM_UNAVAILABLE' || code === 'OUTCOME_UNKNOWN')) && !(level === 'session')
      );
    });
    expect(unexpected).toEqual([]);
  });

  it('keeps every acknowledged write in every region, or a write that had seen it, and nothing else', () => {
    for (const one of contents) expect(faultsIn(one, load.tries)).toEqual([]);
  });

  it('would be seen to lose a write, or to bring one back', () => {
    const [{ store, upTo, records }] = contents as [StoreContents];
    const kept = load.tries.find(({ key, outcome }) => outcome === 'acknowledged' && key.startsWith('unique:')) as Try;
    const isDeleted = (key: string) =>
      load.tries.some((other) => other.key === key && other.value === null && other.outcome === 'acknowledged');
    const deleted = load.tries.find(
      ({ key, value }) => key.startsWith('deleted:') && value !== null && isDeleted(key),
    ) as Try;
    const record = records.get(`default/${deleted.key}`);
    const changed = (key: string, siblings: PortableRecord['siblings']) => {
      const before = records.get(`default/${key}`);
      return {
        store,
        upTo,
        records: new Map(records).set(`default/${key}`, {
          namespace: 'default',
          key,
          vector: before?.vector ?? {},
          siblings,
        }),
      };
    };
    expect(faultsIn(changed(kept.key, []), load.tries)).toEqual([
      expect.stringContaining('is gone, and no write had seen it'),
    ]);
    const revived = {
      timeMs: 0,
      body: Buffer.from(JSON.stringify(deleted.value)).toString('base64'),
      contentType: 'application/json',
      expiresAtMs: null,
    };
    const siblings = [
      ...(record?.siblings ?? []),
      { ...revived, store: String(deleted.dot?.store), sequence: Number(deleted.dot?.sequence) },
    ];
    expect(faultsIn(changed(deleted.key, siblings), load.tries)).toEqual([
      expect.stringContaining('is there, though the delete'),
    ]);
  });

  it('shows concurrent writes of both sides of a split as the same siblings everywhere, with the same context', async () => {
    for (const [key, expected] of [
      ['both-write', ['of-ap-northeast', 'of-us-east']],
      ['blind-both', ['blind-ap-northeast', 'blind-us-east']],
    ] as const) {
      const answers = await Promise.all(REGIONS.map((region) => ask(url(region, key))));
      const seen = answers.map(({ body }) => [body?.value, body?.siblings, body?.context]);
      const siblings = (answers[0]?.body?.siblings ?? []) as readonly { value: string }[];
      expect(siblings.map(({ value }) => value).sort()).toEqual(expected);
      expect(answers[0]?.body?.conflict).toBe(true);
      for (const other of seen) expect(other).toEqual(seen[0]);
      for (const { headers } of answers) expect(headers.get('etag')).toBe(answers[0]?.headers.get('etag'));
    }
  });

  it('keeps a value written while the other side deleted it, and what both deleted stays deleted', async () => {
    for (const region of REGIONS) {
      expect((await ask(url(region, 'delete-and-write'))).body).toMatchObject({
        value: 'written-meanwhile',
        conflict: false,
      });
      expect((await ask(url(region, 'both-delete'))).status).toBe(404);
      expect((await ask(url(region, 'deleted'))).status).toBe(404);
    }
  });

  it('resolves a conflict in one region for all', async () => {
    const context = await contextAt('eu-central', 'both-write');
    const put = await ask(url('eu-central', 'both-write'), {
      method: 'PUT',
      body: { value: 'resolved' },
      headers: { 'meridian-context': context },
    });
    expect(put.status).toBe(200);
    for (const region of REGIONS) {
      const isResolved = async () => {
        const { body } = await ask(url(region, 'both-write'));
        return body?.value === 'resolved' && body.conflict === false;
      };
      await eventually(isResolved, { what: `the resolution in ${region}` });
    }
  });

  it('answers quorums on the side of the majority, and says on the other what was missing', () => {
    for (const { minority, majority } of [cutQuorumWrite, cutQuorumRead]) {
      expect(minority.status).toBe(503);
      expect(minority.body).toMatchObject({ code: 'QUORUM_UNAVAILABLE', required: 2, reached: 1 });
      expect(missingRegions(minority)).toEqual(['eu-central', 'us-east']);
      expect(minority.headers.get('content-type')).toContain('application/problem+json');
      expect(majority.status).toBeLessThan(300);
    }
    const receipt = JSON.parse(cutQuorumWrite.majority.headers.get('meridian-receipt') ?? '{}') as Record<
      string,
      unknown
    >;
    expect(receipt).toMatchObject({ region: 'us-east', level: 'quorum', replicasAnswered: 2 });
    expect(receipt.tookMs).toBeGreaterThan(RTT_MS - 2);
  });

  it('serves eventual writes everywhere during the split, at local latency', () => {
    expect(cutEventual.length).toBe(EVENTUAL_WRITES * REGIONS.length);
    for (const { status, headers } of cutEventual) {
      expect(status).toBe(201);
      const receipt = JSON.parse(headers.get('meridian-receipt') ?? '{}') as Record<string, unknown>;
      expect(receipt).toMatchObject({ level: 'eventual', replicasAsked: 1, replicasAnswered: 1, hops: [] });
      expect(receipt.region).toBe(headers.get('meridian-region'));
    }
  });

  it('lets a session that hops between regions read its own writes', () => {
    expect(hops.faults).toEqual([]);
    expect(hops.elsewhere).toBeGreaterThan(20);
  });

  it('tells of the death and the new start of the killed region', () => {
    const said = demo.process.stdout.join('\n');
    expect(said).toContain(`${KILLED}-1 ended (SIGKILL); it is started again in 3 s`);
    expect(said).toMatch(new RegExp(`${KILLED}-1 is started again, process \\d+`));
    // What its nodes warn of stands below: here that a peer is gone.
    expect(demo.process.stderr).toContainEqual(
      expect.stringMatching(new RegExp(`^us-east-1 │ warn +peer disconnected.*peer=${KILLED}-1`)),
    );
  });

  it('catches up once the faults are over: no region lags behind another', async () => {
    const hasNoLag = async () =>
      (await Promise.all(demo.clients().map((client) => client.health()))).every(({ peers }) =>
        peers.every(({ lagMs }) => (lagMs ?? 0) < 500),
      );
    await eventually(hasNoLag, { what: 'the end of all lag', withinMs: 10_000 });
  });
});
