import type { VersionedRecord } from '@meridian/core/causality/record';
import type { Served } from './answer-heads.ts';

/** What a read found, and who answered. */
export interface ReadOutcome extends Served {
  readonly record: VersionedRecord | undefined;
  readonly stalenessMs: number | null;
}
