import type { VersionVector } from '@meridian/core/causality/version-vector';
import { NO_SEQUENCE, type Sequence, type StoreId } from '@meridian/core/ids';
import type { CacheWrite } from '../../ports/cache.ts';
import type { FollowPosition, RecordWrite } from '../../ports/store.ts';

/**
 * An update of more keys than this comes from a peer that catches up, or from a purge: no client waits for it. Its keys are
 * only dropped: to send millions of values to a cache that has few of them would slow both.
 */
export const VALUES_SENT_MAX = 16;

/** What a decision saw, and what it decided, once that is committed. */
export interface Turn {
  readonly store: StoreId;
  readonly nextSequence: Sequence;
  /** Before the decision. */
  readonly applied: VersionVector;
  readonly writes: readonly RecordWrite[];
  readonly positions: ReadonlyMap<StoreId, FollowPosition> | undefined;
  readonly atMs: number;
}

/** What the cache is to be told of a turn. */
export function changesOf(turn: Turn, valueBytesMax: number): readonly CacheWrite[] {
  const claims = claimsAfter(turn);
  let next: number = turn.nextSequence;
  return turn.writes.map(({ key, record }) => {
    // A removal takes no sequence: all rows that the key has had are below the one that the next write gets.
    const sequence = (record === null ? next - 1 : next++) as Sequence;
    if (record && record.length > valueBytesMax) return { key, entry: undefined };
    return { key, entry: { record: record ?? undefined, sequence, claims, atMs: turn.atMs } };
  });
}

/** What the store held at the end of the turn: others may have gone on in the same commit, which only adds to it. */
function claimsAfter({ store, nextSequence, applied, writes, positions }: Turn): VersionVector {
  const claims = new Map(applied);
  for (const [origin, position] of positions ?? []) {
    if (position.applied > 0) claims.set(origin, position.applied);
    else claims.delete(origin);
  }
  const written = writes.filter(({ record }) => record !== null).length;
  const sequence = (nextSequence + written - 1) as Sequence;
  if (sequence > NO_SEQUENCE) claims.set(store, sequence);
  return claims;
}
