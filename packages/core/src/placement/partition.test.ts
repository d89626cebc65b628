import { describe, expect, it } from 'vitest';
import { type NamespaceId, recordKey } from '../ids.ts';
import { testHash } from './hash.testing.ts';
import { PARTITIONS, partitionOf } from './partition.ts';

const key = recordKey('carts.1' as NamespaceId, 'k');

describe('partitionOf', () => {
  it('is the top 10 bits of the hash, to both ends', () => {
    expect(partitionOf(() => 0n, key)).toBe(0);
    expect(partitionOf(() => (1n << 54n) - 1n, key)).toBe(0);
    expect(partitionOf(() => 1n << 54n, key)).toBe(1);
    expect(partitionOf(() => (1n << 64n) - 1n, key)).toBe(PARTITIONS - 1);
  });

  it('hashes the namespace with the key', () => {
    const seen: string[] = [];
    partitionOf((text) => {
      seen.push(text);
      return 0n;
    }, key);
    expect(seen).toEqual(['carts.1\0k']);
  });

  it('spreads keys over all partitions', () => {
    const counts = new Array<number>(PARTITIONS).fill(0);
    for (let at = 0; at < 20_480; at++) {
      counts[partitionOf(testHash, recordKey('carts.1' as NamespaceId, `user/${at}`))]! += 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(Math.max(...counts)).toBeLessThan(60);
  });
});
