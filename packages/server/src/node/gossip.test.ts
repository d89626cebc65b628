import type { StoreId, StoreName } from '@meridian/core/ids';
import { CHANGES, GREETING, PING, PONG, READ, REQUEST } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import {
  codeOf,
  crashOntoOlderDisk,
  onCluster,
  optionsOf,
  type TestCluster,
  THREE_REGIONS,
} from './cluster.testing.ts';
import { UNANSWERED_MS } from './limits.ts';

/** Puts `node` on a disk as it was before its last writes, which its peers have seen. */
async function restoreOlderDisk(cluster: TestCluster, node: string): Promise<void> {
  const member = cluster.member(node);
  await cluster.put(node, 'old', 'kept');
  await cluster.settle();
  const backup = cluster.disk(node).copy();
  await cluster.put(node, 'young', 'one');
  await cluster.put(node, 'young', 'two');
  await cluster.settle();
  cluster.crash(node);
  member.disk = backup;
}

/** Of the last write of us-1 only eu-1 knows, which it hears last; ap-1 has written meanwhile. */
async function restoreDiskThatOnlyEuIsAheadOf(cluster: TestCluster): Promise<void> {
  await crashOntoOlderDisk(cluster);
  for (let at = 0; at < 10; at++) await cluster.put('ap-1', `more-${at}`, 'x');
  await cluster.settle();
  cluster.heal();
  cluster.split('us-1', 'eu-1');
}

