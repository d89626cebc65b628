import { type NamespaceId, recordKey } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { KeyFilter } from './key-filter.ts';

const NAMES: Readonly<Record<string, (at: number) => string>> = {
  'numbered keys': (at) => `key-${at}`,
  'keys that differ in the middle': (at) => `user:${at}:profile`,
  'long keys with one beginning': (at) => `${'x'.repeat(500)}${at}`,
  'keys in two scripts': (at) => `город-${at}`,
};

describe('a filter of keys', () => {
  for (const [what, nameOf] of Object.entries(NAMES)) {
    const keyOf = (at: number) => recordKey('cities.1' as NamespaceId, nameOf(at));

    it(`holds all of 8,192 ${what}, and takes few others for them`, () => {
      const filter = new KeyFilter();
      for (let at = 0; at < 8_192; at++) filter.add(keyOf(at));
      for (let at = 0; at < 8_192; at++) expect(filter.mayHold(keyOf(at))).toBe(true);
      let taken = 0;
      for (let at = 8_192; at < 28_192; at++) if (filter.mayHold(keyOf(at))) taken += 1;
      expect(taken).toBeLessThan(20_000 / 32);
    });
  }

  it('holds nothing at first', () => {
    expect(new KeyFilter().mayHold(keyOfText(''))).toBe(false);
  });

  it('tells keys apart that are longer than what it looks at, by their length', () => {
    const filter = new KeyFilter();
    filter.add(keyOfText('y'.repeat(100)));
    expect(filter.mayHold(keyOfText('y'.repeat(100)))).toBe(true);
    expect(filter.mayHold(keyOfText('y'.repeat(101)))).toBe(false);
  });
});

function keyOfText(text: string) {
  return recordKey('cities.1' as NamespaceId, text);
}
