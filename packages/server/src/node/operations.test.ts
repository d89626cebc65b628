import { type NodeName, recordKey } from '@meridian/core/ids';
import { partitionOf } from '@meridian/core/placement/partition';
import { CHANGES, FOLLOW, REQUEST, STATUS } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { xxh3Hashes } from '../adapters/system/xxh3-hashes.ts';
import { namespaceIdFor } from './catalog.ts';
import { codeOf, onCluster, optionsOf, type TestCluster, THREE_REGIONS } from './cluster.testing.ts';
import type { RegionStatus } from './service.ts';

async function regionsBy(cluster: TestCluster, node: string): Promise<Record<string, RegionStatus>> {
  return Object.fromEntries((await cluster.node(node).regions()).map((region) => [region.name, region]));
}

describe('health', () => {
  it('is well while the store is filled and writable and all peers are there', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.put('us-1', 'key', 'value');
      await cluster.settle();
      const health = await cluster.node('us-1').health();
      expect(health).toMatchObject({
        status: 'ok',
        node: 'us-1',
        region: 'us',
        version: 'simulated',
        uptimeSeconds: 16,
        store: { id: cluster.storeId('us-1'), name: 'us-1', engine: 'simulated', keys: 1, isFilled: true },
      });
      expect(health.store.sequence).toBe(cluster.member('us-1').process?.store.sequence);
      expect(health.peers).toEqual([
        { node: 'eu-1', region: 'eu', reachable: true, rttMs: expect.any(Number), lagMs: 0 },
        { node: 'ap-1', region: 'ap', reachable: true, rttMs: expect.any(Number), lagMs: 0 },
      ]);
    }));

  it('is degraded while a peer is away, which says how far behind it is', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.split('us-1', 'eu-1');
      await cluster.put('us-1', 'key', 'value');
      await cluster.settle();
      const { status, peers } = await cluster.node('us-1').health();
      expect(status).toBe('degraded');
      const [eu, ap] = peers;
      expect(eu).toMatchObject({ node: 'eu-1', reachable: false });
      expect(eu?.lagMs).toBeGreaterThan(7_500);
      expect(eu?.lagMs).toBeLessThan(8_500);
      expect(ap).toMatchObject({ node: 'ap-1', reachable: true, lagMs: 0 });
      cluster.heal();
      await cluster.settle();
      expect((await cluster.node('us-1').health()).status).toBe('ok');
    }));

  it('knows how far behind a peer is whose question to be shipped to was lost', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.crash('eu-1');
      await cluster.put('us-1', 'key', 'value');
      cluster.crash('us-1');
      cluster.passes = (from, to, message) => !(from === 'eu-1' && to === 'us-1' && message[0] === FOLLOW);
      await cluster.start('us-1');
      await cluster.start('eu-1');
      const lagOfEu = async () =>
        (await cluster.node('us-1').health()).peers.find(({ node }) => node === 'eu-1')?.lagMs;
      await cluster.settle();
      expect(await lagOfEu()).toBeGreaterThan(1_000);
      cluster.passes = () => true;
      await cluster.settle();
      expect(await lagOfEu()).toBe(0);
    }));

  it('is degraded while the disk is full, and well again with the first write that finds room', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const disk = cluster.disk('us-1');
      disk.isFull = true;
      expect(await codeOf(cluster.put('us-1', 'key', 'value'))).toBe('STORE_FULL');
      expect(await cluster.node('us-1').health()).toMatchObject({
        status: 'degraded',
        store: { isWritable: false, bytesFree: 0 },
      });
      disk.isFull = false;
      await cluster.put('us-1', 'key', 'value');
      expect(await cluster.node('us-1').health()).toMatchObject({ status: 'ok', store: { isWritable: true } });
    }));

  it('is degraded while a store takes in what it should hold', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.passes = (_from, _to, message) => message[0] !== CHANGES;
      cluster.wipe('us-1');
      await cluster.start('us-1');
      await cluster.settle();
      const { status, store, peers } = await cluster.node('us-1').health();
      expect([status, store.isFilled, ...peers.map(({ reachable }) => reachable)]).toEqual([
        'degraded',
        false,
        true,
        true,
      ]);
    }));

  it('says that the node stops, and the node is not ready then', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const node = cluster.node('us-1');
      expect(node.isReady()).toBe(true);
      const stopped = node.stop();
      expect(node.isReady()).toBe(false);
      expect((await node.health()).status).toBe('stopping');
      await stopped;
    }));
});

