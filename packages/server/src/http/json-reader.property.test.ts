import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readJson } from './json-reader.ts';
import { checkJson, JsonError } from './json-scanner.ts';

/** JSON.parse as the oracle: what the two differ in (UTF-8, depth, doubled names) is tested by example. */
function oracle(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

function outcome<Value>(run: () => Value): { readonly value: Value } | undefined {
  try {
    return { value: run() };
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}

/** Prototypes apart, the same. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;

const jsonText = fc.oneof(
  fc.json({ maxDepth: 6, stringUnit: 'binary' }),
  fc
    .tuple(fc.json({ maxDepth: 4 }), fc.constantFrom(0, 1, 2, 4))
    .map(([text, spaces]) => JSON.stringify(JSON.parse(text), null, spaces)),
);

/** Valid JSON with a bit of it replaced, dropped or put in: most of the interesting wrong texts are near right ones. */
const nearJson = fc
  .tuple(
    jsonText,
    fc.nat(),
    fc.nat(3),
    fc.string({ maxLength: 3, unit: fc.constantFrom(...Array.from('{}[]",:\\u0eE+-.1tfn \n/')) }),
  )
  .map(([text, at, cut, put]) => {
    const from = text.length === 0 ? 0 : at % text.length;
    return text.slice(0, from) + put + text.slice(from + cut);
  });

const hasDoubledName = (error: unknown) => error instanceof JsonError && error.message.includes('twice');

describe('the JSON scanner and reader', () => {
  it('take what JSON.parse takes, refuse what it refuses, and read the same', () => {
    fc.assert(
      fc.property(fc.oneof(jsonText, nearJson), (text) => {
        const bytes = Buffer.from(text.toWellFormed(), 'utf8');
        const expected = oracle(text.toWellFormed());
        expect(outcome(() => checkJson(bytes)) !== undefined).toBe(expected !== undefined);
        try {
          expect(plain(readJson(bytes))).toEqual(plain(expected?.value));
          expect(expected).toBeDefined();
        } catch (error) {
          if (!hasDoubledName(error) && (expected !== undefined || !(error instanceof JsonError))) throw error;
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('end with an answer for any bytes at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const isText = outcome(() => checkJson(bytes)) !== undefined;
        expect(isText).toBe(
          oracle(Buffer.from(bytes).toString('utf8')) !== undefined &&
            Buffer.from(Buffer.from(bytes).toString('utf8')).equals(bytes),
        );
      }),
      { numRuns: 5000 },
    );
  });

  it('hand an opaque member over as the bytes that were sent', () => {
    fc.assert(
      fc.property(jsonText, fc.constantFrom('', ' ', '\n\t '), (text, space) => {
        const body = `{"ttl":5,${space}"value"${space}:${space}${text.toWellFormed()}${space}}`;
        const read = readJson(Buffer.from(body), { name: 'value', depth: 1 }) as { ttl: number; value: Buffer };
        expect(read.ttl).toBe(5);
        expect(read.value.toString('utf8')).toBe(text.toWellFormed().trim());
      }),
      { numRuns: 500 },
    );
  });
});
