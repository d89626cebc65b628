import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compareKeys,
  endOfNamespace,
  type NamespaceId,
  namespaceIdOf,
  plainKeyOf,
  recordKey,
  type StoreName,
  storeIdFor,
  storeNameOf,
} from './ids.ts';

/** Texts of few letters, so that they share beginnings: from both sides of where UTF-16 and UTF-8 disagree on the order. */
const letters = [
  '\0',
  '\u0001',
  'a',
  '\u007f',
  '\u0080',
  '\u07ff',
  '\u0800',
  '\ud7ff',
  '\ue000',
  '\uffff',
  '\u{10000}',
  '\u{103ff}',
  '\u{10400}',
  '\u{10ffff}',
];
const few = fc.string({ unit: fc.constantFrom(...letters), maxLength: 5 });
const text = fc.oneof(few, fc.string({ unit: 'binary' }));
const namespace = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,8}\.[0-9]{1,2}$/).map((drawn) => drawn as NamespaceId);

describe('compareKeys', () => {
  it('orders texts as their UTF-8 bytes are ordered', () => {
    fc.assert(
      fc.property(text, text, (left, right) => {
        expect(Math.sign(compareKeys(left, right))).toBe(Buffer.compare(Buffer.from(left), Buffer.from(right)));
      }),
      { numRuns: 20_000 },
    );
  });

  it('sorts characters beyond the basic plane last, where JavaScript itself does not', () => {
    const texts = ['\u{10000}', '\uffff', '\ue000', '\ud7ff'];
    expect(texts.toSorted(compareKeys)).toEqual(['\ud7ff', '\ue000', '\uffff', '\u{10000}']);
  });
});

describe('a record key', () => {
  it('gives back its namespace and key, whatever the key holds, NUL too', () => {
    fc.assert(
      fc.property(namespace, text, (id, key) => {
        expect(namespaceIdOf(recordKey(id, key))).toBe(id);
        expect(plainKeyOf(recordKey(id, key))).toBe(key);
      }),
    );
    expect(plainKeyOf(recordKey('n.1' as NamespaceId, '\0a\0'))).toBe('\0a\0');
  });

  it('lies in its namespace, and in no other', () => {
    fc.assert(
      fc.property(namespace, namespace, text, (id, other, key) => {
        const found = recordKey(id, key);
        const isIn = (of: NamespaceId) =>
          compareKeys(found, recordKey(of, '')) >= 0 && compareKeys(found, endOfNamespace(of)) < 0;
        expect(isIn(id)).toBe(true);
        expect(isIn(other)).toBe(id === other);
      }),
      { numRuns: 1000 },
    );
  });

  it('lies in no namespace whose name begins alike', () => {
    for (const longer of ['shop.10', 'shop.1.1', 'shop.1-b.1', 'shop.1_b.1']) {
      const key = recordKey(longer as NamespaceId, '');
      expect(compareKeys(key, endOfNamespace('shop.1' as NamespaceId))).toBeGreaterThan(0);
    }
  });
});

describe('a store id', () => {
  it('tells the name of its place on the ring, dots in the name and all', () => {
    for (const name of ['us-1', 'eu.central.1', 'a']) {
      expect(storeNameOf(storeIdFor(name as StoreName, '7f3a'))).toBe(name);
    }
  });

  it('is another one after the disk was lost, under the same name', () => {
    const [before, after] = ['7f3a', '90bc'].map((random) => storeIdFor('us-1' as StoreName, random));
    expect(before).not.toBe(after);
    expect(storeNameOf(before!)).toBe(storeNameOf(after!));
  });
});
