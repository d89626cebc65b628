import type { StoreId } from '@meridian/core/ids';
import { APPLIED, CHANGES, FOLLOW, type Message, REQUEST } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { codeOf, crashOntoOlderDisk, onCluster, optionsOf, THREE_REGIONS } from './cluster.testing.ts';

const keys = Array.from({ length: 60 }, (_none, at) => `key-${at}`);
const lagOf = (cluster: Parameters<Parameters<typeof onCluster>[1]>[0], from: string, to: string) =>
  cluster
    .node(from)
    .figures()
    .peers.find(({ node }) => node === to)?.lagMs;

describe('replication', () => {
  it('brings all of a catch-up while rows move under it', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.crash('eu-1');
      for (const key of keys) await cluster.put('us-1', key, 'first');
      const started = cluster.start('eu-1');
      for (let round = 0; round < 5; round++) for (const key of keys) await cluster.put('us-1', key, `${round}`);
      await started;
      await cluster.settle();
      for (const key of keys) expect(await cluster.get('eu-1', key)).toEqual(['4']);
    }));

  it('survives the loss of any batch, the last one too, and duplicates of all', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      let count = 0;
      cluster.passes = (_from, to, message) => !(to === 'eu-1' && message[0] === CHANGES && ++count % 3 !== 1);
      for (const key of keys.slice(0, 10)) await cluster.put('us-1', key, 'value');
      cluster.passes = () => true;
      cluster.simulated.network.weather = { loss: 0, duplication: 1, reordering: 0, jitterMs: 1 };
      await cluster.settle();
      for (const key of keys.slice(0, 10)) expect(await cluster.get('eu-1', key)).toEqual(['value']);
      expect(lagOf(cluster, 'us-1', 'eu-1')).toBe(0);
    }));

  it('forgets a lag once it is over, though the last acknowledgement was lost', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.passes = (from, _to, message) => !(from === 'eu-1' && message[0] === APPLIED);
      await cluster.put('us-1', 'key', 'value');
      await cluster.time.sleep(2_000);
      expect(lagOf(cluster, 'us-1', 'eu-1')).toBe(0);
    }));

  it('has no lag towards a node for which nothing was written, however long that is away', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('us-1').putNamespace('near', { placement: { us: 1 } }, optionsOf());
      await cluster.settle();
      cluster.crash('eu-1');
      await cluster.settle();
      for (const key of keys.slice(0, 5)) await cluster.put('us-1', key, 'x', { in: 'near' });
      await cluster.time.sleep(60_000);
      expect(lagOf(cluster, 'us-1', 'eu-1')).toBe(0);
      await cluster.put('us-1', 'wanted', 'x');
      await cluster.time.sleep(5_000);
      expect(lagOf(cluster, 'us-1', 'eu-1')).toBeGreaterThan(4_900);
      expect(lagOf(cluster, 'us-1', 'eu-1')).toBeLessThan(6_000);
    }));

  it('tells the age of a lag whatever the wall clock does', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.crash('eu-1');
      await cluster.settle();
      await cluster.put('us-1', 'wanted', 'x');
      cluster.simulated.jumpClock(cluster.member('us-1'), 3_600_000);
      await cluster.time.sleep(5_000);
      expect(lagOf(cluster, 'us-1', 'eu-1')).toBeLessThan(6_000);
      cluster.simulated.jumpClock(cluster.member('us-1'), -3_600_000);
      expect(lagOf(cluster, 'us-1', 'eu-1')).toBeGreaterThan(4_900);
    }));

  it('holds no more than its window for a follower that acknowledges nothing', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.passes = (from, _to, message) => !(from === 'eu-1' && (message[0] === APPLIED || message[0] > 3));
      for (const key of keys) await cluster.put('us-1', key, 'x'.repeat(500));
      expect(cluster.node('us-1').figures().shipping.inFlightBytes).toBeLessThan(3 * 3_000);
      cluster.passes = () => true;
      await cluster.settle();
      for (const key of keys) expect(await cluster.get('eu-1', key)).toHaveLength(1);
    }));

  it('fetches the definition of a namespace before its first record', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.split('us-1', 'eu-1');
      await cluster.node('us-1').putNamespace('young', {}, optionsOf({ timeoutMs: 5_000 }));
      await cluster.put('ap-1', 'key', 'value', { in: 'young' });
      await cluster.settle();
      expect(await cluster.get('eu-1', 'key', { in: 'young' })).toEqual(['value']);
    }));

  it('goes on after a failing disk of the follower', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.disk('eu-1').isFull = true;
      for (const key of keys.slice(0, 9)) await cluster.put('us-1', key, 'value');
      await cluster.settle();
      expect(await cluster.get('eu-1', 'key-1')).toEqual([]);
      cluster.disk('eu-1').isFull = false;
      await cluster.settle();
      for (const key of keys.slice(0, 9)) expect(await cluster.get('eu-1', key)).toEqual(['value']);
    }));

  it('takes no batch of a walk that it has since asked for anew: its end proves nothing about this one', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.put('us-1', 'key', 'value');
      await cluster.time.sleep(1_000);
      const { transport, store } = cluster.member('eu-1').process ?? {};
      const origin = cluster.storeId('us-1') as StoreId;
      const before = store?.positions.get(origin);
      expect(before?.applied).toBeGreaterThan(0);
      const late = [CHANGES, origin, store?.id, 0, 1_000, true, [], 7];
      transport?.handler?.onMessage(cluster.member('us-1').name, late as never);
      await cluster.time.sleep(100);
      expect(store?.positions.get(origin)).toEqual(before);
    }));

  it('begins no second walk for a question that comes twice', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.put('us-1', 'key', 'value');
      await cluster.time.sleep(1_000);
      const { transport } = cluster.member('us-1').process ?? {};
      let sent = 0;
      cluster.passes = (_from, _to, message) => {
        if (message[0] === CHANGES && message[7] === 9) sent += 1;
        return true;
      };
      const follow = [FOLLOW, cluster.storeId('us-1'), cluster.storeId('eu-1'), 0, 0, true, 9];
      for (let times = 0; times < 2; times++) {
        transport?.handler?.onMessage(cluster.member('eu-1').name, follow as never);
        await cluster.time.sleep(100);
      }
      expect(sent).toBe(1);
    }));

  it('ships nothing to one who follows under the name of another store', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.put('us-1', 'key', 'value');
      const { transport } = cluster.member('us-1').process ?? {};
      let sent = 0;
      cluster.passes = (_from, _to, message) => {
        if (message[0] === CHANGES && message[2].startsWith('other')) sent += 1;
        return true;
      };
      const follow = [FOLLOW, cluster.storeId('us-1'), 'other-1.stranger', 0, 0, true, 1];
      transport?.handler?.onMessage(cluster.member('eu-1').name, follow as never);
      await cluster.time.sleep(1_000);
      expect(sent).toBe(0);
    }));
});