describe('a store that was restored from an older disk', () => {
  it('takes a new id before its first write, gets back what it lost, and issues no dot twice', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const former = cluster.storeId('us-1');
      await restoreOlderDisk(cluster, 'us-1');
      await cluster.start('us-1');
      const answer = await cluster.put('us-1', 'new', 'value', { timeoutMs: 5_000 });
      expect(answer.head.receipt.store).not.toBe(former);
      await cluster.settle();
      for (const node of ['us-1', 'eu-1', 'ap-1']) {
        expect(await cluster.get(node, 'young')).toEqual(['two']);
        expect(await cluster.get(node, 'new')).toEqual(['value']);
      }
      expect(cluster.node('us-1').figures().isFilled).toBe(true);
    }));

  it('gets back what one peer alone has of it, though it takes in what others sent before it knows', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await restoreDiskThatOnlyEuIsAheadOf(cluster);
      await cluster.start('us-1');
      // It has as many rows of others' by now as it has lost writes.
      await cluster.time.sleep(700);
      cluster.heal();
      await cluster.time.sleep(30_000);
      for (const node of ['us-1', 'eu-1', 'ap-1']) expect(await cluster.get(node, 'young')).toEqual(['one']);
    }));

  it('gets back what one peer alone has of it, though it is made to hold a quorum write before it knows', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await restoreDiskThatOnlyEuIsAheadOf(cluster);
      cluster.passes = (_from, _to, message) => message[0] !== CHANGES;
      await cluster.start('us-1');
      const us = cluster.node('us-1');
      for (let at = 0; us.figures().sequence <= 2; at++)
        await cluster.put('ap-1', `asked-${at}`, 'x', { level: 'quorum' });
      cluster.passes = () => true;
      cluster.heal();
      await cluster.time.sleep(30_000);
      for (const node of ['us-1', 'eu-1', 'ap-1']) expect(await cluster.get(node, 'young')).toEqual(['one']);
    }));

  it('gets back what one peer alone has of it, though it stops before it knows', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await restoreDiskThatOnlyEuIsAheadOf(cluster);
      await cluster.start('us-1');
      const former = cluster.storeId('us-1');
      // It has as many rows of others' by now as it has lost writes.
      while (cluster.node('us-1').figures().sequence <= 3) await cluster.time.sleep(10);
      expect(cluster.storeId('us-1')).toBe(former);
      cluster.crash('us-1');
      await cluster.start('us-1');
      // Not at once, but before it would go on without the one that is away.
      await cluster.time.sleep(800);
      cluster.heal();
      await cluster.time.sleep(30_000);
      for (const node of ['us-1', 'eu-1', 'ap-1']) expect(await cluster.get(node, 'young')).toEqual(['one']);
    }));

  it('keeps its id where a peer is away for less than it waits, or is met late with all others', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const former = cluster.storeId('us-1');
      cluster.crash('us-1');
      cluster.split('us-1', 'eu-1');
      cluster.split('us-1', 'ap-1');
      await cluster.start('us-1');
      await cluster.settle();
      cluster.heal();
      await cluster.settle();
      await cluster.put('us-1', 'key', 'value');
      expect(cluster.storeId('us-1')).toBe(former);
    }));

  it('takes one new id, not two, where a peer tells it that it is behind and another is away', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const former = cluster.storeId('us-1');
      await restoreOlderDisk(cluster, 'us-1');
      cluster.split('us-1', 'ap-1');
      await cluster.start('us-1');
      while (cluster.storeId('us-1') === former) await cluster.time.sleep(10);
      const renewed = cluster.storeId('us-1');
      await cluster.settle();
      expect(cluster.storeId('us-1')).toBe(renewed);
    }));

  it('takes a new id without having been told to where it could ask nobody', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const former = cluster.storeId('us-1');
      await restoreOlderDisk(cluster, 'us-1');
      cluster.split('us-1', 'eu-1');
      cluster.split('us-1', 'ap-1');
      await cluster.start('us-1');
      const answer = await cluster.put('us-1', 'alone', 'value', { timeoutMs: 5_000 });
      expect(answer.head.receipt.store).not.toBe(former);
      cluster.heal();
      await cluster.settle();
      await cluster.settle();
      for (const node of ['us-1', 'eu-1', 'ap-1']) {
        expect(await cluster.get(node, 'alone')).toEqual(['value']);
        expect(await cluster.get(node, 'young')).toEqual(['two']);
      }
    }));

  it('takes no write while its disk refuses the new id, and says so in time', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const former = cluster.storeId('us-1');
      await restoreOlderDisk(cluster, 'us-1');
      const disk = cluster.disk('us-1');
      disk.isFull = true;
      await cluster.start('us-1');
      await cluster.settle();
      const startedAtMs = cluster.time.nowMs;
      expect(await codeOf(cluster.put('us-1', 'key', 'too early', { timeoutMs: 1_000 }))).toBe('STORE_UNAVAILABLE');
      expect(cluster.time.nowMs - startedAtMs).toBeLessThan(1_100);
      // Room again, but not yet a new id: what comes in first must not take the old one.
      disk.isFull = false;
      const answer = await cluster.put('us-1', 'key', 'in time', { timeoutMs: 5_000 });
      expect(answer.head.receipt.store).not.toBe(former);
      await cluster.settle();
      for (const node of ['us-1', 'eu-1', 'ap-1']) {
        expect(await cluster.get(node, 'key')).toEqual(['in time']);
        expect(await cluster.get(node, 'young')).toEqual(['two']);
      }
    }));

  it('takes a new id once its disk lets it, though nobody writes', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const former = cluster.storeId('us-1');
      await restoreDiskThatOnlyEuIsAheadOf(cluster);
      const disk = cluster.disk('us-1');
      disk.isFull = true;
      await cluster.start('us-1');
      await cluster.settle();
      cluster.heal();
      await cluster.settle();
      expect(cluster.storeId('us-1')).toBe(former);
      disk.isFull = false;
      await cluster.settle();
      expect(cluster.storeId('us-1')).not.toBe(former);
    }));

  it('does not write what waited while it stops', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await restoreOlderDisk(cluster, 'us-1');
      const disk = cluster.disk('us-1');
      disk.isFull = true;
      await cluster.start('us-1');
      await cluster.settle();
      const waiting = codeOf(cluster.put('us-1', 'key', 'value', { timeoutMs: 5_000 }));
      await cluster.time.sleep(10);
      disk.isFull = false;
      const { sequence } = cluster.node('us-1').figures();
      const stopped = cluster.node('us-1').stop();
      expect(await waiting).toBe('SHUTTING_DOWN');
      await stopped;
      expect(cluster.member('us-1').process?.store.sequence).toBe(sequence);
    }));

  it('answers no quorum while it takes in what it lost, not even where it stopped on the way', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const former = cluster.storeId('us-1');
      await restoreOlderDisk(cluster, 'us-1');
      const disk = cluster.disk('us-1');
      await cluster.start('us-1');
      const { store } = cluster.member('us-1').process ?? {};
      // The disk as each commit of the renewal leaves it.
      for (let states = 0; states < 3_000; states++) {
        await cluster.time.sleep(0.5);
        if (store?.note('filled-under-layout')?.startsWith('[')) {
          const holdsLost = [...disk.durableKeys()].some((key) => key.endsWith('\0young'));
          expect(store.id === former || holdsLost).toBe(true);
        }
      }
      expect(cluster.storeId('us-1')).not.toBe(former);
    }));
});

