import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareKeys } from '../ids.ts';
import { endOfPrefix } from './key-range.ts';

const letters = [
  '\0',
  'a',
  'b',
  '\u007f',
  '\u0080',
  '\ud7ff',
  '\ue000',
  '\uffff',
  '\u{10000}',
  '\u{10fffe}',
  '\u{10ffff}',
];
const text = fc.string({ unit: fc.constantFrom(...letters), maxLength: 4 });

describe('endOfPrefix', () => {
  it('is above every text that begins with the prefix, and not above any other that follows it', () => {
    fc.assert(
      fc.property(text, text, (prefix, other) => {
        const end = endOfPrefix(prefix);
        for (const candidate of [other, prefix + other, prefix.slice(0, -1) + other].filter((each) =>
          each.isWellFormed(),
        )) {
          const isInRange =
            compareKeys(candidate, prefix) >= 0 && (end === undefined || compareKeys(candidate, end) < 0);
          expect(isInRange).toBe(candidate.startsWith(prefix));
        }
      }),
      { numRuns: 10_000 },
    );
  });

  it('is itself the least text above: it does not begin with the prefix, and is no longer than it', () => {
    fc.assert(
      fc.property(text, (prefix) => {
        const end = endOfPrefix(prefix);
        if (end === undefined) return;
        expect(end.isWellFormed()).toBe(true);
        expect(end.startsWith(prefix)).toBe(false);
        expect(compareKeys(end, prefix)).toBeGreaterThan(0);
        expect(Array.from(end).length).toBeLessThanOrEqual(Array.from(prefix).length);
      }),
    );
  });

  it('steps over the surrogates, and carries where a character is the last there is', () => {
    expect(endOfPrefix('cart:')).toBe('cart;');
    expect(endOfPrefix('a\ud7ff')).toBe('a\ue000');
    expect(endOfPrefix('a\uffff')).toBe('a\u{10000}');
    expect(endOfPrefix('a\u{10ffff}\u{10ffff}')).toBe('b');
  });

  it('is nothing where no text is above', () => {
    expect(endOfPrefix('')).toBeUndefined();
    expect(endOfPrefix('\u{10ffff}\u{10ffff}')).toBeUndefined();
  });
});
