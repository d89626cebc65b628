import type { VersionedRecord } from '@meridian/core/causality/record';
import type { NodeName, RegionName, StoreId } from '@meridian/core/ids';
import type { Hop } from './service.ts';

/** What a read found, and who answered. */
export interface ReadOutcome {
  readonly record: VersionedRecord | undefined;
  readonly node: NodeName;
  readonly region: RegionName;
  readonly store: StoreId;
  readonly asked: number;
  readonly answered: number;
  readonly hops: readonly Hop[];
  /** Rounds of questions to other replicas, one after another. */
  readonly rounds: number;
  readonly stalenessMs: number | null;
}
