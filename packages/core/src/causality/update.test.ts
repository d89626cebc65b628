import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dotText } from './dot.ts';
import { history, play, type Step } from './history.testing.ts';
import { LEDGER_ENTRIES_MAX } from './ledger.ts';
import { mergeRecords } from './merge.ts';
import { anyRecord, dot, record, sibling, vector } from './record.testing.ts';
import { EMPTY_RECORD, type VersionedRecord } from './record.ts';
import { type NewValue, updateRecord } from './update.ts';
import { descends, EMPTY_VECTOR } from './version-vector.ts';

const value: NewValue = { body: Uint8Array.of(7), contentType: 'text/plain', expiresAtMs: null, session: EMPTY_VECTOR };
const names = (of: VersionedRecord) => of.siblings.map((each) => dotText(each.dot));
const ledgerNames = (of: VersionedRecord) => of.ledger.map((entry) => dotText(entry.sibling.dot));
const concurrent = record([sibling(dot('a', 1), 10), sibling(dot('b', 1), 20)]);

describe('a blind write', () => {
  it('overwrites all that its replica holds', () => {
    const after = updateRecord(concurrent, undefined, value, dot('c', 1), 0);
    expect(names(after)).toEqual(['c:1']);
    expect(after.vector).toEqual(vector({ a: 1, b: 1, c: 1 }));
  });

  it('leaves one value and no siblings, on whatever record and however often', () => {
    fc.assert(
      fc.property(anyRecord, fc.integer({ min: 1, max: 5 }), (held, times) => {
        let after: VersionedRecord = held;
        for (let sequence = 1; sequence <= times; sequence++)
          after = updateRecord(after, undefined, value, dot('zzzzz.1', sequence), 0);
        expect(names(after)).toEqual([`zzzzz.1:${times}`]);
        expect(descends(after.vector, held.vector)).toBe(true);
      }),
    );
  });

  it('makes siblings of none but writes of other replicas', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const blind = steps.map((step) => (step.kind === 'write' ? { ...step, read: undefined } : step));
        for (const state of play(blind).states) {
          const stores = state.siblings.map((each) => each.dot.store);
          expect(new Set(stores).size).toBe(stores.length);
        }
      }),
    );
  });
});

describe('a write with a context', () => {
  it('overwrites exactly what the context has seen', () => {
    expect(names(updateRecord(concurrent, vector({ a: 1 }), value, dot('c', 1), 0))).toEqual(['c:1', 'b:1']);
    expect(names(updateRecord(concurrent, EMPTY_VECTOR, value, dot('c', 1), 0))).toEqual(['c:1', 'b:1', 'a:1']);
  });

  it('supersedes what its replica has yet to hear of', () => {
    const after = updateRecord(undefined, vector({ b: 1 }), value, dot('c', 1), 0);
    expect(names(mergeRecords(after, concurrent).record)).toEqual(['a:1', 'c:1']);
  });

  it('keeps the value as it was given, under its dot', () => {
    const given = { ...value, body: null, contentType: 'x/y', expiresAtMs: 77, session: vector({ q: 4 }) };
    expect(updateRecord(undefined, undefined, given, dot('c', 3), 50).siblings).toEqual([
      { dot: dot('c', 3), timeMs: 50, ...given },
    ]);
  });

  it('wins against all that its replica holds', () => {
    fc.assert(
      fc.property(anyRecord, fc.nat(), (held, wallMs) => {
        const isAtEnd = held.siblings.some(({ timeMs }) => timeMs >= 2 ** 48 - 2);
        const after = updateRecord(held, EMPTY_VECTOR, value, dot('zzzzz.1', 1), wallMs);
        if (!isAtEnd) expect(names(after)[0]).toBe('zzzzz.1:1');
      }),
    );
  });
});

describe('a write in a last-writer-wins namespace', () => {
  const keep = { keepMs: 1_000 };

  it('keeps in the ledger what the choice had hidden, not the winner that readers saw', () => {
    const after = updateRecord(concurrent, undefined, value, dot('c', 1), 30, keep);
    expect(names(after)).toEqual(['c:1']);
    expect(after.ledger).toEqual([{ sibling: concurrent.siblings[1], hiddenAtMs: 30, keepUntilMs: 1_030 }]);
    expect(dotText((concurrent.siblings[1] as { dot: ReturnType<typeof dot> }).dot)).toBe('a:1');
  });

  it('keeps no tombstone, and nothing that still stands as a sibling', () => {
    const deleted = record([sibling(dot('a', 1), 10, { body: null }), sibling(dot('b', 1), 20)]);
    expect(updateRecord(deleted, undefined, value, dot('c', 1), 30, keep).ledger).toEqual([]);
    const partly = updateRecord(concurrent, vector({ b: 1 }), value, dot('c', 1), 30, keep);
    expect(names(partly)).toEqual(['c:1', 'a:1']);
    expect(partly.ledger).toEqual([]);
  });

  it('keeps a value that a delete had hidden', () => {
    const hidden = record([sibling(dot('a', 1), 10), sibling(dot('b', 1), 20, { body: null })]);
    expect(ledgerNames(updateRecord(hidden, undefined, value, dot('c', 1), 30, keep))).toEqual(['a:1']);
  });

  it('lets go of what was hidden longer ago than the namespace keeps', () => {
    const once = updateRecord(concurrent, undefined, value, dot('c', 1), 30, keep);
    expect(ledgerNames(updateRecord(once, undefined, value, dot('c', 2), 1_029, keep))).toEqual(['a:1']);
    expect(ledgerNames(updateRecord(once, undefined, value, dot('c', 2), 1_030, keep))).toEqual([]);
  });

  it('leaves the ledger as it is where the namespace keeps none', () => {
    const once = updateRecord(concurrent, undefined, value, dot('c', 1), 30, keep);
    expect(updateRecord(once, undefined, value, dot('c', 2), 1_000).ledger).toBe(once.ledger);
  });

  it('keeps no more than the cap, the latest', () => {
    const many = Array.from({ length: LEDGER_ENTRIES_MAX + 20 }, (_, at) => sibling(dot('a', at + 1), at));
    const after = updateRecord(record(many), undefined, value, dot('c', 1), 9_000, { keepMs: 1e9 });
    expect(after.ledger).toHaveLength(LEDGER_ENTRIES_MAX);
    expect(ledgerNames(after)[0]).toBe(`a:${many.length - 1}`);
  });

  it('makes every value readable that a write dropped where it was not the winner, once the replicas have met', () => {
    fc.assert(
      fc.property(history, (steps) => {
        const { records } = play(steps, { keepMs: Number.MAX_SAFE_INTEGER });
        const met = records.reduce((left, right) => (right ? mergeRecords(left, right).record : left), undefined);
        for (const name of hiddenLosers(steps)) expect(ledgerNames(met ?? EMPTY_RECORD)).toContain(name);
      }),
      { numRuns: 200 },
    );
  });
});

/** Found by looking at the replica just before and just after each write of the history. */
function hiddenLosers(steps: readonly Step[]): ReadonlySet<string> {
  const losers = new Set<string>();
  steps.forEach((step, at) => {
    if (step.kind !== 'write') return;
    const before = play(steps.slice(0, at)).records[step.at];
    const left = new Set(names(play(steps.slice(0, at + 1)).records[step.at] ?? EMPTY_RECORD));
    for (const { body, dot: loser } of before?.siblings.slice(1) ?? []) {
      if (body !== null && !left.has(dotText(loser))) losers.add(dotText(loser));
    }
  });
  return losers;
}
