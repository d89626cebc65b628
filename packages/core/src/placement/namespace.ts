import type { NamespaceId } from '../ids.ts';
import type { Placement } from './layout.ts';

/** What happens to concurrent values: all are shown, or the last writer's is, and the ledger keeps the others. */
export type ConflictRule = 'siblings' | 'lww';
export type NamespaceMode = 'eventual' | 'strong';

export interface Namespace {
  /** Its own from creation to drop: dropped and made again under the same name, it shares nothing with what it was. */
  readonly id: NamespaceId;
  readonly name: string;
  readonly mode: NamespaceMode;
  readonly conflict: ConflictRule;
  readonly placement: Placement;
  /** For values written without a `ttl`; `null` is for ever. */
  readonly defaultTtlSeconds: number | null;
  readonly ledgerKeepSeconds: number;
}

export const DEFAULT_NAMESPACE = 'default';
export const LEDGER_KEEP_SECONDS_DEFAULT = 7 * 24 * 3600;
