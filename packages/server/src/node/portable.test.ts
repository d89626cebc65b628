import { decodeRecord, encodeRecord } from '@meridian/core/wire/record-codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codeOf, onCluster, optionsOf, THREE_REGIONS } from './cluster.testing.ts';
import { GONE, portableRecord } from './portable.testing.ts';
import { fromPortable, toPortable } from './portable.ts';
import type { PortableRecord } from './service.ts';

const sibling = fc.record({
  store: fc.constantFrom('us-1.abcd', 'eu.1.wxyz', 'a-b_c.9999'),
  sequence: fc.integer({ min: 1, max: 50 }),
  timeMs: fc.integer({ min: 0, max: 2 ** 47 }),
  body: fc.option(
    fc.uint8Array().map((bytes) => bytes.toBase64()),
    { nil: null },
  ),
  contentType: fc.constantFrom('text/plain', 'application/json', 'x/y'),
  expiresAtMs: fc.option(fc.integer({ min: 0, max: 2 ** 48 - 1 }), { nil: null }),
});
const portable = fc
  .uniqueArray(sibling, { maxLength: 5, selector: ({ store, sequence }) => `${store}:${sequence}` })
  .map(
    (siblings): PortableRecord => ({
      namespace: 'default',
      key: 'key',
      vector: Object.fromEntries(['us-1.abcd', 'eu.1.wxyz', 'a-b_c.9999'].map((store) => [store, 50])),
      siblings,
    }),
  );

describe('a portable record', () => {
  it('comes back as it went, whatever order its values were given in', () => {
    fc.assert(
      fc.property(portable, (given) => {
        const record = fromPortable(given);
        const again = fromPortable(JSON.parse(JSON.stringify(toPortable('default', 'key', record))) as PortableRecord);
        expect(encodeRecord(again)).toEqual(encodeRecord(record));
        expect(encodeRecord(decodeRecord(encodeRecord(record)))).toEqual(encodeRecord(record));
      }),
    );
  });

  it('is refused where it breaks an invariant', async () => {
    const good = { store: 'us-1.abcd', sequence: 1, timeMs: 1, body: '', contentType: 'x/y', expiresAtMs: null };
    const refused = (siblings: readonly object[], vector: object = { 'us-1.abcd': 1 }) =>
      codeOf(Promise.resolve().then(() => fromPortable({ namespace: 'n', key: 'k', vector, siblings } as never)));
    expect(await refused([good])).toBe('no error');
    for (const wrong of [
      { sequence: 2 },
      { sequence: 0 },
      { sequence: 0.5 },
      { timeMs: -1 },
      { timeMs: 2 ** 48 },
      { body: '*' },
      { store: 'other.abcd' },
    ])
      expect(await refused([{ ...good, ...wrong }])).toBe('INVALID_BODY');
    expect(await refused([good, good])).toBe('INVALID_BODY');
    for (const vector of [{ 'us-1.abcd': 0 }, { 'no store': 1 }, { 'us-1.abcd': 2 ** 53 }])
      expect(await refused([], vector)).toBe('INVALID_BODY');
  });

  it('of a last-writer-wins key, however far in the future, leaves room for what is hidden later', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const node = cluster.node('us-1');
      await node.putNamespace('last', { conflict: 'lww' }, optionsOf());
      const late = (timeMs: number) => {
        const record = portableRecord('key', GONE, 1, { namespace: 'last' });
        return { ...record, siblings: record.siblings.map((sibling) => ({ ...sibling, timeMs })) };
      };
      expect(await codeOf(node.replicate([late(2 ** 48 - 1)], optionsOf()))).toBe('INVALID_BODY');
      await node.replicate([late(2 ** 47)], optionsOf());
      await cluster.settle();
      for (const one of ['us-1', 'eu-1', 'ap-1'])
        for (const other of ['us-1', 'eu-1']) if (one !== other) cluster.split(one, other);
      for (const at of ['us-1', 'eu-1']) await cluster.put(at, 'key', `of ${at}`, { in: 'last' });
      cluster.heal();
      await cluster.settle();
      await cluster.put('us-1', 'key', 'after', { in: 'last' });
      const entries = await node.ledger('last', 'key', optionsOf());
      expect(entries).toHaveLength(1);
    }));

  it('carries siblings and deletes from one cluster to another', async () => {
    let changes: readonly PortableRecord[] = [];
    await onCluster(THREE_REGIONS, async (cluster) => {
      cluster.split('us-1', 'eu-1');
      await cluster.put('us-1', 'both', 'left');
      await cluster.put('eu-1', 'both', 'right');
      await cluster.put('us-1', 'gone', 'x');
      await cluster.node('us-1').delete('default', 'gone', undefined, optionsOf());
      cluster.heal();
      await cluster.settle();
      changes = (await cluster.node('ap-1').changes(0, 100, 'default')).changes.map(({ record }) => record);
    });
    await onCluster({ other: 1 }, async (cluster) => {
      const answer = await cluster.node('other-1').replicate(changes, optionsOf());
      expect(answer).toEqual({ applied: 2, ignored: 0, concurrent: 1 });
      expect([...(await cluster.get('other-1', 'both'))].sort()).toEqual(['left', 'right']);
      expect(await cluster.get('other-1', 'gone')).toEqual([]);
    });
  });
});
