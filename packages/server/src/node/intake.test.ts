import type { StoreId } from '@meridian/core/ids';
import { ANSWER, MERGE, REQUEST, STATUS } from '@meridian/core/wire/messages';
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
      expect(await codeOf(cluster.node('us-1').replicate([record('key', euStore, 1)], optionsOf()))).toBe('no error');
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

  it('has a replica that could not be reached, or did not hear of it, get the records once it can', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.crash('ap-1');
      await cluster.settle();
      cluster.passes = (_from, to, message) => !(to === 'eu-1' && message[0] === REQUEST && message[4][0] === MERGE);
      const records = keys.map((key, at) => record(key, GONE, at + 1));
      expect(await cluster.node('us-1').replicate(records, optionsOf())).toMatchObject({ applied: keys.length });
      cluster.passes = () => true;
      // What is owed is owed by the store, not by the process.
      cluster.crash('us-1');
      for (const node of ['us-1', 'ap-1']) await cluster.start(node);
      await cluster.time.sleep(30_000);
      for (const node of ['eu-1', 'ap-1'])
        for (const key of keys) expect(await cluster.get(node, key), `${key} at ${node}`).toEqual(['x']);
    }));

  it('leaves sessions that read them served, though stores of these names had other ids where they come from', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.settle();
      const former = 'us-1.ofaclustergone' as StoreId;
      await cluster.node('eu-1').replicate([record('key', former, 7)], optionsOf());
      const { head } = await cluster.node('eu-1').get('default', 'key', optionsOf());
      const session = { level: 'session', session: head.session } as const;
      for (const node of ['us-1', 'eu-1', 'ap-1'])
        expect(await codeOf(cluster.get(node, 'key', session))).toBe('no error');
    }));

  it('owes a comparison once more for what comes while one is under way', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      // They keep a comparison busy after it has been through the default namespace.
      for (let at = 0; at < 20; at++) await cluster.node('us-1').putNamespace(`later-${at}`, {}, optionsOf());
      // The first brings a record that is missed, the second the same by a comparison, the third one that is missed meanwhile.
      const isLost = [true, false, true];
      let merges = 0;
      let late: Promise<unknown> | undefined;
      cluster.passes = (_from, to, message) => {
        if (to !== 'eu-1' || message[0] !== REQUEST || message[4][0] !== MERGE) return true;
        merges += 1;
        if (merges === 2) late = cluster.node('us-1').replicate([record('a', GONE, 2)], optionsOf({ timeoutMs: 500 }));
        return !isLost[merges - 1];
      };
      await cluster.node('us-1').replicate([record('key-0', GONE, 1)], optionsOf());
      await cluster.time.sleep(60_000);
      await late;
      expect(merges).toBe(4);
      for (const key of ['key-0', 'a']) expect(await cluster.get('eu-1', key)).toEqual(['x']);
    }));

  it('refuses values that all stores would pass over: of a namespace that was dropped and made again, of another key', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const node = cluster.node('us-1');
      await node.putNamespace('shop', {}, optionsOf());
      await cluster.put('eu-1', 'cart', 'full', { in: 'shop' });
      await cluster.put('us-1', 'gone', 'x', { in: 'shop' });
      await node.delete('shop', 'gone', undefined, optionsOf());
      await cluster.settle();
      const exported = (await node.changes(0, 100, 'shop')).changes.map((change) => change.record);
      expect(await node.replicate(exported, optionsOf())).toEqual({ applied: 0, ignored: 2, concurrent: 0 });
      const moved = exported.map((one) => ({ ...one, key: `${one.key}-2` }));
      expect(await codeOf(node.replicate(moved, optionsOf()))).toBe('INVALID_BODY');
      await node.dropNamespace('shop', optionsOf());
      await node.putNamespace('shop', {}, optionsOf());
      await cluster.settle();
      expect(await codeOf(node.replicate(exported, optionsOf()))).toBe('INVALID_BODY');
      // A delete of what is not there is no loss.
      const deletes = exported.filter(({ siblings }) => siblings.every(({ body }) => body === null));
      expect(await node.replicate(deletes, optionsOf())).toEqual({ applied: 0, ignored: 1, concurrent: 0 });
    }));

  it.each(['eu-1', 'us-1'])(
    'takes at %s what one node of a shared store has just written and the other not heard of',
    (at) =>
      onCluster({ us: 1, eu: { sharing: 2 }, ap: 1 }, async (cluster) => {
        // What eu-2 writes reaches nobody.
        cluster.passes = (from, _to, message) => from !== 'eu-2' || message[0] === ANSWER;
        for (const key of keys) await cluster.put('eu-2', key, 'x');
        const { changes } = await cluster.node('eu-2').changes(0, 100, 'default');
        const answer = await cluster.node(at).replicate(
          changes.map((change) => change.record),
          optionsOf(),
        );
        expect(answer.applied).toBe(at === 'eu-1' ? 0 : keys.length);
      }),
  );
});
