import { MERGE, REQUEST, STATUS } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { codeOf, onCluster, optionsOf, THREE_REGIONS } from './cluster.testing.ts';
import { GONE, portableRecord as record } from './portable.testing.ts';
import type { PortableRecord } from './service.ts';

const keys = Array.from({ length: 40 }, (_none, at) => `key-${at}`);

describe('replicate', () => {
  it('applies each record once, however often it is sent, at all replicas', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const records = keys.map((key, at) => record(key, GONE, at + 1));
      const first = await cluster.node('us-1').replicate(records, optionsOf());
      expect(first).toEqual({ applied: keys.length, ignored: 0, concurrent: 0 });
      const again = await cluster.node('eu-1').replicate(records, optionsOf());
      expect(again).toEqual({ applied: 0, ignored: keys.length, concurrent: 0 });
      for (const node of ['us-1', 'eu-1', 'ap-1']) expect(await cluster.get(node, 'key-7')).toEqual(['x']);
    }));

  it('counts what is concurrent now', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.put('us-1', 'key-1', 'own');
      const answer = await cluster
        .node('us-1')
        .replicate([record('key-1', GONE, 1), record('key-2', GONE, 2)], optionsOf());
      expect(answer).toEqual({ applied: 2, ignored: 0, concurrent: 1 });
    }));

  it('counts records of all stores of a region, not only those of its own', () =>
    onCluster({ us: 2, eu: 1 }, async (cluster) => {
      await cluster.node('us-1').putNamespace('near', { placement: { us: 1 } }, optionsOf());
      const records = keys.map((key, at) => record(key, GONE, at + 1, { namespace: 'near' }));
      expect(await cluster.node('us-1').replicate(records, optionsOf())).toMatchObject({
        applied: keys.length,
        ignored: 0,
      });
      expect(await cluster.node('eu-1').replicate(records, optionsOf())).toMatchObject({
        applied: 0,
        ignored: keys.length,
      });
    }));

  it('does not answer for records that no replica has on disk', () =>
    onCluster({ us: 2, eu: 1 }, async (cluster) => {
      await cluster.node('us-1').putNamespace('near', { placement: { us: 1 } }, optionsOf());
      cluster.passes = (_from, to, message) => !(to === 'us-2' && message[0] === REQUEST && message[4][0] === MERGE);
      const records = keys.map((key, at) => record(key, GONE, at + 1, { namespace: 'near' }));
      expect(await codeOf(cluster.node('us-1').replicate(records, optionsOf()))).toBe('OUTCOME_UNKNOWN');
    }));

  it('refuses writes that a living store has not made, its own and those of others', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (const node of ['us-1', 'eu-1']) {
        const future = record('key', cluster.storeId(node), 1_000_000);
        expect(await codeOf(cluster.node('us-1').replicate([future], optionsOf()))).toBe('INVALID_BODY');
        const dependsOnIt = record('key', GONE, 1, {
          siblings: [
            {
              ...(record('key', GONE, 1).siblings[0] as PortableRecord['siblings'][0]),
              session: { [cluster.storeId(node)]: 1_000_000 },
            },
          ],
        });
        expect(await codeOf(cluster.node('us-1').replicate([dependsOnIt], optionsOf()))).toBe('INVALID_BODY');
      }
    }));

  it('asks a store that it has not heard of since its start before it takes a record that names it', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.put('eu-1', 'key', 'one');
      await cluster.settle();
      const euStore = cluster.storeId('eu-1');
      cluster.crash('us-1');
      cluster.crash('eu-1');
      await cluster.start('us-1');
      await cluster.settle();
      expect(await codeOf(cluster.node('us-1').replicate([record('other', euStore, 1_000_000)], optionsOf()))).toBe(
        'REPLICA_UNAVAILABLE',
      );
      expect(await codeOf(cluster.node('us-1').replicate([record('other', euStore, 1)], optionsOf()))).toBe('no error');
    }));

  it('asks each store once for many records', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      let asked = 0;
      cluster.passes = (_from, _to, message) => {
        if (message[0] === REQUEST && message[4][0] === STATUS) asked += 1;
        return true;
      };
      const store = cluster.storeId('eu-1');
      for (const key of keys) await cluster.put('eu-1', key, 'x');
      await cluster.node('us-1').replicate(
        keys.map((key, at) => record(key, store, at + 1)),
        optionsOf(),
      );
      expect(asked).toBeLessThan(3);
    }));
});
