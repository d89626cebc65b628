import type { VersionedRecord } from '@meridian/core/causality/record';
import { EMPTY_VECTOR } from '@meridian/core/causality/version-vector';
import { recordKey, type Sequence, type StoreId, type StoreName } from '@meridian/core/ids';
import { PlacementTable } from '@meridian/core/placement/placement-table';
import { encodeRecord } from '@meridian/core/wire/record-codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { xxh3Hashes } from '../adapters/system/xxh3-hashes.ts';
import {
  Catalog,
  DEFAULT_DEFINITION,
  type Definition,
  definitionBody,
  definitionIn,
  definitionKey,
  namespaceIdFor,
} from './catalog.ts';
import { layoutOf } from './cluster.testing.ts';

/** Definitions that were made at once, the latest first. */
function recordOf(definitions: readonly Partial<Definition>[]): VersionedRecord {
  const vector = new Map<StoreId, Sequence>();
  const siblings = definitions.map((definition, at) => {
    const dot = { store: `s${at}.abcdef` as StoreId, sequence: 1 as Sequence };
    vector.set(dot.store, dot.sequence);
    return {
      dot,
      timeMs: 100 - at,
      body: definitionBody({ ...DEFAULT_DEFINITION, ...definition }),
      contentType: 'application/json',
      expiresAtMs: null,
      session: EMPTY_VECTOR,
    };
  });
  return { vector, siblings, ledger: [] };
}

function newCatalog(self = 'us-1') {
  const catalog = new Catalog(
    new PlacementTable(layoutOf({ us: 2, eu: 1 }), xxh3Hashes.text),
    xxh3Hashes,
    self as StoreName,
  );
  const moved: string[] = [];
  const dropped: string[] = [];
  catalog.listen(
    ({ id }) => moved.push(id),
    (id) => dropped.push(id),
  );
  let sequence = 0;
  const learn = (name: string, ...definitions: Partial<Definition>[]) =>
    catalog.onRows([
      { key: definitionKey(name), sequence: ++sequence as Sequence, record: encodeRecord(recordOf(definitions)) },
    ]);
  return { catalog, learn, moved, dropped };
}

describe('of definitions made at once', () => {
  it('the latest generation stands, in it a drop, else the last', () => {
    expect(definitionIn(undefined)).toBeUndefined();
    expect(definitionIn(recordOf([{ conflict: 'lww' }, { conflict: 'siblings' }]))?.conflict).toBe('lww');
    expect(definitionIn(recordOf([{}, { isDropped: true }]))?.isDropped).toBe(true);
    expect(definitionIn(recordOf([{ isDropped: true }, { generation: 2 }]))).toMatchObject({
      generation: 2,
      isDropped: false,
    });
  });
});

describe('the catalog', () => {
  it('knows the default namespace, and learns, changes and forgets others', () => {
    const { catalog, learn, moved, dropped } = newCatalog();
    expect(catalog.get('default')?.id).toBe('default.1');
    learn('shop', { conflict: 'lww' });
    learn('shop', { conflict: 'siblings' });
    expect([catalog.get('shop')?.conflict, moved]).toEqual(['siblings', []]);
    learn('shop', { placement: { eu: 1 } });
    expect(moved).toEqual(['shop.1']);
    learn('shop', { isDropped: true });
    learn('shop', { isDropped: true });
    expect([catalog.get('shop'), catalog.byId(namespaceIdFor('shop', 1)), dropped]).toEqual([
      undefined,
      'dropped',
      ['shop.1'],
    ]);
    learn('shop', { generation: 4 });
    expect(catalog.get('shop')?.id).toBe('shop.4');
    expect(catalog.dropped()).toEqual(['shop.1', 'shop.2', 'shop.3']);
    expect(catalog.all().map(({ name }) => name)).toEqual(['default', 'shop']);
  });

  it('holds keys of dropped and unknown namespaces nowhere', () => {
    const { catalog, learn } = newCatalog();
    learn('gone', { isDropped: true });
    for (const name of ['gone', 'unknown']) {
      const key = recordKey(namespaceIdFor(name, 1), 'key');
      expect([catalog.isHeldHere(key), catalog.replicas(key), catalog.knows(key)]).toEqual([
        false,
        [],
        name === 'gone',
      ]);
    }
  });

  it('says of each key that a store holds it exactly where the store is among its replicas', () => {
    const { catalog, learn } = newCatalog();
    learn('both', { placement: { us: 2 } });
    learn('one', { placement: { us: 1, eu: 0 } });
    fc.assert(
      fc.property(fc.constantFrom('default', 'both', 'one'), fc.string(), (name, plain) => {
        const key = recordKey(namespaceIdFor(name, 1), plain);
        const stores = catalog.replicas(key).map(({ store }) => store as string);
        for (const store of ['us-1', 'us-2', 'eu-1'])
          expect(catalog.isHeldBy(store as StoreName, key)).toBe(stores.includes(store));
      }),
    );
  });
});
