import { describe, expect, it } from 'vitest';
import { codeOf, THREE_REGIONS } from '../cluster.testing.ts';
import { isAccept, isNews, isPrepare } from '../register-messages.testing.ts';
import { onStrongCluster } from '../strong.testing.ts';

const NODES = ['us-1', 'eu-1', 'ap-1'] as const;

describe('a wiped store that comes back in a strong namespace', () => {
  it('answers for no register until it has heard of all that it may have accepted', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      // us-1 and eu-1 accept, and ap-1 hears nothing of it.
      cluster.split('ap-1', 'us-1');
      cluster.split('ap-1', 'eu-1');
      await clients.put('us-1', 'key', 'two');
      await cluster.time.sleep(500);
      cluster.wipe('us-1');
      cluster.crash('eu-1');
      cluster.heal();
      await cluster.start('us-1');
      await cluster.settle();
      // A majority is there; it must not choose without what eu-1 alone still knows.
      for (const node of ['us-1', 'ap-1']) {
        expect(await codeOf(clients.get(node, 'key'))).toBe('QUORUM_UNAVAILABLE');
        expect(await codeOf(clients.put(node, 'key', 'three'))).toBe('QUORUM_UNAVAILABLE');
      }
      await cluster.start('eu-1');
      await cluster.settle();
      cluster.crash('eu-1');
      await cluster.settle();
      for (const node of ['us-1', 'ap-1']) expect(await clients.get(node, 'key')).toBe('two');
    }));

  it('comes to know what it had accepted below what another has promised since', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      // eu-1 has promised a high ballot, to itself alone.
      cluster.passes = (from, _to, message) => !(from === 'eu-1' && isPrepare(message));
      const unheard = clients.put('eu-1', 'key', 'unheard', undefined, { timeoutMs: 200 });
      expect(await codeOf(unheard)).toBe('QUORUM_UNAVAILABLE');
      // Chosen by us-1 and ap-1, and ap-1 does not know that it is.
      cluster.passes = (from, _to, message) => !(from === 'us-1' && isNews(message));
      await clients.put('us-1', 'key', 'two');
      cluster.wipe('us-1');
      // It hears first of the promise, and then of what stands below it.
      cluster.passes = () => true;
      cluster.split('us-1', 'ap-1');
      await cluster.start('us-1');
      await cluster.time.sleep(1_000);
      expect(cluster.node('us-1').figures().isFilled).toBe(false);
      cluster.heal();
      for (let at = 0; at < 100 && !cluster.node('us-1').figures().isFilled; at++) await cluster.time.sleep(20);
      expect(cluster.node('us-1').figures().isFilled).toBe(true);
      cluster.crash('ap-1');
      expect(await clients.get('us-1', 'key')).toBe('two');
      expect(await clients.get('eu-1', 'key')).toBe('two');
    }));

  it('is written to again by a node that had written last before, as by others', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      // ap-1 has the next ballot promised, by a store that is no more.
      await clients.put('ap-1', 'key', 'one');
      await cluster.settle();
      cluster.wipe('us-1');
      await cluster.start('us-1');
      await cluster.settle();
      cluster.split('ap-1', 'eu-1');
      const second = await clients.put('ap-1', 'key', 'two');
      expect(second.existed).toBe(true);
      expect(await clients.get('us-1', 'key')).toBe('two');
      cluster.heal();
      await cluster.settle();
      await clients.put('us-1', 'key', 'three');
      cluster.crash('us-1');
      await cluster.settle();
      for (const node of ['eu-1', 'ap-1']) expect(await clients.get(node, 'key')).toBe('three');
    }));

  it('brings back nothing that it alone had accepted, and loses nothing that was acknowledged', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      cluster.passes = (from, _to, message) => !(from === 'us-1' && (isAccept(message) || isNews(message)));
      const lost = clients.put('us-1', 'key', 'two', undefined, { timeoutMs: 200 });
      expect(await codeOf(lost)).toBe('OUTCOME_UNKNOWN');
      cluster.wipe('us-1');
      cluster.passes = () => true;
      await cluster.settle();
      expect(await clients.get('eu-1', 'key')).toBe('one');
      const { head } = await clients.put('eu-1', 'key', 'three');
      await cluster.start('us-1');
      await cluster.settle();
      for (const node of NODES) {
        const read = await clients.read(node, 'key');
        expect(read.head.etag).toBe(head.etag);
        expect(await clients.relaxed(node, 'key')).toBe('three');
      }
    }));

  it.each(['get', 'quorum'] as const)(
    'takes no other that was wiped with it for one that has all, while a third is away: read by %s',
    (how) =>
      onStrongCluster({ us: 1, eu: 1, ap: 1, sa: 1, af: 1 }, {}, async (clients, cluster) => {
        const read = (node: string) =>
          how === 'get'
            ? clients.get(node, 'key').then((value) => [value])
            : cluster.get(node, 'plain', { level: 'quorum' });
        await clients.put('us-1', 'key', 'one');
        await cluster.settle();
        // sa-1 and af-1 hear nothing of it.
        for (const one of ['us-1', 'eu-1', 'ap-1']) for (const other of ['sa-1', 'af-1']) cluster.split(one, other);
        await clients.put('us-1', 'key', 'two');
        await cluster.put('us-1', 'plain', 'two', { level: 'quorum' });
        await cluster.time.sleep(500);
        cluster.crash('us-1');
        cluster.wipe('eu-1');
        cluster.wipe('ap-1');
        cluster.heal();
        for (const node of ['eu-1', 'ap-1']) await cluster.start(node);
        await cluster.settle();
        for (const node of ['eu-1', 'sa-1']) expect(await codeOf(read(node))).toBe('QUORUM_UNAVAILABLE');
        await cluster.start('us-1');
        await cluster.settle();
        for (const node of ['us-1', 'eu-1', 'ap-1', 'sa-1', 'af-1']) expect(await read(node)).toEqual(['two']);
      }),
  );

  it('applies a retry under an idempotency key no second time', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      const order = { idempotencyKey: 'order-7' };
      const first = await clients.put('us-1', 'key', 'ordered', order);
      const later = await clients.put('ap-1', 'key', 'later');
      await cluster.settle();
      cluster.wipe('us-1');
      await cluster.start('us-1');
      await cluster.settle();
      expect((await clients.put('us-1', 'key', 'ordered', order)).head.etag).toBe(first.head.etag);
      expect((await clients.read('eu-1', 'key')).head.etag).toBe(later.head.etag);
    }));

  it('can be each of three in turn, with every write in between kept', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      const written = new Map<string, string>();
      for (let turn = 0; turn < 6; turn++) {
        const wiped = NODES[turn % 3] as string;
        const other = NODES[(turn + 1) % 3] as string;
        for (const node of NODES) {
          const key = `of-${node}`;
          written.set(key, `${turn}`);
          await clients.put(node, key, `${turn}`);
        }
        cluster.wipe(wiped);
        written.set('meanwhile', `${turn}`);
        await clients.put(other, 'meanwhile', `${turn}`);
        await cluster.start(wiped);
        await cluster.settle();
        expect(cluster.node(wiped).figures().isFilled).toBe(true);
        for (const [key, value] of written) expect(await clients.get(wiped, key)).toBe(value);
      }
    }));
});
