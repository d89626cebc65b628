import { READ, REQUEST } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { codeOf, onCluster, optionsOf, THREE_REGIONS } from './cluster.testing.ts';

const NODES = ['us-1', 'eu-1', 'ap-1'] as const;

describe('namespaces', () => {
  it('that are created differently at once are one and the same everywhere, in its answers too', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const [left, right] = await Promise.all([
        cluster.node('us-1').putNamespace('race', { conflict: 'lww', placement: { us: 1 } }, optionsOf()),
        cluster.node('ap-1').putNamespace('race', { conflict: 'siblings', placement: 'all' }, optionsOf()),
      ]);
      expect(left.namespace).toEqual(right.namespace);
      await cluster.settle();
      for (const node of NODES) expect(await cluster.node(node).namespace('race', optionsOf())).toEqual(left.namespace);
    }));

  it('stay dropped where a change was made at the same time, on every node and after a restart', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (let race = 0; race < 4; race++) {
        const name = `race-${race}`;
        await cluster.node('us-1').putNamespace(name, {}, optionsOf());
        await cluster.settle();
        const dropped = cluster.node('us-1').dropNamespace(name, optionsOf());
        await cluster.time.sleep(race * 20);
        const changed = cluster.node('ap-1').putNamespace(name, { defaultTtlSeconds: 9 }, optionsOf());
        const codes = [await codeOf(dropped), await codeOf(changed)];
        expect(codes).not.toContain('INTERNAL');
        await cluster.settle();
        cluster.crash('eu-1');
        await cluster.start('eu-1');
        await cluster.settle();
        const ids = await Promise.all(
          NODES.map((node) =>
            cluster
              .node(node)
              .namespace(name, optionsOf())
              .then(
                ({ id }) => id,
                () => 'none',
              ),
          ),
        );
        // The change may have come after the drop, and made another of the same name.
        expect(new Set(ids).size).toBe(1);
        expect(ids[0]).not.toBe(`${name}.1`);
      }
    }));

  it('share nothing with one of the same name that was dropped', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const first = await cluster.node('us-1').putNamespace('shop', {}, optionsOf());
      await cluster.put('us-1', 'key', 'old', { in: 'shop' });
      await cluster.settle();
      await cluster.node('eu-1').dropNamespace('shop', optionsOf());
      const second = await cluster.node('ap-1').putNamespace('shop', {}, optionsOf());
      expect([second.isNew, second.namespace.id === first.namespace.id]).toEqual([true, false]);
      await cluster.settle();
      for (const node of NODES) {
        expect(await cluster.get(node, 'key', { in: 'shop' })).toEqual([]);
        const left = [...cluster.member(node).disk.durableKeys()].filter((key) =>
          key.startsWith(`${first.namespace.id}\0`),
        );
        expect(left).toEqual([]);
      }
    }));

  it('are neither created nor denied without a majority', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.crash('us-1');
      cluster.crash('eu-1');
      await cluster.settle();
      const alone = cluster.node('ap-1');
      expect(await codeOf(alone.putNamespace('alone', {}, optionsOf()))).toBe('QUORUM_UNAVAILABLE');
      expect(await codeOf(alone.namespace('alone', optionsOf()))).toBe('QUORUM_UNAVAILABLE');
    }));

  it('say that the outcome is unknown where they were created, and no majority could be asked what stands', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      let reads = 0;
      cluster.passes = (from, _to, message) =>
        !(from === 'us-1' && message[0] === REQUEST && message[4][0] === READ && ++reads > 2);
      expect(await codeOf(cluster.node('us-1').putNamespace('shop', {}, optionsOf({ timeoutMs: 500 })))).toBe(
        'OUTCOME_UNKNOWN',
      );
      expect((await cluster.node('eu-1').namespace('shop', optionsOf())).name).toBe('shop');
    }));

  it('refuse what cannot be', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const node = cluster.node('us-1');
      const refused = (name: string, change: object) => codeOf(node.putNamespace(name, change, optionsOf()));
      expect(await refused('_catalog', {})).toBe('INVALID_NAMESPACE');
      expect(await refused('Shop', {})).toBe('INVALID_NAMESPACE');
      expect(await refused('shop', { placement: { us: 2 } })).toBe('INVALID_NAMESPACE');
      expect(await refused('shop', { placement: { mars: 1 } })).toBe('INVALID_NAMESPACE');
      expect(await refused('shop', { placement: { us: 0 } })).toBe('INVALID_NAMESPACE');
      expect(await refused('shop', { defaultTtlSeconds: 0.5 })).toBe('INVALID_NAMESPACE');
      expect(await refused('shop', { mode: 'strong' })).toBe('NOT_BUILT');
      await node.putNamespace('shop', { placement: { us: 1 } }, optionsOf());
      expect(await refused('shop', { placement: { us: 1, eu: 1 } })).toBe('NOT_BUILT');
      expect(await refused('shop', { placement: { us: 1, eu: 0 } })).toBe('no error');
      expect(await codeOf(node.dropNamespace('default', optionsOf()))).toBe('NAMESPACE_CONFLICT');
      expect(await codeOf(node.dropNamespace('none', optionsOf()))).toBe('NAMESPACE_NOT_FOUND');
    }));

  it('of rule lww keep what was hidden, and give it back', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('us-1').putNamespace('last', { conflict: 'lww' }, optionsOf());
      await cluster.settle();
      cluster.split('us-1', 'eu-1');
      await cluster.put('us-1', 'key', 'one', { in: 'last' });
      await cluster.time.sleep(5);
      await cluster.put('eu-1', 'key', 'two', { in: 'last' });
      cluster.heal();
      await cluster.settle();
      expect(await cluster.get('ap-1', 'key', { in: 'last' })).toEqual(['two']);
      const [hidden] = await cluster.node('ap-1').ledger('last', 'key', optionsOf());
      expect(new TextDecoder().decode(hidden?.value.body)).toBe('one');
      await cluster.node('ap-1').restore('last', 'key', hidden?.id ?? '', optionsOf());
      await cluster.settle();
      for (const node of NODES) expect(await cluster.get(node, 'key', { in: 'last' })).toEqual(['one']);
      expect(await codeOf(cluster.node('ap-1').restore('last', 'key', 'us-1.none:9', optionsOf()))).toBe(
        'LEDGER_ENTRY_NOT_FOUND',
      );
    }));
});
