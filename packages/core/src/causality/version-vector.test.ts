import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoreId } from '../ids.ts';
import { dot, vector } from './record.testing.ts';
import { covers, descends, EMPTY_VECTOR, join, sameVector, sequenceIn, withDot } from './version-vector.ts';

const any = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 1, max: 5 })).map(vector);

describe('a version vector', () => {
  it('takes an absent entry for zero', () => {
    expect(sequenceIn(EMPTY_VECTOR, 'a' as StoreId)).toBe(0);
    expect(covers(vector({ a: 3 }), dot('a', 3))).toBe(true);
    expect(covers(vector({ a: 3 }), dot('a', 4))).toBe(false);
    expect(covers(vector({ a: 3 }), dot('b', 1))).toBe(false);
  });

  it('descends exactly what is nowhere above it: entry by entry', () => {
    fc.assert(
      fc.property(any, any, (left, right) => {
        const isAbove = (['a', 'b', 'c', 'd'] as StoreId[]).some(
          (store) => sequenceIn(right, store) > sequenceIn(left, store),
        );
        expect(descends(left, right)).toBe(!isAbove);
        expect(sameVector(left, right)).toBe(descends(left, right) && descends(right, left));
      }),
    );
  });

  it('joins to the least that descends both, and changes neither', () => {
    fc.assert(
      fc.property(any, any, any, (left, right, above) => {
        const [before, other] = [new Map(left), new Map(right)];
        const joined = join(left, right);
        expect(descends(joined, left) && descends(joined, right)).toBe(true);
        if (descends(above, left) && descends(above, right)) expect(descends(above, joined)).toBe(true);
        expect(left).toEqual(before);
        expect(right).toEqual(other);
      }),
    );
  });

  it('is itself where a join brings nothing: nobody writes a record for that', () => {
    fc.assert(
      fc.property(any, any, (left, right) => {
        if (left.size > 0) expect(join(left, right) === left).toBe(descends(left, right));
      }),
    );
  });

  it('takes a dot up, and is not moved back by an old one', () => {
    expect(withDot(vector({ a: 3 }), dot('a', 5))).toEqual(vector({ a: 5 }));
    expect(withDot(vector({ a: 3 }), dot('b', 1))).toEqual(vector({ a: 3, b: 1 }));
    expect(withDot(vector({ a: 3 }), dot('a', 2))).toEqual(vector({ a: 3 }));
  });
});
