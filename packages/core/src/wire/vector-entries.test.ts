import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyVector, vector } from '../causality/record.testing.ts';
import { EMPTY_VECTOR } from '../causality/version-vector.ts';
import type { VectorEntries } from './messages.ts';
import { vectorEntries, vectorOf } from './vector-entries.ts';

const entries = (...list: [string, number][]) => list as unknown as VectorEntries;

describe('a vector between nodes', () => {
  it('comes back from its entries', () => {
    fc.assert(
      fc.property(anyVector, (drawn) => {
        expect(vectorOf(vectorEntries(drawn))).toEqual(drawn);
      }),
    );
    expect(vectorOf([])).toBe(EMPTY_VECTOR);
  });

  it('has no entry of zero, which no record could carry, and of two the higher', () => {
    expect(vectorOf(entries(['a', 0], ['b', 3], ['b', 2]))).toEqual(vector({ b: 3 }));
    expect(vectorOf(entries(['b', 2], ['b', 3]))).toEqual(vector({ b: 3 }));
  });
});