describe('filling', () => {
  it('gives a wiped store all that the others hold, and no quorum before', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (const key of keys) await cluster.put('us-1', key, 'value');
      await cluster.put('eu-1', 'lost', 'kept by others');
      await cluster.settle();
      cluster.wipe('eu-1');
      cluster.crash('us-1');
      await cluster.start('eu-1');
      await cluster.settle();
      expect(cluster.node('eu-1').figures().isFilled).toBe(false);
      expect(await codeOf(cluster.get('eu-1', 'lost', { level: 'quorum' }))).toBe('QUORUM_UNAVAILABLE');
      await cluster.put('eu-1', 'new', 'taken at once');
      await cluster.start('us-1');
      await cluster.settle();
      expect(cluster.node('eu-1').figures().isFilled).toBe(true);
      for (const key of [...keys, 'lost', 'new']) expect(await cluster.get('eu-1', key)).toHaveLength(1);
    }));

  it('takes over the claims of stores that are gone, so that sessions which saw them are served', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const { head } = await cluster.put('eu-1', 'key', 'value', { level: 'session' });
      await cluster.settle();
      cluster.wipe('eu-1');
      await cluster.start('eu-1');
      await cluster.settle();
      expect(await cluster.get('eu-1', 'key', { level: 'session', session: head.session })).toEqual(['value']);
    }));

  it('goes on over a restart in its middle', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (const key of keys) await cluster.put('us-1', key, 'value');
      await cluster.settle();
      cluster.wipe('eu-1');
      await cluster.start('eu-1');
      await cluster.time.sleep(900);
      cluster.crash('eu-1');
      await cluster.start('eu-1');
      await cluster.settle();
      expect(cluster.node('eu-1').figures().isFilled).toBe(true);
      for (const key of keys) expect(await cluster.get('eu-1', key)).toEqual(['value']);
    }));

  it('brings what an origin claims of its former id from the start of its index, also where another walk was half done', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await crashOntoOlderDisk(cluster);
      // No view of us-1's index comes to its end at ap-1, and nobody compares with ap-1.
      const isEnd = ([kind, , , , , isWhole]: Message): boolean => kind === CHANGES && isWhole === true;
      const isComparing = (from: string, to: string, [kind]: Message): boolean =>
        kind === REQUEST && (from === 'ap-1' || to === 'ap-1');
      cluster.passes = (from, to, message) =>
        !(from === 'us-1' && to === 'ap-1' && isEnd(message)) && !isComparing(from, to, message);
      cluster.heal();
      await cluster.start('us-1');
      await cluster.settle();
      for (let at = 0; at < 40; at++) await cluster.put('us-1', `more-${at}`, 'x');
      await cluster.settle();
      cluster.crash('ap-1');
      await cluster.start('ap-1');
      cluster.passes = (from, to, message) => !isComparing(from, to, message);
      await cluster.settle();
      cluster.passes = () => true;
      await cluster.time.sleep(30_000);
      for (const node of ['us-1', 'eu-1', 'ap-1']) expect(await cluster.get(node, 'young')).toEqual(['one']);
    }));
});