describe('regions', () => {
  it('show each node as seen from here, and sums of them', () =>
    onCluster({ us: 2, eu: 1 }, async (cluster) => {
      await cluster.node('us-1').putNamespace('near', { placement: { us: 1 } }, optionsOf());
      for (let at = 0; at < 40; at++) await cluster.put('us-1', `key-${at}`, 'value', { in: 'near' });
      await cluster.settle();
      const { us, eu } = await regionsBy(cluster, 'us-1');
      const [first, second] = us?.nodes ?? [];
      expect(first).toMatchObject({ name: 'us-1', http: '-', store: 'us-1', reachable: true, rttMs: 0, lagMs: 0 });
      expect(second).toMatchObject({ name: 'us-2', reachable: true, lagMs: 0 });
      expect(second?.rttMs).toBeGreaterThan(0);
      // The definition of the namespace is a record too, and every store has it.
      expect(us?.keys).toBe(42);
      expect((first?.keys ?? 0) + (second?.keys ?? 0)).toBe(42);
      for (const node of [first, second]) expect(node?.keys).toBeGreaterThan(1);
      expect(us?.bytes).toBe((first?.bytes ?? 0) + (second?.bytes ?? 0));
      expect(us).toMatchObject({ reachable: true, rttMs: 0, lagMs: 0 });
      expect(eu).toMatchObject({ reachable: true, keys: 1, lagMs: 0 });
      expect(eu?.rttMs).toBeGreaterThan(second?.rttMs ?? 0);
    }));

  it('of which one is cut off show what is known of it: how far behind it is, not what it holds', () =>
    onCluster({ us: 2, eu: 1 }, async (cluster) => {
      for (const node of ['us-1', 'us-2']) cluster.split(node, 'eu-1');
      for (let at = 0; at < 40; at++) await cluster.put('us-1', `key-${at}`, 'value');
      await cluster.settle();
      const { us, eu } = await regionsBy(cluster, 'us-1');
      expect(us).toMatchObject({ reachable: true, keys: 40 });
      expect(eu).toMatchObject({ reachable: false, keys: null, bytes: null });
      expect(eu?.lagMs).toBeGreaterThan(7_500);
    }));

  it('of which one node is away are there still, and as far behind as that node', () =>
    onCluster({ us: 2, eu: 1 }, async (cluster) => {
      cluster.crash('us-2');
      for (let at = 0; at < 40; at++) await cluster.put('eu-1', `key-${at}`, 'value');
      await cluster.settle();
      const { us } = await regionsBy(cluster, 'eu-1');
      expect(us?.nodes.map(({ reachable }) => reachable)).toEqual([true, false]);
      expect(us?.nodes[0]?.lagMs).toBe(0);
      expect(us?.reachable).toBe(true);
      expect(us?.lagMs).toBeGreaterThan(7_500);
    }));

  it('are answered in time where a node that is there says nothing of what it holds', () =>
    onCluster({ us: 2, eu: 1 }, async (cluster) => {
      cluster.passes = (_from, to, message) => !(to === 'us-2' && message[0] === REQUEST && message[4][0] === STATUS);
      const askedAtMs = cluster.time.nowMs;
      const { us } = await regionsBy(cluster, 'us-1');
      expect(cluster.time.nowMs - askedAtMs).toBeLessThan(1_600);
      expect(us?.nodes[1]).toMatchObject({ reachable: true, keys: null, bytes: null });
      expect(us?.keys).not.toBeNull();
      expect(us?.keys).toBe(us?.nodes[0]?.keys);
    }));
});

describe('the ring', () => {
  it('lists the replicas of a key nearest first, and says why each', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const answer = await cluster.node('ap-1').ring('default', 'cart');
      const [usMs, euMs] = cluster
        .node('ap-1')
        .figures()
        .peers.map(({ rttMs }) => rttMs);
      expect(usMs).toBeLessThan(euMs ?? 0);
      expect(answer).toEqual({
        key: 'cart',
        namespace: 'default',
        partition: partitionOf(xxh3Hashes.text, recordKey(namespaceIdFor('default', 1), 'cart')),
        placement: 'all',
        preferenceList: [
          {
            store: 'ap-1',
            region: 'ap',
            nodes: ['ap-1'],
            reachable: true,
            why: "the only store of ap; this node's own store",
          },
          {
            store: 'us-1',
            region: 'us',
            nodes: ['us-1'],
            reachable: true,
            why: `the only store of us; round trip ${usMs} ms`,
          },
          {
            store: 'eu-1',
            region: 'eu',
            nodes: ['eu-1'],
            reachable: true,
            why: `the only store of eu; round trip ${euMs} ms`,
          },
        ],
      });
    }));

  it('says which replica cannot be reached, and that a distance was never measured', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (const node of ['us-1', 'eu-1', 'ap-1']) cluster.crash(node);
      await cluster.start('us-1');
      await cluster.settle();
      const { preferenceList } = await cluster.node('us-1').ring('default', 'cart');
      expect(preferenceList.map(({ reachable }) => reachable)).toEqual([true, false, false]);
      for (const { why } of preferenceList.slice(1)) expect(why).toMatch(/^the only store of .*; round trip unknown$/);
    }));

  it('tells the stores of one region apart by the place of the key', () =>
    onCluster({ us: 2, eu: 1 }, async (cluster) => {
      const holders = new Set<NodeName | undefined>();
      for (let at = 0; at < 20; at++) {
        const { partition, preferenceList } = await cluster.node('us-1').ring('default', `key-${at}`);
        const [first, ...others] = preferenceList;
        holders.add(first?.nodes[0]);
        const whose = first?.store === 'us-1' ? "this node's own store" : "this node's own region";
        expect(first?.why).toBe(`one of 2 stores of us, next on its ring from partition ${partition}; ${whose}`);
        expect(others.map(({ store }) => store)).toEqual(['eu-1']);
      }
      expect(holders).toEqual(new Set(['us-1', 'us-2']));
    }));

  it('knows no namespace that is not there', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      expect(await codeOf(cluster.node('us-1').ring('none', 'cart'))).toBe('NAMESPACE_NOT_FOUND');
    }));
});
