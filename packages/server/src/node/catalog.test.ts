import { EMPTY_VECTOR } from '@meridian/core/causality/version-vector';
import { proposerIdFor } from '@meridian/core/coordination/paxos/ballot';
import { type RegisterState, type RegisterValue, registerRecord } from '@meridian/core/coordination/paxos/register';
import { recordKey, type Sequence, type StoreId, type StoreName } from '@meridian/core/ids';
import { PlacementTable } from '@meridian/core/placement/placement-table';
import { encodeRegister } from '@meridian/core/wire/register-codec';
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

const writer = 'us-1.abcdef' as StoreId;

/** A register whose chosen value is a definition. */
function stateOf(version: number, definition: Partial<Definition>): RegisterState {
  const value: RegisterValue = {
    version,
    writer,
    timeMs: version,
    body: definitionBody({ ...DEFAULT_DEFINITION, ...definition }),
    contentType: 'application/json',
    expiresAtMs: null,
    session: EMPTY_VECTOR,
    requests: [],
  };
  const chosen = { ballot: { round: version, proposer: proposerIdFor(writer, 'life') }, value };
  return { promised: chosen.ballot, accepted: chosen, committed: chosen, isHearsay: false };
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
  let version = 0;
  const learnRow = (name: string, state: RegisterState) =>
    catalog.onRows([{ key: definitionKey(name), sequence: ++version as Sequence, record: encodeRegister(state) }]);
  const learn = (name: string, definition: Partial<Definition>) => learnRow(name, stateOf(version + 1, definition));
  return { catalog, learn, learnRow, moved, dropped };
}

describe('a definition', () => {
  it('is what its register holds; none where that was never written', () => {
    expect(definitionIn(undefined)).toBeUndefined();
    const record = registerRecord(stateOf(1, { conflict: 'lww', isDropped: true }).committed);
    expect(definitionIn(record)).toEqual({ ...DEFAULT_DEFINITION, conflict: 'lww', isDropped: true });
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

  it('forgets a namespace that was dropped, made again and dropped once more while this node was away', () => {
    const { catalog, learn, dropped } = newCatalog();
    learn('shop', {});
    learn('shop', { generation: 2, isDropped: true });
    expect([catalog.get('shop'), catalog.all().map(({ name }) => name), dropped]).toEqual([
      undefined,
      ['default'],
      ['shop.1', 'shop.2'],
    ]);
  });

  it('goes back to no definition that a later one took the place of, however late it comes', () => {
    const { catalog, learnRow } = newCatalog();
    learnRow('shop', stateOf(5, { conflict: 'lww' }));
    learnRow('shop', stateOf(4, { isDropped: true }));
    learnRow('shop', stateOf(5, { conflict: 'siblings' }));
    expect(catalog.get('shop')?.conflict).toBe('lww');
    learnRow('shop', stateOf(6, { conflict: 'siblings' }));
    expect(catalog.get('shop')?.conflict).toBe('siblings');
  });

  it('believes no definition that was only accepted', () => {
    const { catalog, learnRow } = newCatalog();
    const { promised, accepted } = stateOf(1, {});
    learnRow('shop', { promised, accepted, committed: undefined, isHearsay: false });
    expect(catalog.get('shop')).toBeUndefined();
    learnRow('shop', { ...stateOf(2, { isDropped: true }), committed: stateOf(1, {}).committed });
    expect(catalog.get('shop')?.id).toBe('shop.1');
  });

  it('knows of how many replicas the keys of each namespace have', () => {
    const { catalog, learn } = newCatalog();
    learn('both', { placement: { us: 2, eu: 1 } });
    learn('one', { placement: { eu: 1 } });
    learn('gone', { isDropped: true });
    // By name: both, default, one.
    expect(catalog.replicaCounts()).toEqual([3, 2, 1]);
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