describe('what peers tell of themselves', () => {
  it('is learned from a ping where the greeting was lost', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.crash('eu-1');
      cluster.passes = (_from, _to, message) => message[0] !== GREETING;
      await cluster.start('eu-1');
      await cluster.settle();
      await cluster.put('eu-1', 'key', 'value');
      await cluster.settle();
      expect(await cluster.get('us-1', 'key')).toEqual(['value']);
    }));

  it('is refused in a ping as in a greeting where the peer stands on another store than in the layout', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.passes = (from, to) => !(from === 'eu-1' && to === 'us-1');
      cluster.crash('us-1');
      await cluster.start('us-1');
      await cluster.settle();
      const { transport } = cluster.member('us-1').process ?? {};
      const stranger = 'other-1.strangers' as StoreId;
      for (const message of [
        [GREETING, 'other-1' as StoreName, stranger, 5, true, []],
        [PING, 1, stranger, 5, true, []],
      ]) {
        transport?.handler?.onMessage(cluster.member('eu-1').name, message as never);
      }
      expect(
        cluster
          .node('us-1')
          .figures()
          .peers.find(({ node }) => node === 'eu-1')?.reachable,
      ).toBe(false);
    }));

  it('includes a round trip that takes longer than the time between two pings', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.crash('us-1');
      const { network } = cluster.simulated;
      const send = network.send.bind(network);
      network.send = (from, to, message) => {
        if (message[0] !== PONG) return send(from, to, message);
        cluster.time.at(900, () => send(from, to, message));
        return true;
      };
      await cluster.start('us-1');
      await cluster.settle();
      const rttMs = cluster.node('us-1').figures().peers[0]?.rttMs ?? 0;
      expect(rttMs).toBeGreaterThan(900);
      expect(rttMs).toBeLessThan(1_200);
    }));

  it('does not make one live that hears nothing of what it is told: writes are passed on to another', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('us-1').putNamespace('far', { placement: { eu: 1, ap: 1 } }, optionsOf());
      const reachable = () =>
        Object.fromEntries(
          cluster
            .node('us-1')
            .figures()
            .peers.map(({ node, reachable: isReachable }) => [node, isReachable]),
        );
      const { region } = await cluster.put('us-1', 'key', 'before', { in: 'far' });
      const deaf = `${region}-1`;
      cluster.passes = (from, to) => !(from === 'us-1' && to === deaf);
      await cluster.time.sleep(UNANSWERED_MS - 1_000);
      // Some pings are lost on any link.
      expect(reachable()[deaf]).toBe(true);
      await cluster.time.sleep(2_000);
      expect(Object.values(reachable()).filter(Boolean)).toHaveLength(1);
      expect(reachable()[deaf]).toBe(false);
      expect((await cluster.put('us-1', 'key', 'after', { in: 'far' })).region).not.toBe(region);
      cluster.passes = () => true;
      await cluster.settle();
      expect(Object.values(reachable())).toEqual([true, true]);
    }));

  it('makes the others compare what they have of a store that was lost', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.split('us-1', 'ap-1');
      await cluster.put('us-1', 'key', 'only at two');
      await cluster.time.sleep(300);
      expect(await cluster.get('ap-1', 'key')).toEqual([]);
      cluster.wipe('us-1');
      await cluster.start('us-1');
      cluster.heal();
      await cluster.settle();
      await cluster.settle();
      for (const node of ['us-1', 'eu-1', 'ap-1']) expect(await cluster.get(node, 'key')).toEqual(['only at two']);
    }));

  it('makes them compare once they can, where they could not reach each other', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.split('us-1', 'ap-1');
      await cluster.put('ap-1', 'key', 'only at two');
      await cluster.time.sleep(300);
      cluster.wipe('ap-1');
      cluster.heal();
      cluster.split('us-1', 'eu-1');
      await cluster.start('ap-1');
      await cluster.time.sleep(30_000);
      expect(await cluster.get('ap-1', 'key')).toEqual(['only at two']);
      cluster.heal();
      await cluster.time.sleep(30_000);
      for (const node of ['us-1', 'eu-1', 'ap-1']) expect(await cluster.get(node, 'key')).toEqual(['only at two']);
    }));

  it('says nothing of a session that it does not hold', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.split('us-1', 'eu-1');
      cluster.passes = (_from, to, message) => !(to !== 'eu-1' && message[0] === REQUEST && message[4][0] === READ);
      const { head } = await cluster.put('us-1', 'key', 'value', { level: 'session' });
      cluster.crash('ap-1');
      const read = cluster.get('eu-1', 'key', { level: 'session', session: head.session });
      expect(await codeOf(read)).toMatch(/SESSION_NOT_COVERED|REPLICA_UNAVAILABLE/);
    }));
});
