import type { RecordKey } from '../ids.ts';

declare const brand: unique symbol;

/** A fixed slice of the hash space: 0 to 1,023. */
export type Partition = number & { readonly [brand]: 'Partition' };

/**
 * Never changes in the life of a cluster. 1,024 are enough that each of 16 stores holds its share within 5%, and few
 * enough that a digest for each fits one message.
 */
export const PARTITIONS = 1024;

/** An unsigned 64-bit hash, the same on every node (xxh3-64). Handed in, because the core imports nothing. */
export type Hash64 = (text: string) => bigint;

const BITS_BELOW_PARTITION = 54n;

/** The top 10 bits of the hash. */
export function partitionOf(hash: Hash64, key: RecordKey): Partition {
  return Number(hash(key) >> BITS_BELOW_PARTITION) as Partition;
}
