import { EMPTY_VECTOR, type VersionVector } from '../causality/version-vector.ts';
import type { VectorEntries } from './messages.ts';

export function vectorEntries(vector: VersionVector): VectorEntries {
  return [...vector];
}

export function vectorOf(entries: VectorEntries): VersionVector {
  return entries.length === 0 ? EMPTY_VECTOR : new Map(entries);
}
