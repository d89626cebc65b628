import fc from 'fast-check';
import type { Sequence, StoreId } from '../ids.ts';
import { type Dot, dotText } from './dot.ts';
import { TIME_MS_MAX } from './hybrid-clock.ts';
import { compareEntries } from './ledger.ts';
import { compareSiblings, type LedgerEntry, type Sibling, type VersionedRecord } from './record.ts';
import { EMPTY_VECTOR, join, type VersionVector, withDot } from './version-vector.ts';

export function dot(store: string, sequence: number): Dot {
  return { store: store as StoreId, sequence: sequence as Sequence };
}

/** `{ a: 3 }` is what has seen store `a` up to 3. */
export function vector(entries: Readonly<Record<string, number>>): VersionVector {
  return new Map(Object.entries(entries) as [StoreId, Sequence][]);
}

export function sibling(of: Dot, timeMs = 1, changes: Partial<Sibling> = {}): Sibling {
  const body = Uint8Array.of(of.sequence & 0xff);
  return { dot: of, timeMs, body, contentType: 'text/plain', expiresAtMs: null, session: EMPTY_VECTOR, ...changes };
}

/** A record that holds these, and has seen no more. */
export function record(
  siblings: readonly Sibling[],
  ledger: readonly LedgerEntry[] = [],
  seen = EMPTY_VECTOR,
): VersionedRecord {
  const dots = [...siblings, ...ledger.map((entry) => entry.sibling)].map((each) => each.dot);
  return {
    vector: dots.reduce(withDot, seen),
    siblings: [...siblings].sort(compareSiblings),
    ledger: [...ledger].sort(compareEntries),
  };
}

const storeId = fc.stringMatching(/^[a-z]{1,4}\.[0-9]{1,2}$/) as fc.Arbitrary<string> as fc.Arbitrary<StoreId>;
const sequence = fc.oneof(
  fc.integer({ min: 1, max: 9 }),
  fc.maxSafeNat().map((drawn) => Math.max(1, drawn)),
) as fc.Arbitrary<number> as fc.Arbitrary<Sequence>;
const timeMs = fc.oneof(fc.nat({ max: 9 }), fc.integer({ min: 0, max: TIME_MS_MAX }), fc.constant(TIME_MS_MAX));
export const anyVector: fc.Arbitrary<VersionVector> = fc
  .uniqueArray(fc.tuple(storeId, sequence), { maxLength: 4, selector: ([store]) => store })
  .map((entries) => new Map(entries));
const contentType = fc.oneof(
  fc.constantFrom('', 'application/json', 'application/octet-stream', 'text/plain', 'text/plain;charset=utf-8'),
  fc.string({ unit: 'grapheme-ascii', maxLength: 255 }),
);
const anySibling: fc.Arbitrary<Sibling> = fc.record({
  dot: fc.record({ store: storeId, sequence }),
  timeMs,
  body: fc.option(fc.uint8Array({ maxLength: 300 })),
  contentType,
  expiresAtMs: fc.option(timeMs),
  session: anyVector,
});

/** Any record that keeps the invariants, extremes of all fields among them. */
export const anyRecord: fc.Arbitrary<VersionedRecord> = fc
  .tuple(
    fc.uniqueArray(fc.tuple(anySibling, fc.option(timeMs)), { maxLength: 6, selector: ([each]) => dotText(each.dot) }),
    anyVector,
  )
  .map(([drawn, seen]) => {
    const siblings = drawn.filter(([, hiddenAtMs]) => hiddenAtMs === null).map(([each]) => each);
    const ledger = drawn.flatMap(([each, hiddenAtMs]) =>
      hiddenAtMs === null ? [] : [{ sibling: each, hiddenAtMs, keepUntilMs: TIME_MS_MAX }],
    );
    return record(siblings, ledger, join(seen, EMPTY_VECTOR));
  });
