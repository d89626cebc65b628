import { TIME_MS_MAX } from '@meridian/core/causality/hybrid-clock';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wantedForm } from './media.ts';
import { parseQuery, UNDECODABLE } from './query.ts';
import { namesTag } from './request.ts';
import { timeText } from './time-text.ts';

describe('timeText', () => {
  it('is what Date would write, for any time a record can have', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: TIME_MS_MAX }), (timeMs) => {
        expect(timeText(timeMs)).toBe(new Date(timeMs).toISOString());
      }),
    );
    for (const timeMs of [0, 999, 1000, 256_000, 256_999, 512_000])
      expect(timeText(timeMs)).toBe(new Date(timeMs).toISOString());
  });
});

describe('parseQuery', () => {
  it('reads what URLSearchParams writes', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })), (sent) => {
        const fields = Object.entries(sent).map(([name, value]) => [name.toWellFormed(), value.toWellFormed()]);
        const expected = new Map(fields.map(([name, value]) => [name, value]));
        if (expected.size !== fields.length) return;
        const read = parseQuery(new URLSearchParams(fields).toString());
        expect(new Map(Object.entries(read))).toEqual(expected);
      }),
    );
  });

  it('marks what it cannot decode, and collects what stands twice', () => {
    for (const text of ['%', 'a=%FF', '%C3=1', 'a=é', 'a=%ED%A0%80'])
      expect(Object.keys(parseQuery(text))).toContain(UNDECODABLE);
    expect(parseQuery('a=1&a=2&a=3')).toEqual({ a: ['1', '2', '3'] });
    expect(parseQuery('raw&b=&&c=1=2')).toEqual({ raw: '', b: '', c: '1=2' });
  });

  it('ends for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(parseQuery(text)).toBeTypeOf('object');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('wantedForm', () => {
  it.each([
    [undefined, 'envelope'],
    ['application/octet-stream;q=0.9, application/json;q=0.1', 'bytes'],
    ['application/octet-stream;q=0.1, */*', 'envelope'],
    ['application/json;q=0, application/octet-stream', 'bytes'],
    ['APPLICATION/OCTET-STREAM', 'bytes'],
    ['application/json;q=0, */*;q=0.1', 'bytes'],
    ['application/json;q=0, application/*', 'bytes'],
  ] as const)('reads %s', (accept, form) => {
    expect(wantedForm(accept)).toBe(form);
  });

  it.each(['image/png', '*/*;q=0', 'application/octet-stream;q=0', 'application/json;q=x'])(
    'finds nothing for %s',
    (accept) => {
      expect(() => wantedForm(accept)).toThrow(/comes as/);
    },
  );
});

describe('namesTag', () => {
  it('compares strongly or weakly', () => {
    expect(namesTag('"a", "b"', 'b', false)).toBe(true);
    expect(namesTag('W/"b"', 'b', true)).toBe(true);
    expect(namesTag('W/"b"', 'b', false)).toBe(false);
    expect(namesTag('b', 'b', true)).toBe(false);
    expect(namesTag('*', 'b', false)).toBe(true);
  });
});
