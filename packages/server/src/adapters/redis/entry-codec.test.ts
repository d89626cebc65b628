import { type NamespaceId, recordKey, type Sequence, type StoreId } from '@meridian/core/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CacheEntry } from '../../ports/cache.ts';
import { decodeLook, encodeEntry, encodeLease, HEADER_BYTES } from './entry-codec.ts';

const STORE = 'us-1.abcdefghijklmnop' as StoreId;
const keys = fc.string({ unit: 'grapheme', maxLength: 40 }).map((name) => recordKey('default.1' as NamespaceId, name));
const sequences = fc.nat({ max: Number.MAX_SAFE_INTEGER }).map((sequence) => sequence as Sequence);
const stores = fc.stringMatching(/^[a-z]{1,8}\.[a-z0-9]{1,8}$/).map((id) => id as StoreId);
const entries: fc.Arbitrary<CacheEntry> = fc.record({
  record: fc.option(fc.uint8Array({ maxLength: 100 }), { nil: undefined }),
  sequence: sequences,
  claims: fc
    .array(fc.tuple(fc.oneof(stores, fc.constant(STORE)), sequences), { maxLength: 5 })
    .map((all) => new Map(all)),
  atMs: fc.nat({ max: 2 ** 45 }),
});

describe('entries as bytes', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(keys, entries, (key, entry) => {
        const { entry: back } = decodeLook(key, encodeEntry(STORE, key, entry));
        expect(back && { ...back, record: back.record && Uint8Array.from(back.record) }).toEqual(entry);
      }),
    );
  });

  it('are those of their own key alone', () => {
    fc.assert(
      fc.property(keys, keys, entries, (key, other, entry) => {
        fc.pre(key !== other);
        expect(decodeLook(other, encodeEntry(STORE, key, entry))).toEqual({});
      }),
    );
  });

  it('begin with what the scripts compare', () => {
    const claims = new Map([[STORE, 12 as Sequence]]);
    const entry = { record: new Uint8Array(1), sequence: 7 as Sequence, claims, atMs: 1_700_000_000_000 };
    expect(encodeEntry(STORE, recordKey('n.1' as NamespaceId, 'k'), entry).toString('latin1', 0, HEADER_BYTES)).toBe(
      'R000000000000000700000000000000120001700000000000',
    );
    expect(encodeLease(7 as Sequence, 'token').slice(0, HEADER_BYTES + 1)).toBe(`L0000000000000007${'0'.repeat(32)}t`);
  });

  it('are nothing where they are cut short or are something else, and never an error', () => {
    fc.assert(
      fc.property(keys, entries, fc.nat(), (key, entry, at) => {
        const whole = encodeEntry(STORE, key, entry);
        const prefix = HEADER_BYTES + 2;
        expect(decodeLook(key, whole.subarray(0, at % prefix)).entry).toBeUndefined();
      }),
    );
    fc.assert(
      fc.property(
        keys,
        fc.constantFrom('R', 'N', 'L', 'x', ''),
        fc.uint8Array({ maxLength: 90 }),
        (key, kind, tail) => {
          const header = `${kind}${'0'.repeat(HEADER_BYTES - 1)}`;
          for (const value of [Buffer.from(tail), Buffer.concat([Buffer.from(header), tail])])
            expect(Object.keys(decodeLook(key, value))).not.toContain('entry');
        },
      ),
    );
  });
});
