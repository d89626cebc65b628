import { NO_SEQUENCE, type Sequence, type StoreId } from '../ids.ts';
import type { Dot } from './dot.ts';

/** Store -> highest sequence seen. An absent entry is zero. Values are never changed once shared: copy, then change. */
export type VersionVector = ReadonlyMap<StoreId, Sequence>;

export const EMPTY_VECTOR: VersionVector = new Map();

export function sequenceIn(vector: VersionVector, store: StoreId): Sequence {
  return vector.get(store) ?? NO_SEQUENCE;
}

/** Whether the write of this dot is among what the vector has seen. */
export function covers(vector: VersionVector, dot: Dot): boolean {
  return sequenceIn(vector, dot.store) >= dot.sequence;
}

/** Whether `left` has seen all that `right` has. Neither descending the other is what makes two versions concurrent. */
export function descends(left: VersionVector, right: VersionVector): boolean {
  for (const [store, sequence] of right) if (sequenceIn(left, store) < sequence) return false;
  return true;
}

/** The least vector that descends both. */
export function join(left: VersionVector, right: VersionVector): VersionVector {
  if (right.size === 0 || left === right) return left;
  if (left.size === 0) return right;
  let joined: Map<StoreId, Sequence> | undefined;
  for (const [store, sequence] of right) {
    if (sequenceIn(left, store) >= sequence) continue;
    joined ??= new Map(left);
    joined.set(store, sequence);
  }
  return joined ?? left;
}

export function withDot(vector: VersionVector, dot: Dot): VersionVector {
  if (covers(vector, dot)) return vector;
  return new Map(vector).set(dot.store, dot.sequence);
}

export function sameVector(left: VersionVector, right: VersionVector): boolean {
  return left.size === right.size && descends(left, right) && descends(right, left);
}
