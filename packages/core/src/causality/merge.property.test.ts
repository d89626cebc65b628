import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeRecord } from '../wire/record-codec.ts';
import { dotText } from './dot.ts';
import { bodyOf, history, maximal, namesOf, type Outcome, play, REPLICAS } from './history.testing.ts';
import { compareEntries, LEDGER_ENTRIES_MAX } from './ledger.ts';
import { mergeRecords } from './merge.ts';
import { compareSiblings, EMPTY_RECORD, lastWriterSibling, type VersionedRecord } from './record.ts';
import { covers, descends, sameVector } from './version-vector.ts';

const KEEP_FOR_EVER = { keepMs: Number.MAX_SAFE_INTEGER };
const RUNS = { numRuns: 400 };

const merge = (left: VersionedRecord, right: VersionedRecord): VersionedRecord => mergeRecords(left, right).record;
/** The encoding is canonical: equal bytes are equal records. */
const bytesOf = (record: VersionedRecord | undefined): string => encodeRecord(record ?? EMPTY_RECORD).toHex();
function equal(left: VersionedRecord, right: VersionedRecord): void {
  expect(bytesOf(left)).toBe(bytesOf(right));
}

/** States that one history brings forth, of a namespace that keeps a ledger or of one that does not. */
const states = fc
  .tuple(history, fc.boolean(), fc.array(fc.nat(), { minLength: 4, maxLength: 4 }))
  .map(([steps, isLww, picks]) => {
    const all = [EMPTY_RECORD, ...play(steps, isLww ? KEEP_FOR_EVER : undefined).states];
    return picks.map((pick) => all[pick % all.length] as VersionedRecord);
  });
type Four = [VersionedRecord, VersionedRecord, VersionedRecord, VersionedRecord];
const four = states as fc.Arbitrary<Four>;

describe('the algebra of merge', () => {
  it('is commutative', () => {
    fc.assert(
      fc.property(four, ([left, right]) => equal(merge(left, right), merge(right, left))),
      RUNS,
    );
  });

  it('is associative', () => {
    fc.assert(
      fc.property(four, ([one, two, three]) => equal(merge(merge(one, two), three), merge(one, merge(two, three)))),
      RUNS,
    );
  });

  it('is idempotent, and says so: a second merge of the same changes nothing', () => {
    fc.assert(
      fc.property(four, ([left, right]) => {
        const once = merge(left, right);
        for (const again of [left, right, once]) {
          const outcome = mergeRecords(once, again);
          equal(outcome.record, once);
          expect(outcome.changed).toBe(false);
        }
      }),
      RUNS,
    );
  });

  it('says that a record changed exactly where its bytes did', () => {
    fc.assert(
      fc.property(four, ([left, right]) => {
        const { record, changed, isIncoming } = mergeRecords(left, right);
        expect(changed).toBe(bytesOf(record) !== bytesOf(left));
        expect(isIncoming).toBe(changed && bytesOf(record) === bytesOf(right));
      }),
      RUNS,
    );
  });

  it('keeps the invariants of a record', () => {
    fc.assert(
      fc.property(four, ([one, two, three]) => expectValid(merge(merge(one, two), three))),
      RUNS,
    );
  });

  it('takes records that hold nothing for none', () => {
    fc.assert(
      fc.property(four, ([one]) => {
        equal(mergeRecords(undefined, one).record, one);
        equal(merge(one, EMPTY_RECORD), one);
      }),
      RUNS,
    );
  });
});

describe('merge and the happened-before oracle', () => {
  it('agree on which values stand side by side, at every replica', () => {
    fc.assert(
      fc.property(history, (steps) => expectAsOracle(play(steps))),
      { numRuns: 1000 },
    );
  });

  it('agree whatever a namespace keeps in its ledger', () => {
    fc.assert(
      fc.property(history, (steps) => expectAsOracle(play(steps, KEEP_FOR_EVER))),
      RUNS,
    );
  });

  it('agree where all replicas come together, in whatever order; the winner is the same everywhere', () => {
    const orders = fc.shuffledSubarray([0, 1, 2, 3], { minLength: REPLICAS, maxLength: REPLICAS });
    fc.assert(
      fc.property(history, orders, orders, (steps, first, second) => {
        const outcome = play(steps, KEEP_FOR_EVER);
        const [left, right] = [first, second].map((order) => gather(outcome, order)) as [
          VersionedRecord,
          VersionedRecord,
        ];
        equal(left, right);
        expect(namesOf(left)).toEqual(maximal(union(outcome.seen), outcome.pasts));
        expect(lastWriterSibling(left, 0)).toEqual(lastWriterSibling(right, 0));
        expect(left.siblings[0]).toEqual([...left.siblings].sort(compareSiblings)[0]);
      }),
      RUNS,
    );
  });

  it('lose nothing that the other side has not seen', () => {
    fc.assert(
      fc.property(four, ([left, right]) => {
        const kept = new Set(namesOf(merge(left, right)));
        for (const [side, other] of [
          [left, right],
          [right, left],
        ] as const) {
          for (const { dot } of side.siblings) if (!covers(other.vector, dot)) expect(kept).toContain(dotText(dot));
        }
      }),
      RUNS,
    );
  });
});

function expectAsOracle({ records, seen, pasts }: Outcome): void {
  records.forEach((record, at) => {
    expect(namesOf(record)).toEqual(maximal(seen[at] ?? new Set(), pasts));
    if (record) expectValid(record);
  });
}

function expectValid(record: VersionedRecord): void {
  const dots = [...record.siblings, ...record.ledger.map(({ sibling }) => sibling)].map(({ dot }) => dot);
  expect(new Set(dots.map(dotText)).size).toBe(dots.length);
  for (const dot of dots) expect(covers(record.vector, dot)).toBe(true);
  expect([...record.siblings].sort(compareSiblings)).toEqual(record.siblings);
  expect([...record.ledger].sort(compareEntries)).toEqual(record.ledger);
  expect(record.ledger.length).toBeLessThanOrEqual(LEDGER_ENTRIES_MAX);
  for (const { body, dot } of record.siblings) if (body) expect(body).toEqual(bodyOf(dot));
}

function gather({ records }: Outcome, order: readonly number[]): VersionedRecord {
  return order.map((at) => records[at] ?? EMPTY_RECORD).reduce(merge, EMPTY_RECORD);
}

function union(sets: readonly ReadonlySet<string>[]): ReadonlySet<string> {
  return new Set(sets.flatMap((set) => [...set]));
}

describe('a merge under a claim', () => {
  /** Claims like those of a store that has merged the records themselves, and some of others. */
  it('takes nothing that is under the claim and not held, and all else as without it', () => {
    fc.assert(
      fc.property(four, ([local, incoming, claimed]) => {
        const { record } = mergeRecords(local, incoming, claimed.vector);
        const plain = merge(local, incoming);
        const held = new Set(namesOf(local));
        const expected = plain.siblings.filter(({ dot }) => held.has(dotText(dot)) || !covers(claimed.vector, dot));
        expect(record.siblings).toEqual(expected);
        expect(sameVector(record.vector, plain.vector)).toBe(true);
      }),
      RUNS,
    );
  });

  it('leaves a forgotten record forgotten, where all that comes in was known', () => {
    fc.assert(
      fc.property(states, ([incoming]) => {
        if (!incoming || incoming.ledger.length > 0) return;
        const outcome = mergeRecords(undefined, incoming, incoming.vector);
        expect(outcome.changed).toBe(false);
        expect(outcome.record.siblings).toEqual([]);
        expect(descends(outcome.record.vector, incoming.vector)).toBe(true);
      }),
      RUNS,
    );
  });
});
