import { CHANGES, COMMITTED, GREETING, type Message } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { SimulatedServer } from '../../../../test/simulation/simulated-database.ts';
import { codeOf, onCluster, optionsOf, type TestCluster } from './cluster.testing.ts';
import type { RequestOptions } from './service.ts';

const ONE_SHARED = { us: 1, eu: { sharing: 2 }, ap: 1 };

function database(cluster: TestCluster): SimulatedServer {
  const { disk } = cluster.member('eu-1');
  if (disk instanceof SimulatedServer) return disk;
  throw new Error('eu-1 stands on no database');
}

const merged = (cluster: TestCluster, node: string): number => cluster.node(node).figures().following.rowsMerged;
const sent = (cluster: TestCluster, node: string): number => cluster.node(node).figures().shipping.rowsSent;

/** Which node of `eu` follows an origin: it is shipped to. */
function followerOf(cluster: TestCluster, origin: string): () => string {
  let follower = '';
  cluster.passes = (from, to, message) => {
    if (from === origin && message[0] === CHANGES && to.startsWith('eu')) follower = to;
    return true;
  };
  return () => follower;
}

describe('two nodes on one store', () => {
  it('are one replica: each shows at once what was written through the other, to its session too', () =>
    onCluster(ONE_SHARED, async (cluster) => {
      const written = await cluster.put('eu-1', 'key', 'one');
      expect(await cluster.get('eu-2', 'key')).toEqual(['one']);
      const options = optionsOf({ level: 'session', session: written.head.session });
      const read = await cluster.node('eu-2').get('default', 'key', options);
      expect(read.head.receipt.node).toBe('eu-2');
      expect(read.head.receipt.store).toBe(written.head.receipt.store);
    }));

  it('take in what comes over a link once, and ship over it once', () =>
    onCluster(ONE_SHARED, async (cluster) => {
      const before = ['eu-1', 'eu-2'].map((node) => [merged(cluster, node), sent(cluster, node)]);
      for (let at = 0; at < 20; at++) await cluster.put('us-1', `key-${at}`, 'from us');
      for (let at = 0; at < 20; at++) await cluster.put(at % 2 === 0 ? 'eu-1' : 'eu-2', `eu-${at}`, 'from eu');
      await cluster.settle();
      const after = ['eu-1', 'eu-2'].map((node) => [merged(cluster, node), sent(cluster, node)]);
      const rows = (which: number): number =>
        after.reduce((sum, figures, at) => sum + (figures[which] as number) - (before[at]?.[which] as number), 0);
      expect(rows(0)).toBe(20);
      // To us and to ap.
      expect(rows(1)).toBe(40);
      for (const node of ['us-1', 'ap-1']) expect(await cluster.get(node, 'eu-19')).toEqual(['from eu']);
    }));

  it.each(['eu-1', 'eu-2'])('go on with all links within seconds after %s has died', (dead) =>
    onCluster(ONE_SHARED, async (cluster) => {
      const alive = dead === 'eu-1' ? 'eu-2' : 'eu-1';
      cluster.crash(dead);
      await cluster.put(alive, 'out', 'one');
      await cluster.put('us-1', 'in', 'one');
      await cluster.time.sleep(4_000);
      expect(await cluster.get('us-1', 'out')).toEqual(['one']);
      expect(await cluster.get('ap-1', 'out')).toEqual(['one']);
      expect(await cluster.get(alive, 'in')).toEqual(['one']);
    }),
  );

  it('take no new id where one of them starts beside the other, though no other region is to be had', () =>
    onCluster(ONE_SHARED, async (cluster) => {
      await cluster.put('eu-1', 'key', 'one');
      await cluster.settle();
      for (const eu of ['eu-1', 'eu-2']) for (const other of ['us-1', 'ap-1']) cluster.split(eu, other);
      const former = cluster.storeId('eu-1');
      cluster.crash('eu-2');
      await cluster.start('eu-2');
      await cluster.settle();
      await cluster.put('eu-2', 'key', 'two');
      expect(cluster.storeId('eu-2')).toBe(former);
    }));

  it('do not vouch for the store to one another where both start and nobody else is to be had', () =>
    onCluster(ONE_SHARED, async (cluster) => {
      await cluster.put('eu-1', 'key', 'one');
      await cluster.settle();
      const former = cluster.storeId('eu-1');
      for (const eu of ['eu-1', 'eu-2']) for (const other of ['us-1', 'ap-1']) cluster.split(eu, other);
      for (const eu of ['eu-1', 'eu-2']) cluster.crash(eu);
      for (const eu of ['eu-1', 'eu-2']) await cluster.start(eu);
      await cluster.settle();
      await cluster.put('eu-2', 'key', 'two');
      await cluster.put('eu-1', 'key', 'three');
      expect(cluster.storeId('eu-1')).not.toBe(former);
      expect(cluster.storeId('eu-2')).toBe(cluster.storeId('eu-1'));
    }));

  it('give the store a new id, and get back what others have of it, where its database fails over to a standby that lagged', () =>
    onCluster(ONE_SHARED, async (cluster) => {
      await cluster.put('eu-1', 'old', 'kept');
      await cluster.settle();
      const former = cluster.storeId('eu-1');
      await cluster.put('eu-2', 'young', 'one');
      await cluster.time.sleep(100);
      database(cluster).failOver();
      expect(database(cluster).state.sequence).toBeLessThan(3);
      await cluster.settle();
      expect(cluster.storeId('eu-1')).not.toBe(former);
      expect(cluster.storeId('eu-2')).toBe(cluster.storeId('eu-1'));
      for (const node of ['eu-1', 'eu-2', 'us-1']) {
        expect(await cluster.get(node, 'young')).toEqual(['one']);
        expect(await cluster.get(node, 'old')).toEqual(['kept']);
        expect(cluster.node(node).figures().isFilled).toBe(true);
      }
    }));

  it('do not say of what they show that it is as fresh as before the fail-over', () =>
    onCluster(ONE_SHARED, async (cluster) => {
      await cluster.node('us-1').putNamespace('near', { placement: { us: 1, eu: 1 } }, optionsOf());
      await cluster.settle();
      const writtenAtMs = cluster.time.nowMs;
      await cluster.put('us-1', 'young', 'one', { in: 'near' });
      await cluster.time.sleep(3_000);
      expect(await cluster.get('eu-1', 'young', { in: 'near' })).toEqual(['one']);
      for (const eu of ['eu-1', 'eu-2']) for (const other of ['us-1', 'ap-1']) cluster.split(eu, other);
      database(cluster).failOver();
      await cluster.time.sleep(1_000);
      for (const eu of ['eu-1', 'eu-2']) {
        const { values, head } = await cluster.node(eu).get('near', 'young', optionsOf());
        expect(values).toEqual([]);
        const { stalenessMs } = head.receipt;
        if (stalenessMs !== null) expect(stalenessMs).toBeGreaterThanOrEqual(cluster.time.nowMs - writtenAtMs);
      }
    }));

  it.each(
    (['eventual', 'session', 'quorum', 'strong'] as const).flatMap((level) => [
      { level, silent: ['us-1', 'ap-1'] },
      { level, silent: ['ap-1'] },
    ]),
  )(
    'answer at level $level when the time of the request is over, with the database away and $silent silent',
    ({ level, silent }) =>
      onCluster(ONE_SHARED, async (cluster) => {
        const node = cluster.node('eu-1');
        await node.putNamespace('exact', { mode: 'strong' }, optionsOf());
        const { head } = await cluster.put('us-1', 'key', 'one', { level: 'session' });
        await cluster.settle();
        const session = head.session;
        const range = { prefix: '', limit: 10 };
        const value = { body: new Uint8Array(1), contentType: 'text/plain' };
        const asks = {
          get: async (options: RequestOptions) => node.get('default', 'key', options),
          'get of a register': async (options: RequestOptions) => node.get('exact', 'key', options),
          list: (options: RequestOptions) => node.list('default', range, options),
          put: (options: RequestOptions) => node.put('default', 'key', value, undefined, options),
          create: (options: RequestOptions) => node.create('default', 'key', value, options),
          delete: (options: RequestOptions) => node.delete('default', 'key', head.context, options),
          'put of a register': (options: RequestOptions) => node.put('exact', 'key', value, undefined, options),
        };
        // Its peers are silent, which it has not noticed yet.
        cluster.passes = (from, to) => !silent.includes(from) && !silent.includes(to);
        database(cluster).stop();
        const startedAtMs = cluster.time.nowMs;
        const took = await Promise.all(
          [100, 700].flatMap((timeoutMs) =>
            Object.entries(asks).map(async ([name, ask]) => {
              const code = await codeOf(ask(optionsOf({ level, session, timeoutMs })));
              if (silent.length > 1)
                expect(code, `${name}, ${timeoutMs} ms`).toMatch(/UNAVAILABLE|UNKNOWN|NOT_COVERED/u);
              return { name, timeoutMs, lateMs: cluster.time.nowMs - startedAtMs - timeoutMs };
            }),
          ),
        );
        expect(took.filter(({ lateMs }) => lateMs > 20)).toEqual([]);
      }),
  );

  it('miss a single turn that a fail-over has lost, though the one that is written to has only heard of it', () =>
    onCluster(ONE_SHARED, async (cluster) => {
      await cluster.put('eu-1', 'old', 'kept');
      await cluster.settle();
      const former = cluster.storeId('eu-1');
      await cluster.put('eu-1', 'young', 'one');
      for (let waited = 0; waited < 150 && (await cluster.get('us-1', 'young')).length === 0; waited += 5)
        await cluster.time.sleep(5);
      database(cluster).failOver();
      const written = await codeOf(cluster.put('eu-2', 'other', 'acknowledged'));
      await cluster.settle();
      expect(cluster.storeId('eu-2')).not.toBe(former);
      expect(await cluster.get('eu-1', 'young')).toEqual(['one']);
      for (const node of ['us-1', 'ap-1'])
        expect(await cluster.get(node, 'other')).toEqual(written === 'no error' ? ['acknowledged'] : []);
    }));

  it('miss a turn that a fail-over has lost, though word of it did not come to the one that is written to', () =>
    onCluster(ONE_SHARED, async (cluster) => {
      await cluster.put('eu-1', 'old', 'kept');
      await cluster.settle();
      const former = cluster.storeId('eu-1');
      let unheard = 0;
      cluster.passes = (_from, _to, message) => {
        if (message[0] !== COMMITTED) return true;
        unheard += 1;
        return false;
      };
      await cluster.put('eu-1', 'young', 'one');
      expect(unheard).toBeGreaterThan(0);
      cluster.passes = () => true;
      database(cluster).failOver();
      const written = await codeOf(cluster.put('eu-2', 'other', 'acknowledged'));
      await cluster.settle();
      expect(cluster.storeId('eu-2')).not.toBe(former);
      for (const node of ['us-1', 'ap-1'])
        expect(await cluster.get(node, 'other')).toEqual(written === 'no error' ? ['acknowledged'] : []);
    }));

  it('write on where the other does not say what it has heard of', () =>
    onCluster(ONE_SHARED, async (cluster) => {
      await cluster.put('eu-1', 'old', 'kept');
      await cluster.settle();
      cluster.passes = (from, to) => !(from.startsWith('eu') && to.startsWith('eu'));
      // Connections break, and nothing is lost.
      database(cluster).stop();
      database(cluster).isDown = false;
      const startedAtMs = cluster.time.nowMs;
      await cluster.put('eu-2', 'key', 'two');
      expect(cluster.time.nowMs - startedAtMs).toBeLessThan(500);
    }));

  it('are one follower to others, whose disks are not older for having served the other of them', () =>
    onCluster(ONE_SHARED, async (cluster) => {
      const follower = followerOf(cluster, 'us-1');
      await cluster.put('us-1', 'a', '1');
      await cluster.put('ap-1', 'b', '1');
      await cluster.settle();
      const ids = ['us-1', 'ap-1'].map((node) => cluster.storeId(node));
      cluster.crash(follower());
      await cluster.time.sleep(5_000);
      expect(['us-1', 'ap-1'].map((node) => cluster.storeId(node))).toEqual(ids);
    }));

  it.each([
    ['it goes on', false],
    ['it has asked anew while it waited for its turn', true],
  ])(
    'claim nothing that neither has taken in, of what waited for one while the other followed, where %s',
    (_how, asksAnew) =>
      onCluster(ONE_SHARED, async (cluster) => {
        const { time, simulated } = cluster;
        const follower = followerOf(cluster, 'us-1');
        await cluster.put('us-1', 'probe', 'x');
        await cluster.settle();
        const first = follower();
        const second = first === 'eu-1' ? 'eu-2' : 'eu-1';
        const links = { toFirst: false, fromAp: false, toSecond: Number.POSITIVE_INFINITY };
        let batches = 0;
        cluster.passes = (from, to, message) => {
          if (message[0] !== CHANGES) return true;
          if (from === 'us-1' && to === first) return links.toFirst;
          if (from === 'us-1' && to === second) return ++batches <= links.toSecond;
          return from === 'ap-1' && to === 'us-1' && links.fromAp;
        };
        const news = async (value: string): Promise<void> => {
          links.fromAp = false;
          await cluster.put('ap-1', 'key', value);
          links.fromAp = true;
        };
        // The first cannot take in this; what comes after it waits at its door while it stands still.
        await cluster.put('us-1', 'key', 'from us');
        links.toFirst = true;
        await cluster.put('us-1', 'next', 'x');
        links.toFirst = false;
        simulated.pause(cluster.member(first));
        // The row moves up.
        await news('from ap');
        await time.sleep(300);
        for (let at = 0; at < 40; at++) await cluster.put('us-1', `more-${at}`, 'x');
        await news('from ap, later');
        await time.sleep(1_000);
        // The second follows. The end of its walk is late.
        links.toSecond = batches + 1;
        for (const untilMs = time.nowMs + 8_000; time.nowMs < untilMs && batches < links.toSecond; )
          await time.sleep(5);
        await time.sleep(400);
        const turn = asksAnew ? database(cluster).lock(() => undefined) : undefined;
        simulated.resume(cluster.member(first));
        if (turn) {
          await time.sleep(20);
          const { transport } = cluster.member(first).process ?? {};
          const { store } = cluster.member('us-1').process ?? {};
          const greeting = [GREETING, 'us-1', store?.id, store?.sequence, true, []];
          transport?.handler?.onMessage(cluster.member('us-1').name, greeting as unknown as Message);
          database(cluster).release(turn);
        }
        await time.sleep(300);
        cluster.passes = () => true;
        await cluster.settle();
        await time.sleep(30_000);
        const shown = async (node: string) => [...(await cluster.get(node, 'key'))].sort();
        expect(await shown('us-1')).toContain('from us');
        expect(await shown('eu-1')).toEqual(await shown('us-1'));
      }),
  );
});
