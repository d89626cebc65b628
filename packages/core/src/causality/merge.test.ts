import { describe, expect, it } from 'vitest';
import { dotText } from './dot.ts';
import { LEDGER_BYTES_MAX, LEDGER_ENTRIES_MAX } from './ledger.ts';
import { mergeRecords } from './merge.ts';
import { dot, record, sibling, vector } from './record.testing.ts';
import type { LedgerEntry, VersionedRecord } from './record.ts';

const a1 = sibling(dot('a', 1), 10);
const b1 = sibling(dot('b', 1), 20);
const names = (of: VersionedRecord) => of.siblings.map((each) => dotText(each.dot));
const entry = (store: string, timeMs: number, hiddenAtMs: number): LedgerEntry => ({
  sibling: sibling(dot(store, 1), timeMs),
  hiddenAtMs,
  keepUntilMs: 1_000_000,
});

describe('mergeRecords', () => {
  it('keeps concurrent values side by side, winner first', () => {
    const { record: merged, changed, isIncoming } = mergeRecords(record([a1]), record([b1]));
    expect(names(merged)).toEqual(['b:1', 'a:1']);
    expect(merged.vector).toEqual(vector({ a: 1, b: 1 }));
    expect({ changed, isIncoming }).toEqual({ changed: true, isIncoming: false });
  });

  it('drops what the other side has seen and no longer holds', () => {
    const over = record([b1], [], vector({ a: 1 }));
    expect(mergeRecords(record([a1]), over)).toEqual({ record: over, changed: true, isIncoming: true });
    expect(mergeRecords(over, record([a1]))).toEqual({ record: over, changed: false, isIncoming: false });
  });

  it('takes a first record as it comes', () => {
    expect(mergeRecords(undefined, record([a1]))).toEqual({ record: record([a1]), changed: true, isIncoming: true });
  });

  it('asks no clock: an early time overwrites a late one that it has seen', () => {
    const early = record([sibling(dot('c', 1), 1)], [], vector({ b: 1 }));
    expect(names(mergeRecords(record([b1]), early).record)).toEqual(['c:1']);
  });

  it('notes what the other side has seen, even where no value changes', () => {
    const { record: merged, changed } = mergeRecords(record([a1]), record([a1], [], vector({ z: 4 })));
    expect(changed).toBe(true);
    expect(merged.vector).toEqual(vector({ a: 1, z: 4 }));
  });
});

describe('under the claim of its store', () => {
  it('a late value is not revived, though the record that superseded it is forgotten', () => {
    const outcome = mergeRecords(undefined, record([a1]), vector({ a: 5 }));
    expect(outcome.record.siblings).toEqual([]);
    expect(outcome.changed).toBe(false);
  });

  it('what is above the claim is taken', () => {
    const { record: merged, changed } = mergeRecords(undefined, record([a1, b1]), vector({ a: 5 }));
    expect(names(merged)).toEqual(['b:1']);
    expect(changed).toBe(true);
  });

  it('what is held stays', () => {
    expect(names(mergeRecords(record([a1]), record([a1]), vector({ a: 5 })).record)).toEqual(['a:1']);
  });

  it('a record without values that names unknown writes is kept: it supersedes what is still on its way', () => {
    const dead: VersionedRecord = { vector: vector({ a: 9 }), siblings: [], ledger: [] };
    expect(mergeRecords(undefined, dead, vector({ a: 5 })).changed).toBe(true);
    expect(mergeRecords(undefined, dead, vector({ a: 9 })).changed).toBe(false);
  });
});

describe('the merge of ledgers', () => {
  const seen = vector({ a: 1, b: 1, c: 1 });
  const merge = (left: readonly LedgerEntry[], right: readonly LedgerEntry[]) =>
    mergeRecords(record([], left, seen), record([], right, seen));

  it('is their union, the latest value first', () => {
    const { record: merged, changed } = merge([entry('a', 10, 50)], [entry('b', 30, 40), entry('c', 20, 60)]);
    expect(merged.ledger).toEqual([entry('b', 30, 40), entry('c', 20, 60), entry('a', 10, 50)]);
    expect(changed).toBe(true);
  });

  it('takes for a value hidden twice the earliest moment', () => {
    expect(merge([entry('a', 10, 50)], [entry('a', 10, 40)]).record.ledger).toEqual([entry('a', 10, 40)]);
    expect(merge([entry('a', 10, 40)], [entry('a', 10, 50)])).toMatchObject({
      record: { ledger: [entry('a', 10, 40)] },
      changed: false,
    });
  });

  it('keeps the latest values up to the cap, whoever has them', () => {
    const entries = Array.from({ length: LEDGER_ENTRIES_MAX + 40 }, (_, at) => ({
      sibling: sibling(dot('m', at + 1), at),
      hiddenAtMs: 500,
      keepUntilMs: 1_000_000,
    }));
    const [even, odd] = [0, 1].map((rest) =>
      record(
        [],
        entries.filter((_, at) => at % 2 === rest),
      ),
    );
    const { ledger } = mergeRecords(even, odd as VersionedRecord).record;
    expect(ledger).toEqual(entries.slice(-LEDGER_ENTRIES_MAX).reverse());
    expect(mergeRecords(odd, even as VersionedRecord).record.ledger).toEqual(ledger);
  });

  it('lets go of what is past its time by the winner that the replicas share, in whatever order they meet', () => {
    const old = record([], [{ ...entry('a', 10, 50), keepUntilMs: 900 }], seen);
    const later = record([sibling(dot('d', 1), 900)]);
    expect(mergeRecords(old, later).record.ledger).toEqual([]);
    expect(mergeRecords(later, old).record.ledger).toEqual([]);
    expect(mergeRecords(old, record([sibling(dot('d', 1), 899)])).record.ledger).toHaveLength(1);
  });

  it('takes up no more than its bytes, the latest first', () => {
    const large = (at: number): LedgerEntry => ({
      sibling: sibling(dot('m', at + 1), at, { body: new Uint8Array(LEDGER_BYTES_MAX / 4) }),
      hiddenAtMs: 500,
      keepUntilMs: 1_000_000,
    });
    const merged = merge([0, 2, 4].map(large).reverse(), [1, 3, 5].map(large).reverse()).record.ledger;
    expect(merged.map(({ sibling: { timeMs } }) => timeMs)).toEqual([5, 4, 3, 2]);
  });

  it('brings back no ledger of a record that was forgotten', () => {
    expect(mergeRecords(undefined, record([], [entry('a', 10, 50)], seen), seen).changed).toBe(false);
  });
});
