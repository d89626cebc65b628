import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Demo, REGIONS, type Region, startDemo } from '../support/demo.ts';
import { eventually } from '../support/eventually.ts';
import { ask, type HttpTold, missingRegions, wasRefused } from '../support/http.ts';

const ROUNDS = 40;
const WRITERS_PER_REGION = 3;
const COUNTERS = 4;
const PAUSE_MS = 15;
const KILLED = 'us-east';

interface Created {
  readonly key: string;
  readonly etag: string;
}

interface Counter {
  acknowledged: number;
  /** Additions that may have taken effect. */
  unknown: number;
}

describe('a namespace of mode strong in three regions', () => {
  let demo: Demo;
  const after = (region: Region, steps: number): Region =>
    REGIONS[(REGIONS.indexOf(region) + steps) % REGIONS.length] as Region;
  const url = (region: Region, key: string, query = '') => `${demo.urls[region]}/namespaces/exact/kv/${key}${query}`;
  const get = (region: Region, key: string, query = '') => ask(url(region, key, query));
  const put = (region: Region, key: string, value: unknown, headers: Record<string, string> = {}) =>
    ask(url(region, key), { method: 'PUT', body: { value }, headers });
  const etagOf = ({ headers }: HttpTold): string => headers.get('etag') ?? '';

  beforeAll(async () => {
    demo = await startDemo();
    await demo.isConnected();
    const created = await ask(`${demo.urls['us-east']}/namespaces/exact`, { method: 'PUT', body: { mode: 'strong' } });
    expect([created.status, created.body?.mode]).toEqual([201, 'strong']);
  });

  afterAll(() => demo?.remove());

  it('lets exactly one of three regions win each round of compare-and-set', async () => {
    const wins = new Map<Region, number>();
    let etag = etagOf(await put('us-east', 'contended', 'begin'));
    for (let round = 0; round < ROUNDS; round++) {
      const tried = await Promise.all(
        REGIONS.map(async (region, at) => {
          // Not always in the same order.
          await sleep(((round + at) % 3) * 0.5);
          return put(region, 'contended', `${round} of ${region}`, { 'if-match': etag });
        }),
      );
      expect(tried.map(({ status }) => status).toSorted((left, right) => left - right)).toEqual([200, 412, 412]);
      const winner = REGIONS[tried.findIndex(({ status }) => status === 200)] as Region;
      wins.set(winner, (wins.get(winner) ?? 0) + 1);
      etag = etagOf(tried[REGIONS.indexOf(winner)] as HttpTold);
      for (const region of REGIONS) {
        const found = await get(region, 'contended');
        expect([found.body?.value, etagOf(found)]).toEqual([`${round} of ${winner}`, etag]);
      }
    }
    console.info(`${ROUNDS} rounds won: ${[...wins].map(([region, count]) => `${region} ${count}`).join(', ')}`);
  });

  it('lets exactly one of three regions create a key, with If-None-Match and with POST', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const key = `lock-${round}`;
      const tried = await Promise.all(
        REGIONS.map((region) =>
          round % 2 === 0
            ? put(region, key, region, { 'if-none-match': '*' })
            : ask(url(region, ''), { method: 'POST', body: { key, value: region } }),
        ),
      );
      const refused = round % 2 === 0 ? [412, 'CONDITION_FAILED'] : [409, 'KEY_EXISTS'];
      const winner = tried.findIndex(({ status }) => status === 201);
      expect(winner).toBeGreaterThanOrEqual(0);
      tried.forEach(({ status, body }, at) => {
        if (at !== winner) expect([status, body?.code]).toEqual(refused);
      });
      for (const region of REGIONS) expect((await get(region, key)).body?.value).toBe(REGIONS[winner]);
    }
  });

  it('says what a conditional request cannot have', async () => {
    const { headers } = await put('us-east', 'plain', 'value');
    const tag = headers.get('etag') ?? '';
    expect((await put('eu-central', 'plain', 'no', { 'if-match': `W/${tag}` })).body?.code).toBe('CONDITION_FAILED');
    expect((await put('eu-central', 'plain', 'no', { 'if-none-match': tag })).body?.code).toBe('INVALID_PARAMETER');
    expect((await put('eu-central', 'plain', 'no', { 'if-match': tag, 'if-none-match': '*' })).body?.code).toBe(
      'INVALID_PARAMETER',
    );
    const inDefault = await ask(`${demo.urls['us-east']}/kv/plain`, {
      method: 'PUT',
      body: { value: 1 },
      headers: { 'if-match': '*' },
    });
    expect([inDefault.status, inDefault.body?.code]).toEqual([409, 'CONDITION_NEEDS_STRONG_NAMESPACE']);
    const deleted = await ask(url('ap-northeast', 'plain'), { method: 'DELETE', headers: { 'if-match': tag } });
    expect(deleted.status).toBe(204);
    expect((await get('us-east', 'plain')).body?.code).toBe('KEY_NOT_FOUND');
  });

  describe('while one region is killed in the middle of a load, and comes back', () => {
    const created: Created[] = [];
    const counters: Counter[] = Array.from({ length: COUNTERS }, () => ({ acknowledged: 0, unknown: 0 }));
    const problems: string[] = [];
    let retries = 0;
    let isOver = false;

    beforeAll(async () => {
      for (let at = 0; at < COUNTERS; at++) await put('us-east', `counter-${at}`, 0);
      const writers = REGIONS.flatMap((region) =>
        Array.from({ length: WRITERS_PER_REGION }, (_none, at) => write(region, `${region}-${at}`)),
      );
      await sleep(1_500);
      await demo.kill(KILLED);
      await sleep(1_000);
      await demo.isReady(KILLED);
      await sleep(1_500);
      isOver = true;
      await Promise.all(writers);
      await demo.isConnected();
      const sum = (of: keyof Counter) => counters.reduce((total, counter) => total + counter[of], 0);
      console.info(
        `${created.length} creations, ${retries} tries of them again; ${sum('acknowledged')} additions, ${sum('unknown')} unknown`,
      );
    }, 60_000);

    async function write(region: Region, name: string): Promise<void> {
      for (let count = 0; !isOver; count++) {
        await create(region, `of-${name}-${count}`);
        await add(region, count % COUNTERS);
        await sleep(PAUSE_MS);
      }
    }

    /** Tried through one region after another until one says that it stands. */
    async function create(home: Region, key: string): Promise<void> {
      const headers = { 'if-none-match': '*', 'idempotency-key': key };
      for (let tries = 0; tries < 200; tries++) {
        const told = await put(after(home, tries), key, key, headers).catch(() => undefined);
        if (told?.status === 201) {
          created.push({ key, etag: etagOf(told) });
          return;
        }
        // 412 would say that somebody else has made it: it was a try of this very request.
        if (told && told.status < 500) problems.push(`${key}: ${told.status} ${String(told.body?.code)}`);
        retries += 1;
        await sleep(20);
      }
      problems.push(`${key} was never created`);
    }

    async function add(region: Region, at: number): Promise<void> {
      const counter = counters[at] as Counter;
      const found = await get(region, `counter-${at}`).catch(() => undefined);
      if (found?.status !== 200) return;
      const value = Number(found.body?.value) + 1;
      try {
        const { status, body } = await put(region, `counter-${at}`, value, { 'if-match': etagOf(found) });
        if (status === 200) counter.acknowledged += 1;
        else if (body?.code === 'OUTCOME_UNKNOWN' || status < 503) {
          if (status !== 412) counter.unknown += 1;
        } else if (!/UNAVAILABLE|SHUTTING_DOWN/.test(String(body?.code)))
          problems.push(`counter: ${status} ${String(body?.code)}`);
      } catch (error) {
        if (!wasRefused(error)) counter.unknown += 1;
      }
    }

    it('goes on in the others, with no request applied twice or refused for its own sake', () => {
      expect(problems).toEqual([]);
      expect(created.length).toBeGreaterThan(100);
      expect(retries).toBeGreaterThan(0);
      for (const { acknowledged } of counters) expect(acknowledged).toBeGreaterThan(0);
    });

    it('loses nothing that was acknowledged, in any region', async () => {
      for (const region of REGIONS) {
        const lost: string[] = [];
        for (let at = 0; at < created.length; at += 32) {
          const some = created.slice(at, at + 32);
          const told = await Promise.all(some.map(({ key }) => get(region, key)));
          some.forEach(({ key, etag }, index) => {
            const found = told[index] as HttpTold;
            if (found.body?.value !== key || etagOf(found) !== etag)
              lost.push(`${key}: ${found.status} ${etagOf(found)}`);
          });
        }
        expect(lost).toEqual([]);
      }
    });

    it('counts every addition once', async () => {
      for (const [at, { acknowledged, unknown }] of counters.entries()) {
        const values = await Promise.all(
          REGIONS.map(async (region) => (await get(region, `counter-${at}`)).body?.value),
        );
        expect(new Set(values).size).toBe(1);
        expect(values[0]).toBeGreaterThanOrEqual(acknowledged);
        expect(values[0]).toBeLessThanOrEqual(acknowledged + unknown);
      }
    });

    it('shows the same to relaxed reads, once it is quiet', async () => {
      for (const region of REGIONS) {
        await eventually(
          async () => {
            const told = await Promise.all(created.map(({ key }) => get(region, key, '?consistency=eventual')));
            return told.every((found, at) => etagOf(found) === created[at]?.etag);
          },
          { what: `all that was created in ${region}`, everyMs: 500 },
        );
      }
    });

    it('has it all after a stop and a start of everything', async () => {
      const { dataDir } = demo;
      await demo.stop();
      demo = await startDemo({ dataDir });
      await demo.isConnected();
      const told = await Promise.all(created.map(({ key }, at) => get(REGIONS[at % 3] as Region, key)));
      expect(told.map((found) => etagOf(found))).toEqual(created.map(({ etag }) => etag));
      const { key, etag } = created[0] as Created;
      const again = await put('ap-northeast', key, key, { 'if-none-match': '*', 'idempotency-key': key });
      expect([again.status, etagOf(again)]).toEqual([201, etag]);
      const other = await put('ap-northeast', key, 'other', { 'idempotency-key': key });
      expect([other.status, other.body?.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
    });
  });

  it('answers no majority with 503, with figures, and relaxed reads all the same', async () => {
    await put('us-east', 'alone', 'value');
    await eventually(async () => (await get('us-east', 'alone', '?consistency=eventual')).status === 200, {
      what: 'the value in us-east',
    });
    await Promise.all([demo.kill('eu-central'), demo.kill('ap-northeast')]);
    const [write, read] = await eventually(
      async () => {
        const both = await Promise.all([put('us-east', 'alone', 'no'), get('us-east', 'alone')]);
        return both.every(({ status }) => status === 503) && both;
      },
      { what: 'a region that knows that it is alone', withinMs: 3_000, everyMs: 20 },
    );
    for (const told of [write, read]) {
      expect(told?.body).toMatchObject({ code: 'QUORUM_UNAVAILABLE', required: 2, reached: 1 });
      expect(missingRegions(told as HttpTold)).toEqual(['ap-northeast', 'eu-central']);
    }
    expect((await get('us-east', 'alone', '?consistency=eventual')).body?.value).toBe('value');
    await demo.isReady('eu-central');
    await demo.isReady('ap-northeast');
    await demo.isConnected();
    expect((await get('ap-northeast', 'alone')).status).toBe(200);
  });
});
