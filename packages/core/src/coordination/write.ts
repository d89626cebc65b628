import type { StoreName } from '../ids.ts';

/** A write on its way to several replicas: who has it on disk. */
export interface QuorumWrite {
  readonly replicas: readonly StoreName[];
  readonly required: number;
  readonly durable: ReadonlySet<StoreName>;
  readonly failed: ReadonlySet<StoreName>;
}

export function startWrite(replicas: readonly StoreName[], required: number): QuorumWrite {
  return { replicas, required, durable: new Set(), failed: new Set() };
}

/** A store counts once, however often it says so. */
export function addDurable(write: QuorumWrite, store: StoreName): QuorumWrite {
  if (!write.replicas.includes(store) || write.durable.has(store)) return write;
  const failed = new Set(write.failed);
  failed.delete(store);
  return { ...write, durable: new Set(write.durable).add(store), failed };
}

/** A store that failed may still have it: a failure never proves that nothing happened. */
export function addWriteFailure(write: QuorumWrite, store: StoreName): QuorumWrite {
  if (!write.replicas.includes(store) || write.durable.has(store)) return write;
  return { ...write, failed: new Set(write.failed).add(store) };
}

export function isWriteDecided(write: QuorumWrite): boolean {
  return write.durable.size >= write.required;
}

/** Whether too many replicas have failed for the rest to make up the number. */
export function isWriteImpossible(write: QuorumWrite): boolean {
  return !isWriteDecided(write) && write.replicas.length - write.failed.size < write.required;
}
