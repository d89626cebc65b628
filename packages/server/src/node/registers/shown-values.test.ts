import { proposerIdFor } from '@meridian/core/coordination/paxos/ballot';
import type { Proposal } from '@meridian/core/coordination/paxos/register';
import type { RecordKey, StoreId } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { writtenValue } from './registers.testing.ts';
import { ShownValues } from './shown-values.ts';

const proposer = proposerIdFor('us-1.aaaa' as StoreId, 'life');
const keyOf = (at: number): RecordKey => `exact.1\0${at}` as RecordKey;
const proposal = (round: number, bytes = 1): Proposal => ({
  ballot: { round, proposer },
  value: writtenValue(round, new Uint8Array(bytes)),
});

describe('what was shown', () => {
  it('holds until something later is committed, and never falls', () => {
    const shown = new ShownValues();
    shown.put(keyOf(1), proposal(5));
    shown.put(keyOf(1), proposal(3));
    const versions = [undefined, proposal(4), proposal(5), proposal(7)].map(
      (committed) => shown.latest(keyOf(1), committed)?.value?.version,
    );
    expect(versions).toEqual([5, 5, 5, 7]);
    expect(shown.latest(keyOf(2), undefined)).toBeUndefined();
  });

  it('is kept of the latest, however many and however large', () => {
    for (const [count, bytes] of [
      [20_000, 1],
      [30, 1024 * 1024],
    ] as const) {
      const shown = new ShownValues();
      for (let at = 0; at < count; at++) shown.put(keyOf(at), proposal(5, bytes));
      const kept = Array.from({ length: count }, (_, at) => shown.latest(keyOf(at), undefined) !== undefined);
      expect([kept[0], kept[count - 1]]).toEqual([false, true]);
      expect(kept.filter(Boolean).length).toBeLessThan(bytes === 1 ? 16_385 : 17);
    }
  });
});
