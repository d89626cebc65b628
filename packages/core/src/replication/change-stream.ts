import { sequenceIn, type VersionVector } from '../causality/version-vector.ts';
import type { Sequence, StoreId } from '../ids.ts';

/**
 * The rules of replication by sequence (ARCHITECTURE.md). Each was found necessary by a random model, and each has a test
 * that fails without it (`change-stream.property.test.ts`): switching one off loses acknowledged writes, lets replicas
 * differ for ever, or revives what was deleted.
 */

/** How far a receiver has come with one origin. Stored in one transaction with the records it speaks of. */
export interface StreamPosition {
  /** How far the origin's index was walked; where to go on. */
  readonly cursor: Sequence;
  /** The claim: every dot of the origin up to here was merged, for the keys hosted here. */
  readonly applied: Sequence;
  /** Whether everything the origin held, of whatever dots, was taken in once. */
  readonly isFilled: boolean;
}

export const START_POSITION: StreamPosition = { cursor: 0 as Sequence, applied: 0 as Sequence, isFilled: false };

export interface StreamBatch {
  readonly from: Sequence;
  readonly upTo: Sequence;
  /** Whether, with this batch, a consistent view of the origin's index as of `upTo` has been sent whole. */
  readonly isWhole: boolean;
}

/**
 * Rule 1. Whether the origin sends a row: where its own dot in the record is above the receiver's *claim*. Not above its
 * cursor: a row moves when its key changes, and a filter by cursor skips what moved past it. A receiver that is being
 * filled gets every record: dots of stores that are gone reach it in no other way.
 */
export function isWanted(origin: StoreId, vector: VersionVector, applied: Sequence, isFill: boolean): boolean {
  return isFill || sequenceIn(vector, origin) > applied;
}

/** Rule 3. Whether a batch joins on to what the receiver has walked. Duplicates and old batches do; a gap does not. */
export function joinsOn(position: StreamPosition, batch: StreamBatch): boolean {
  return position.cursor >= batch.from;
}

/**
 * Rule 2. The position once a batch that joins on was merged. The cursor moves with every batch; the claim only with the one
 * that completes a view: a batch in the middle proves nothing about the sequences below it, because rows moved away from there.
 */
export function positionAfter(position: StreamPosition, batch: StreamBatch): StreamPosition {
  return {
    cursor: Math.max(position.cursor, batch.upTo) as Sequence,
    applied: batch.isWhole ? (Math.max(position.applied, batch.upTo) as Sequence) : position.applied,
    isFilled: position.isFilled || batch.isWhole,
  };
}
