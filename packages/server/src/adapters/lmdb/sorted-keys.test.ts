import { compareKeys, type RecordKey } from '@meridian/core/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SortedKeys } from './sorted-keys.ts';

/** Of few letters, so that they share beginnings, from both sides of where UTF-16 and UTF-8 disagree on the order. */
const key = fc
  .string({ unit: fc.constantFrom('a', 'b', 'é', '\ud7ff', '\ue000', '\u{10000}'), maxLength: 6 })
  .map((text) => text as RecordKey);
/** From none to several runs and a rest. */
const keys = fc.oneof(
  fc.uniqueArray(key, { maxLength: 40 }),
  fc
    .uniqueArray(key, { minLength: 1, maxLength: 40 })
    .map((ends) => Array.from({ length: 50 }, (_none, at) => ends.map((end) => `${(at * 37) % 50}${end}`)).flat())
    .map((many) => [...new Set(many)] as RecordKey[]),
);

/** One of the keys, or another. */
const bound = fc.oneof(
  key.map((one) => () => one),
  fc.nat().map((at) => (added: readonly RecordKey[]) => added[at % added.length] ?? ('' as RecordKey)),
);

describe('keys that come in any order', () => {
  it('are walked in the order of their bytes, each once', () => {
    fc.assert(
      fc.property(keys, (added) => {
        expect([...sortedKeys(added).all()]).toEqual(added.toSorted(compareKeys));
      }),
    );
  });

  it('are walked from one key to another, the first with it and the second without', () => {
    fc.assert(
      fc.property(keys, bound, bound, (added, fromOf, toOf) => {
        const [from, to] = [fromOf(added), toOf(added)];
        const expected = added.filter((one) => compareKeys(from, one) <= 0 && compareKeys(one, to) < 0);
        expect([...sortedKeys(added).between(from, to)]).toEqual(expected.toSorted(compareKeys));
      }),
    );
  });

  it('may be walked, added to, and walked again', () => {
    const numbered = Array.from({ length: 3_000 }, (_none, at) => `k${(at * 7_919) % 3_000}` as RecordKey);
    const sorted = new SortedKeys();
    for (const [at, one] of numbered.entries()) {
      sorted.add(one);
      if (at % 701 === 0) expect([...sorted.all()]).toEqual(numbered.slice(0, at + 1).toSorted(compareKeys));
    }
    expect([...sorted.all()]).toEqual(numbered.toSorted(compareKeys));
  });
});

function sortedKeys(added: readonly RecordKey[]): SortedKeys {
  const sorted = new SortedKeys();
  for (const one of added) sorted.add(one);
  return sorted;
}
