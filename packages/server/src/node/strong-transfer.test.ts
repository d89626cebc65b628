import { describe, expect, it } from 'vitest';
import { codeOf, optionsOf, THREE_REGIONS } from './cluster.testing.ts';
import { GONE, portableRecord } from './portable.testing.ts';
import { isAccept, isNews } from './register-messages.testing.ts';
import { EXACT, onStrongCluster } from './strong.testing.ts';

const NODES = ['us-1', 'eu-1', 'ap-1'] as const;
const KEYS = Array.from({ length: 12 }, (_none, at) => `key-${at}`);

describe('sync of a strong namespace', () => {
  it('brings a replica what it missed, and then finds nothing different', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      // ap-1 takes part in nothing.
      cluster.passes = (_from, to, message) => !(to === 'ap-1' && (isNews(message) || isAccept(message)));
      for (const [at, key] of KEYS.entries()) await clients.put(NODES[at % 2] as string, key, `${at}`);
      for (const key of KEYS) expect(await clients.relaxed('ap-1', key)).toBeUndefined();
      const answer = await cluster.node('ap-1').sync(undefined, EXACT, optionsOf());
      expect(answer.recordsReceived).toBeGreaterThanOrEqual(KEYS.length);
      cluster.passes = () => true;
      await cluster.settle();
      for (const [at, key] of KEYS.entries()) expect(await clients.relaxed('ap-1', key)).toBe(`${at}`);
      await cluster.settle();
      for (const node of NODES) await cluster.node(node).sync(undefined, EXACT, optionsOf());
      for (const node of NODES)
        expect(await cluster.node(node).sync(undefined, EXACT, optionsOf())).toMatchObject({
          recordsSent: 0,
          recordsReceived: 0,
          partitionsDifferent: 0,
        });
    }));

  it('makes nothing of what was never chosen', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      cluster.passes = (from, _to, message) => !(from === 'us-1' && isAccept(message));
      const change = clients.put('us-1', 'key', 'two', undefined, { timeoutMs: 200 });
      expect(await codeOf(change)).toBe('OUTCOME_UNKNOWN');
      cluster.passes = () => true;
      await cluster.node('eu-1').sync(undefined, EXACT, optionsOf());
      // It may have been brought to a majority, which chooses it; then all say so in the end.
      const found = await clients.get('ap-1', 'key');
      expect(['one', 'two']).toContain(found);
      await cluster.settle();
      const chosen = await clients.get('eu-1', 'key');
      if (found === 'two') expect(chosen).toBe('two');
      for (const node of NODES) expect(await clients.relaxed(node, 'key')).toBe(chosen);
    }));
});

describe('records', () => {
  it('of a strong namespace cannot be brought from elsewhere past consensus', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'own');
      const record = portableRecord('key', GONE, 7, { namespace: EXACT });
      expect(await codeOf(cluster.node('us-1').replicate([record], optionsOf()))).toBe('NAMESPACE_CONFLICT');
      expect(await clients.get('eu-1', 'key')).toBe('own');
    }));

  it('of a strong namespace are among the changes once they are known to be chosen, each at its latest', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      for (const value of ['one', 'two']) await clients.put('us-1', 'key', value);
      await clients.put('eu-1', 'other', 'three');
      await clients.delete('ap-1', 'other');
      await cluster.settle();
      for (const node of NODES) {
        const { changes } = await cluster.node(node).changes(0, 100, EXACT);
        const bodies = changes.map(({ record: { key, siblings } }) => [key, siblings[0]?.body ?? null]);
        expect(new Map(bodies as [string, string | null][])).toEqual(
          new Map([
            ['key', new TextEncoder().encode('two').toBase64()],
            ['other', null],
          ]),
        );
      }
    }));
});
