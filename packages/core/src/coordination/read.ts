import { mergeRecords } from '../causality/merge.ts';
import type { VersionedRecord } from '../causality/record.ts';
import { descends } from '../causality/version-vector.ts';
import type { StoreName } from '../ids.ts';

/** A read of several replicas: an accumulator of their replies. */
export interface QuorumRead {
  readonly replicas: readonly StoreName[];
  readonly required: number;
  readonly replies: ReadonlyMap<StoreName, VersionedRecord | undefined>;
  readonly failed: ReadonlySet<StoreName>;
  readonly merged: VersionedRecord | undefined;
}

export function startRead(replicas: readonly StoreName[], required: number): QuorumRead {
  return { replicas, required, replies: new Map(), failed: new Set(), merged: undefined };
}

/** A store counts once, however often it answers. */
export function addReply(read: QuorumRead, store: StoreName, record: VersionedRecord | undefined): QuorumRead {
  if (!read.replicas.includes(store) || read.replies.has(store)) return read;
  const merged = record ? mergeRecords(read.merged, record).record : read.merged;
  const failed = new Set(read.failed);
  failed.delete(store);
  return { ...read, replies: new Map(read.replies).set(store, record), failed, merged };
}

/** A reply that comes after all outweighs the failure, whichever is heard of first. */
export function addReadFailure(read: QuorumRead, store: StoreName): QuorumRead {
  if (!read.replicas.includes(store) || read.replies.has(store)) return read;
  return { ...read, failed: new Set(read.failed).add(store) };
}

export function isReadDecided(read: QuorumRead): boolean {
  return read.replies.size >= read.required;
}

/** Whether too many replicas have failed for the rest to make up the number. */
export function isReadImpossible(read: QuorumRead): boolean {
  return !isReadDecided(read) && read.replicas.length - read.failed.size < read.required;
}

/** The replicas that answered with less than the merge of all that answered. */
export function staleReplicas(read: QuorumRead): readonly StoreName[] {
  const { merged } = read;
  if (!merged) return [];
  return [...read.replies].filter(([, record]) => !record || isBehind(record, merged)).map(([store]) => store);
}

function isBehind(record: VersionedRecord, merged: VersionedRecord): boolean {
  return !descends(record.vector, merged.vector) || record.siblings.length !== merged.siblings.length;
}
