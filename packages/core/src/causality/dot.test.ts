import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareDots, dotText, parseDot, sameDot } from './dot.ts';
import { dot } from './record.testing.ts';

const anyDot = fc
  .tuple(
    fc.stringMatching(/^[a-z0-9._-]{3,20}$/),
    fc.maxSafeInteger().map((drawn) => Math.max(1, Math.abs(drawn))),
  )
  .map(([store, sequence]) => dot(store, sequence));

describe('a dot', () => {
  it('comes back from its text', () => {
    fc.assert(
      fc.property(anyDot, (drawn) => {
        expect(parseDot(dotText(drawn))).toEqual(drawn);
      }),
    );
  });

  it('is not read from any other text', () => {
    const texts = [
      '',
      ':',
      'us-1.a',
      'us-1.a:',
      'us-1.a:0',
      'us-1.a:01',
      'us-1.a:-1',
      'us-1.a:1.5',
      'us-1.a:1 ',
      'us-1.a:1\n',
      'us 1:1',
      ':1',
      'ab:1',
      'us-1.a:9007199254740992',
    ];
    for (const text of texts) expect(parseDot(text), text).toBeUndefined();
    expect(parseDot('us-1.a:9007199254740991')).toEqual(dot('us-1.a', Number.MAX_SAFE_INTEGER));
  });

  it('stands in one total order', () => {
    const few = fc
      .tuple(fc.constantFrom('aaa', 'bbb', 'Bbb'), fc.integer({ min: 1, max: 12 }))
      .map(([store, sequence]) => dot(store, sequence));
    fc.assert(
      fc.property(few, few, few, (one, two, three) => {
        expect(Math.sign(compareDots(one, two))).toBe(0 - Math.sign(compareDots(two, one)));
        expect(compareDots(one, two) === 0).toBe(sameDot(one, two));
        if (compareDots(one, two) <= 0 && compareDots(two, three) <= 0)
          expect(compareDots(one, three)).toBeLessThanOrEqual(0);
      }),
    );
    expect(compareDots(dot('aaa', 9), dot('aaa', 10))).toBeLessThan(0);
  });
});
