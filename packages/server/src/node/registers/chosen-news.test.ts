import type { RecordKey } from '@meridian/core/ids';
import { CHOSEN } from '@meridian/core/wire/messages';
import { decodeRegister } from '@meridian/core/wire/register-codec';
import { describe, expect, it } from 'vitest';
import { type TestCluster, THREE_REGIONS } from '../cluster.testing.ts';
import { isNews } from '../register-messages.testing.ts';
import { onStrongCluster } from '../strong.testing.ts';

const FOUR = { us: 1, eu: 1, ap: 1, sa: 1 };
const PLACEMENT = { placement: { us: 1, eu: 1, ap: 1 } };

/** Notes each message of news: to whom, and of how many registers. */
function watchNews(cluster: TestCluster): { readonly to: string; readonly count: number }[] {
  const seen: { readonly to: string; readonly count: number }[] = [];
  cluster.passes = (_from, to, message) => {
    if (message[0] === CHOSEN) seen.push({ to, count: message[1].length });
    return true;
  };
  return seen;
}

describe('the news of what was chosen', () => {
  it('go to the other replicas, and to nobody else', () =>
    onStrongCluster(FOUR, PLACEMENT, async (clients, cluster) => {
      const seen = watchNews(cluster);
      await clients.put('us-1', 'key', 'value');
      await cluster.time.sleep(200);
      expect(seen).toEqual([
        { to: 'eu-1', count: 1 },
        { to: 'ap-1', count: 1 },
      ]);
      // A change that was passed on is told by the one that proposed it.
      await clients.put('sa-1', 'key', 'later');
      await cluster.time.sleep(200);
      expect(seen.map(({ to }) => to)).not.toContain('sa-1');
      for (const node of ['us-1', 'eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('later');
    }));

  it('are not told again by those who read it, and are written down however often it is read', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'value');
      await cluster.time.sleep(200);
      const seen = watchNews(cluster);
      const nodes = ['us-1', 'eu-1', 'ap-1'];
      for (let turn = 0; turn < 40; turn++) {
        for (const node of nodes) expect(await clients.get(node, 'key')).toBe('value');
        await cluster.time.sleep(100);
      }
      expect(seen).toEqual([]);
      for (const node of nodes) {
        const [row] = [...cluster.disk(node).durableRows()].filter(([key]) => key.endsWith('\0key'));
        const { accepted, committed } = decodeRegister((row as [RecordKey, Uint8Array])[1]);
        expect([node, committed?.ballot]).toEqual([node, accepted?.ballot]);
      }
    }));

  it('of many registers go together', () =>
    onStrongCluster(FOUR, PLACEMENT, async (clients, cluster) => {
      const seen = watchNews(cluster);
      await Promise.all(Array.from({ length: 50 }, (_none, at) => clients.put('us-1', `key-${at}`, 'value')));
      await cluster.time.sleep(200);
      const toEu = seen.filter(({ to }) => to === 'eu-1');
      expect(toEu.reduce((sum, { count }) => sum + count, 0)).toBe(50);
      expect(toEu.length).toBeLessThan(10);
    }));

  it('of a read that found no more than all know are not told again', () =>
    onStrongCluster(FOUR, PLACEMENT, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'value');
      await cluster.settle();
      await cluster.settle();
      const seen = watchNews(cluster);
      for (const node of ['us-1', 'eu-1', 'sa-1']) expect(await clients.get(node, 'key')).toBe('value');
      await cluster.time.sleep(200);
      expect(seen).toEqual([]);
    }));

  it('that are lost are made good without anybody asking', () =>
    onStrongCluster(FOUR, PLACEMENT, async (clients, cluster) => {
      cluster.passes = (_from, _to, message) => message[0] !== CHOSEN;
      await clients.put('us-1', 'key', 'one');
      await clients.put('us-1', 'key', 'two');
      await cluster.time.sleep(200);
      cluster.passes = () => true;
      for (const node of ['eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('one');
      await cluster.settle();
      await cluster.settle();
      for (const node of ['us-1', 'eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('two');
      for (const node of ['us-1', 'eu-1', 'ap-1']) expect(cluster.node(node).figures().unsettled).toBe(0);
    }));

  it('that come late and twice show nothing that is older than what was known', () =>
    onStrongCluster(FOUR, PLACEMENT, async (clients, cluster) => {
      cluster.simulated.network.weather = { loss: 0, duplication: 0.5, reordering: 0.5, jitterMs: 20 };
      cluster.passes = (_from, _to, message) => !isNews(message) || message[0] === CHOSEN;
      let shown = -1;
      for (let at = 0; at < 40; at++) {
        await clients.put('us-1', 'key', `${at}`);
        const value = Number((await clients.relaxed('eu-1', 'key')) ?? -1);
        expect(value).toBeGreaterThanOrEqual(shown);
        shown = value;
      }
      expect(shown).toBeGreaterThan(0);
    }));
});
