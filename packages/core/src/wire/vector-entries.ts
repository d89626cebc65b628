import { EMPTY_VECTOR, sequenceIn, type VersionVector } from '../causality/version-vector.ts';
import type { Sequence, StoreId } from '../ids.ts';
import type { VectorEntries } from './messages.ts';

export function vectorEntries(vector: VersionVector): VectorEntries {
  return [...vector];
}

/** Entries of zero say nothing, and are left out; of two for one store the higher holds. */
export function vectorOf(entries: VectorEntries): VersionVector {
  if (entries.length === 0) return EMPTY_VECTOR;
  const vector = new Map<StoreId, Sequence>();
  for (const [store, sequence] of entries) {
    if (sequence > sequenceIn(vector, store)) vector.set(store, sequence);
  }
  return vector;
}
