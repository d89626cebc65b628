import { compareKeys, type RegionName, type StoreName } from '../ids.ts';

/** A store in its role as holder of a given key. */
export interface Replica {
  readonly store: StoreName;
  readonly region: RegionName;
}

/**
 * The replicas of a key, nearest first as seen from a node: its own store, its own region, then by round trip to the
 * region. Ties go by store name, so that nodes of a region agree whom to ask. A round trip that is not a number counts
 * as endless.
 */
export function preferenceList(
  replicas: readonly Replica[],
  from: Replica,
  rttMs: (region: RegionName) => number,
): readonly Replica[] {
  const distance = (replica: Replica): number => {
    if (replica.store === from.store) return -2;
    if (replica.region === from.region) return -1;
    const ms = rttMs(replica.region);
    return ms >= 0 ? ms : Infinity;
  };
  return replicas
    .map((replica) => ({ replica, distance: distance(replica) }))
    .sort(
      (left, right) =>
        compareDistances(left.distance, right.distance) || compareKeys(left.replica.store, right.replica.store),
    )
    .map(({ replica }) => replica);
}

/** Not a difference: that of two endless ones is not a number. */
function compareDistances(left: number, right: number): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** The least number of `count` replicas that is a majority of them: any two such sets share one. */
export function quorumOf(count: number): number {
  return Math.floor(count / 2) + 1;
}
