import { proposerIdFor } from '@meridian/core/coordination/paxos/ballot';
import type { CacheEntry } from '@meridian/core/coordination/paxos/cache-entry';
import type { AppliedRequest, Proposal, RegisterValue } from '@meridian/core/coordination/paxos/register';
import type { RecordKey, StoreId } from '@meridian/core/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BallotCache } from './ballot-cache.ts';
import { writtenValue } from './registers.testing.ts';

const MIB = 1024 * 1024;
const proposer = proposerIdFor('us-1.a' as StoreId, 'life');
const keyOf = (at: number): RecordKey => `shop.1\0key-${at}` as RecordKey;

function entryOf(round: number, bytes = 1): CacheEntry {
  const proposal = { ballot: { round, proposer }, value: writtenValue(1, new Uint8Array(bytes)) };
  return { ballot: { round: round + 1, proposer }, proposal, members: [] };
}

function appliedRequest(at: number): AppliedRequest {
  const id = `${at}`.padStart(32, '0');
  return { id, isClients: true, version: 1, timeMs: 0, expiresAtMs: null, existed: true, writer: null };
}

describe('the cache of ballots that were promised ahead', () => {
  it('gives an entry once: what it was taken for may have used it', () => {
    const cache = new BallotCache();
    const entry = entryOf(1);
    cache.put(keyOf(1), entry);
    expect(cache.take(keyOf(1))).toBe(entry);
    expect(cache.take(keyOf(1))).toBeUndefined();
  });

  it('holds the last entry of a key', () => {
    const cache = new BallotCache();
    cache.put(keyOf(1), entryOf(1));
    const later = entryOf(5);
    cache.put(keyOf(1), later);
    expect(cache.take(keyOf(1))).toBe(later);
    expect(cache.take(keyOf(1))).toBeUndefined();
  });

  it('lets go of those that were used longest ago, beyond a number', () => {
    const cache = new BallotCache();
    const count = 65_536;
    for (let at = 0; at < count; at++) cache.put(keyOf(at), entryOf(1));
    // Used again: it is among the youngest now.
    cache.put(keyOf(0), entryOf(2));
    cache.put(keyOf(count), entryOf(1));
    expect(cache.take(keyOf(1))).toBeUndefined();
    expect(cache.take(keyOf(0))).toBeDefined();
    expect(cache.take(keyOf(2))).toBeDefined();
    expect(cache.take(keyOf(count))).toBeDefined();
  });

  it('lets go of the oldest beyond so many bytes, however few they are, and counts what is taken no more', () => {
    const cache = new BallotCache();
    for (let at = 0; at < 4; at++) cache.put(keyOf(at), entryOf(1, 7 * MIB));
    for (let at = 0; at < 4; at++) expect(cache.take(keyOf(at)), `entry ${at}`).toBeDefined();
    for (let at = 0; at < 5; at++) cache.put(keyOf(at), entryOf(1, 7 * MIB));
    expect([0, 1, 2, 3, 4].map((at) => cache.take(keyOf(at)) !== undefined)).toEqual([false, true, true, true, true]);
  });

  it('counts the requests that a value remembers too', () => {
    const cache = new BallotCache();
    const requests = Array.from({ length: 1_000 }, (_, at) => appliedRequest(at));
    for (let at = 0; at < 1_000; at++) {
      const { ballot, proposal, members } = entryOf(1);
      const value = { ...(proposal as Proposal).value, requests } as RegisterValue;
      cache.put(keyOf(at), { ballot, proposal: { ballot, value }, members });
    }
    expect(cache.take(keyOf(0))).toBeUndefined();
    const kept = Array.from({ length: 1_000 }, (_, at) => cache.take(keyOf(at))).filter((entry) => entry !== undefined);
    expect(kept.length).toBeGreaterThan(100);
    expect(kept.length).toBeLessThan(300);
  });

  it('keeps nothing that is larger than all it may hold', () => {
    const cache = new BallotCache();
    cache.put(keyOf(1), entryOf(1, 33 * MIB));
    expect(cache.take(keyOf(1))).toBeUndefined();
    cache.put(keyOf(2), entryOf(1));
    expect(cache.take(keyOf(2))).toBeDefined();
  });

  it('lets go of what was used longest ago whatever is put and taken between: as a list would that is gone through', () => {
    const large = entryOf(1, 7 * MIB);
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 7 })), { minLength: 20, maxLength: 60, size: 'max' });
    fc.assert(
      fc.property(steps, (drawn) => {
        const cache = new BallotCache();
        let used: number[] = [];
        for (const [isPut, at] of drawn) {
          const isHeld = used.includes(at);
          used = used.filter((other) => other !== at);
          if (isPut) {
            cache.put(keyOf(at), large);
            used = [...used, at].slice(-4);
          } else {
            expect(cache.take(keyOf(at)) !== undefined).toBe(isHeld);
          }
        }
        const kept = Array.from({ length: 8 }, (_, at) => at).filter((at) => cache.take(keyOf(at)) !== undefined);
        expect(kept).toEqual(used.toSorted((left, right) => left - right));
      }),
    );
  });

  it('forgets everything at once', () => {
    const cache = new BallotCache();
    cache.put(keyOf(1), entryOf(1, 20 * MIB));
    cache.clear();
    expect(cache.take(keyOf(1))).toBeUndefined();
    cache.put(keyOf(2), entryOf(1, 20 * MIB));
    expect(cache.take(keyOf(2))).toBeDefined();
  });
});
