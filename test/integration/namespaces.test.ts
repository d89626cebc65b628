import type { LedgerItem, NamespaceInfo } from '@meridian/client/types';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { comparable, contentsOf } from '../support/changes.ts';
import { type Demo, REGIONS, type Region, startDemo } from '../support/demo.ts';
import { eventually } from '../support/eventually.ts';
import { ask, missingRegions } from '../support/http.ts';

const RACES = 24;
const DROPS = 10;

describe('namespaces in three regions', () => {
  let demo: Demo;
  const url = (region: Region, path: string) => `${demo.urls[region]}/namespaces${path}`;
  const create = (region: Region, name: string, body: object = {}) =>
    ask(url(region, `/${name}`), { method: 'PUT', body });

  beforeAll(async () => {
    demo = await startDemo({ wan: { rttMs: 10 } });
    await demo.isConnected();
  });

  afterAll(() => demo?.remove());

  /** Waits until a request gives the same answer in all regions, and that one is as it should be. */
  async function everywhere(
    path: string,
    isRight: (body: Record<string, unknown> | undefined, status: number) => boolean,
  ): Promise<void> {
    for (const region of REGIONS) {
      await eventually(
        async () => {
          const { body, status } = await ask(url(region, path));
          if (!isRight(body, status)) throw new Error(`${status} ${JSON.stringify(body)}`);
          return true;
        },
        { what: `the right answer of ${path} in ${region}`, withinMs: 10_000 },
      );
    }
  }

  it('can be used in every region as soon as they are created in one', async () => {
    const created = await create('us-east', 'orders', { defaultTtl: 3_600 });
    expect([created.status, created.body]).toEqual([
      201,
      {
        name: 'orders',
        mode: 'eventual',
        conflict: 'siblings',
        placement: 'all',
        defaultTtl: 3_600,
        ledger: { keepSeconds: expect.any(Number) },
      },
    ]);
    for (const region of REGIONS) {
      const put = await ask(url(region, `/orders/kv/of-${region}`), { method: 'PUT', body: { value: region } });
      expect(put.status).toBe(201);
      expect((await ask(url(region, '/orders'))).body).toEqual(created.body);
      const listed = (await ask(url(region, ''))).body?.namespaces as readonly NamespaceInfo[] | undefined;
      expect(listed?.map(({ name }) => name)).toEqual(['default', 'orders']);
    }
    for (const region of REGIONS)
      await everywhere(
        `/orders/kv/of-${region}`,
        (body) => body?.value === region && typeof body.expiresAt === 'string',
      );
  });

  it('are changed in part, but for what cannot change', async () => {
    expect((await create('eu-central', 'orders', { defaultTtl: null })).status).toBe(200);
    await everywhere('/orders', (body) => body?.defaultTtl === null && body.conflict === 'siblings');
    expect((await create('eu-central', 'orders', { placement: { 'us-east': 1 } })).status).toBeGreaterThanOrEqual(400);
    expect((await create('eu-central', 'orders', { mode: 'strong' })).body?.code).toBe('NAMESPACE_CONFLICT');
    for (const [body, code] of [
      [{ placement: { atlantis: 1 } }, /INVALID_NAMESPACE/],
      [{ placement: { 'us-east': 2 } }, /INVALID_NAMESPACE/],
      [{ placement: {} }, /INVALID_NAMESPACE/],
      [{ defaultTtl: 0 }, /INVALID_/],
      [{ colour: 'red' }, /INVALID_BODY/],
    ] as const)
      expect((await create('us-east', 'refused', body)).body?.code).toMatch(code);
    for (const name of ['_hidden', 'UPPER', 'dot.dot', 'x'.repeat(64)])
      expect((await create('us-east', name)).status).toBe(400);
    await everywhere('/refused', (body) => body?.code === 'NAMESPACE_NOT_FOUND');
  });

  it('are not there for anybody while they are unknown', async () => {
    for (const region of REGIONS) {
      for (const [method, path, body] of [
        ['GET', '/unknown', undefined],
        ['DELETE', '/unknown', undefined],
        ['GET', '/unknown/kv/a', undefined],
        ['GET', '/unknown/kv/', undefined],
        ['PUT', '/unknown/kv/a', { value: 1 }],
        ['DELETE', '/unknown/kv/a', undefined],
        ['POST', '/unknown/kv/', { key: 'a', value: 1 }],
        ['POST', '/unknown/kv/batch', { operations: [{ op: 'get', key: 'a' }] }],
        ['GET', '/unknown/ledger?key=a', undefined],
      ] as const) {
        const told = await ask(url(region, path), { method, body });
        expect([method, path, told.status, told.body?.code]).toEqual([method, path, 404, 'NAMESPACE_NOT_FOUND']);
      }
    }
  });

  it('are one and the same everywhere when two were created differently at once', async () => {
    const seen = new Set<string>();
    for (let race = 0; race < RACES; race++) {
      const name = `race-${race}`;
      const [one, other] = [REGIONS[race % 3] as Region, REGIONS[(race + 1) % 3] as Region];
      // Used as soon as each has its answer, before all know which of the two it is.
      const createAndUse = async (region: Region, body: object) => {
        const created = await create(region, name, body);
        const put = await ask(url(region, `/${name}/kv/${region}`), { method: 'PUT', body: { value: race } });
        return [created.status, created.body?.code, put.status, put.body?.code];
      };
      const placement = { 'us-east': 1, 'eu-central': 1, 'ap-northeast': race % 2 };
      const answers = await Promise.all([
        createAndUse(one, { conflict: 'siblings', defaultTtl: 111, placement: 'all' }),
        createAndUse(other, { conflict: 'lww', defaultTtl: 222, placement }),
      ]);
      // The later of the two may find that the placement was decided otherwise, which cannot be changed yet.
      const [created, changed, refused] = [
        [201, undefined],
        [200, undefined],
        [501, 'NOT_BUILT'],
      ].map((head) => [...head, 201, undefined]);
      for (const answer of answers) expect([created, changed, refused]).toContainEqual(answer);
      expect(answers).toContainEqual(created);
      const shown = await eventually(
        async () => {
          const [first, ...others] = await Promise.all(
            REGIONS.map(async (region) => JSON.stringify((await ask(url(region, `/${name}`))).body)),
          );
          return first !== undefined && others.every((text) => text === first) && first;
        },
        { what: `one definition of ${name}`, withinMs: 10_000 },
      );
      const definition = JSON.parse(shown) as NamespaceInfo;
      seen.add(String(definition.conflict));
      // No mixture of the two.
      expect([definition.conflict, definition.defaultTtl].join()).toMatch(/^(siblings,111|lww,222)$/);
      for (const region of [one, other]) await everywhere(`/${name}/kv/${region}`, (body) => body?.value === race);
    }
    console.info(`${RACES} races won by ${[...seen].join(' and ')}`);
  });

  it('with last writer wins show one value everywhere, and keep what it hid in the ledger, to be restored', async () => {
    expect((await create('us-east', 'profiles', { conflict: 'lww', ledger: { keepSeconds: 3_600 } })).status).toBe(201);
    await everywhere('/profiles', (body) => body?.conflict === 'lww');
    await demo.isolate('ap-northeast');
    for (const region of ['us-east', 'ap-northeast'] as const)
      expect(
        (await ask(url(region, '/profiles/kv/ada'), { method: 'PUT', body: { value: `of ${region}` } })).status,
      ).toBe(201);
    await demo.heal();
    const values = async () => {
      const bodies = await Promise.all(
        REGIONS.map(async (region) => (await ask(url(region, '/profiles/kv/ada'))).body),
      );
      for (const body of bodies) expect([body?.conflict, body?.siblings]).toEqual([false, undefined]);
      const ledgers = await Promise.all(REGIONS.map((region) => ledgerOf(region, 'ada')));
      const isEqual =
        bodies.every((body) => body?.value === bodies[0]?.value) && ledgers.every((items) => items.length === 1);
      return isEqual && { winner: bodies[0]?.value as string, ledgers };
    };
    const { winner, ledgers } = await eventually(values, { what: 'one winner and one loser everywhere' });
    const loser = winner === 'of us-east' ? 'of ap-northeast' : 'of us-east';
    for (const [item] of ledgers) expect(item).toMatchObject({ key: 'ada', value: loser, id: ledgers[0]?.[0]?.id });
    const id = ledgers[0]?.[0]?.id;
    expect(
      (await ask(url('eu-central', '/profiles/ledger/restore'), { method: 'POST', body: { key: 'ada', id } })).status,
    ).toBe(200);
    await everywhere('/profiles/kv/ada', (body) => body?.value === loser);
    const unknown = await ask(url('eu-central', '/profiles/ledger/restore'), {
      method: 'POST',
      body: { key: 'ada', id: 'us-east-1.none:1' },
    });
    expect([unknown.status, unknown.body?.code]).toEqual([404, 'LEDGER_ENTRY_NOT_FOUND']);
  });

  async function ledgerOf(region: Region, key: string): Promise<readonly LedgerItem[]> {
    return (await ask(url(region, `/profiles/ledger?key=${key}`))).body?.items as readonly LedgerItem[];
  }

  it('give their records as changes, which are taken again as they were given', async () => {
    const inSession = demo.client('us-east', { namespace: 'orders', session: true, consistency: 'session' });
    for (const key of ['first', 'second']) await inSession.put(key, key);
    await everywhere('/orders/kv/second', (body) => body?.value === 'second');
    for (const name of ['profiles', 'orders']) {
      const { records } = await contentsOf(demo.urls['us-east']);
      const given = [...records.values()].filter(({ namespace }) => namespace === name);
      expect(
        given.some(
          ({ ledger = [], siblings }) => ledger.length > 0 || siblings.some(({ session }) => session !== undefined),
        ),
      ).toBe(true);
      const told = await ask(`${demo.urls['ap-northeast']}/replicate/`, { method: 'POST', body: { records: given } });
      expect([told.status, told.body]).toEqual([200, { applied: 0, ignored: given.length, concurrent: 0 }]);
    }
  });

  it('share nothing with what had their name before', async () => {
    expect((await create('us-east', 'carts', { defaultTtl: 500 })).status).toBe(201);
    const keys = Array.from({ length: 30 }, (_, at) => `cart-${at}`);
    for (const key of keys)
      expect((await ask(url('us-east', `/carts/kv/${key}`), { method: 'PUT', body: { value: 'old' } })).status).toBe(
        201,
      );
    await everywhere('/carts/kv/cart-29', (body) => body?.value === 'old');
    const context = (await ask(url('eu-central', '/carts/kv/cart-0'))).headers.get('meridian-context') ?? '';
    expect((await ask(url('eu-central', '/carts'), { method: 'DELETE' })).status).toBe(204);
    await everywhere('/carts/kv/cart-0', (body) => body?.code === 'NAMESPACE_NOT_FOUND');
    expect((await ask(url('us-east', '/carts'), { method: 'DELETE' })).status).toBe(404);
    const again = await create('ap-northeast', 'carts', {});
    expect([again.status, again.body?.defaultTtl]).toEqual([201, null]);
    await everywhere('/carts/kv/', (body) => Array.isArray(body?.items) && body.items.length === 0);
    await everywhere('/carts/kv/cart-0', (body) => body?.code === 'KEY_NOT_FOUND');
    const stale = await ask(url('us-east', '/carts/kv/cart-0'), {
      method: 'PUT',
      body: { value: 'new' },
      headers: { 'meridian-context': context },
    });
    expect([stale.status, stale.body?.code]).toEqual([400, 'INVALID_CONTEXT']);
    expect((await ask(url('us-east', '/carts/kv/cart-0'), { method: 'PUT', body: { value: 'new' } })).status).toBe(201);
    await everywhere('/carts/kv/cart-0', (body) => body?.value === 'new' && body.conflict === false);
    for (const region of REGIONS) {
      const carts = async () =>
        [...(await contentsOf(demo.urls[region])).records].filter(([key]) => key.startsWith('carts/'));
      await eventually(async () => (await carts()).map(([key]) => key).join() === 'carts/cart-0', {
        what: `the new cart alone in ${region}`,
      });
    }
    const copies = await Promise.all(
      REGIONS.map(async (region) => (await contentsOf(demo.urls[region])).records.get('carts/cart-0')),
    );
    for (const copy of copies) expect(copy && comparable(copy)).toBe(copies[0] && comparable(copies[0]));
  });

  it('end in the same way everywhere, and hold the same, when one is changed and dropped at once', async () => {
    const ends = new Set<string>();
    for (let race = 0; race < DROPS; race++) {
      const name = `fleeting-${race}`;
      expect((await create('us-east', name)).status).toBe(201);
      const keys = Array.from({ length: 20 }, (_, at) => `key-${at}`);
      await Promise.all(
        keys.map((key) => ask(url('us-east', `/${name}/kv/${key}`), { method: 'PUT', body: { value: race } })),
      );
      for (const key of keys) await everywhere(`/${name}/kv/${key}`, (body) => body?.value === race);
      const [dropper, changer] = [REGIONS[race % 3] as Region, REGIONS[(race + 1) % 3] as Region];
      const told = await Promise.all([
        ask(url(dropper, `/${name}`), { method: 'DELETE' }),
        create(changer, name, { defaultTtl: 999 }),
      ]);
      // The change may find, before it is done or after, that the drop stands.
      const changed = expect.toBeOneOf([200, 201, 404, 409]) as number;
      expect(told.map(({ status }) => status)).toEqual([204, changed]);
      const held = async () => {
        const all = await Promise.all(
          REGIONS.map(async (region) => {
            const { status, body } = await ask(url(region, `/${name}`));
            const records = [...(await contentsOf(demo.urls[region])).records].filter(([key]) =>
              key.startsWith(`${name}/`),
            );
            return JSON.stringify([
              status,
              status === 200 ? body : body?.code,
              records.map(([key, record]) => `${key} ${comparable(record)}`).sort(),
            ]);
          }),
        );
        if (all.some((one) => one !== all[0]))
          throw new Error(
            `${REGIONS.join(', ')} hold ${all.map((one) => `${one.slice(0, 120)}... (${one.length} characters)`).join(' and ')}`,
          );
        return all[0];
      };
      ends.add(
        (await eventually(held, { what: `the same end of ${name} everywhere`, withinMs: 8_000 }))?.slice(0, 5) ?? '',
      );
    }
    console.info(`${DROPS} races ended with ${[...ends].join(' and ')}`);
  });

  it('are neither created, nor changed, nor dropped without a majority, and go on being used', async () => {
    await demo.isolate('ap-northeast');
    for (const told of [
      await create('ap-northeast', 'alone'),
      await create('ap-northeast', 'orders', { defaultTtl: 60 }),
      await ask(url('ap-northeast', '/orders'), { method: 'DELETE' }),
    ]) {
      expect([told.status, told.body?.code]).toEqual([503, 'QUORUM_UNAVAILABLE']);
      expect(told.body).toMatchObject({ required: 2, reached: 1 });
      expect(missingRegions(told)).toEqual(['eu-central', 'us-east']);
    }
    expect((await create('us-east', 'majority')).status).toBe(201);
    expect((await ask(url('ap-northeast', '/orders/kv/alone'), { method: 'PUT', body: { value: 1 } })).status).toBe(
      201,
    );
    await demo.heal();
    await everywhere('/majority', (body) => body?.name === 'majority');
    await everywhere('/alone', (body) => body?.code === 'NAMESPACE_NOT_FOUND');
    await everywhere('/orders', (body) => body?.defaultTtl === null);
    await everywhere('/orders/kv/alone', (body) => body?.value === 1);
  });
});
