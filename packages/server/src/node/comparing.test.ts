import { REQUEST, SCAN } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { onCluster, type TestCluster, THREE_REGIONS } from './cluster.testing.ts';

/** eu-1 loses its disk; of what it had written, us-1 has something that ap-1 has not. No stream brings that to ap-1. */
async function loseDiskOfEurope(cluster: TestCluster): Promise<void> {
  cluster.split('eu-1', 'ap-1');
  await cluster.put('eu-1', 'key', 'value');
  await cluster.time.sleep(500);
  expect(await cluster.get('us-1', 'key')).toEqual(['value']);
  cluster.wipe('eu-1');
  cluster.heal();
  await cluster.start('eu-1');
  await cluster.time.sleep(3_000);
  expect(cluster.node('ap-1').figures().storesReplaced).toBe(1);
  expect(await cluster.get('ap-1', 'key')).toEqual([]);
}

describe('after the store of a peer was replaced', () => {
  it('the others compare what they have of the lost one', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await loseDiskOfEurope(cluster);
      await cluster.settle();
      expect(await cluster.get('ap-1', 'key')).toEqual(['value']);
    }));

  it('one that does not answer keeps nobody from what another has', () =>
    onCluster({ eu: 1, us: 1, ap: 1 }, async (cluster) => {
      cluster.passes = (_from, to, message) => !(to === 'eu-1' && message[0] === REQUEST && message[4][0] === SCAN);
      await loseDiskOfEurope(cluster);
      await cluster.time.sleep(5_000);
      expect(await cluster.get('ap-1', 'key')).toEqual(['value']);
    }));

  it('they still do where all of them were started again before they came to it', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await loseDiskOfEurope(cluster);
      const nodes = ['us-1', 'eu-1', 'ap-1'];
      for (const node of nodes) cluster.crash(node);
      for (const node of nodes) await cluster.start(node);
      await cluster.settle();
      await cluster.settle();
      expect(cluster.node('ap-1').figures().storesReplaced).toBe(0);
      expect(await cluster.get('ap-1', 'key')).toEqual(['value']);
    }));
});
