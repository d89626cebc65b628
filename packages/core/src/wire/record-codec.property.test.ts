import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dotText } from '../causality/dot.ts';
import { TIME_MS_MAX } from '../causality/hybrid-clock.ts';
import { compareEntries } from '../causality/ledger.ts';
import { anyRecord } from '../causality/record.testing.ts';
import { compareSiblings, type Sibling, type VersionedRecord } from '../causality/record.ts';
import { covers, type VersionVector } from '../causality/version-vector.ts';
import { MalformedBytes } from './bytes.ts';
import { decodeRecord, decodeVector, encodeRecord } from './record-codec.ts';

/** Within a few seconds. */
const FUZZ_RUNS = 60_000;

describe('any record', () => {
  it('comes back from its bytes, and so does its vector alone', () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        const bytes = encodeRecord(record);
        expect(decodeRecord(bytes)).toEqual(record);
        expect(decodeVector(bytes)).toEqual(record.vector);
      }),
      { numRuns: 1000 },
    );
  });

  it('has the same bytes, in whatever order its vectors were put together', () => {
    const turned = (vector: VersionVector) => new Map([...vector].reverse());
    fc.assert(
      fc.property(anyRecord, (record) => {
        const siblings = record.siblings.map((sibling) => ({ ...sibling, session: turned(sibling.session) }));
        const other = { ...record, vector: turned(record.vector), siblings };
        expect(Buffer.compare(encodeRecord(other), encodeRecord(record))).toBe(0);
      }),
    );
  });
});

type Mutation = (bytes: number[], at: number, value: number) => readonly number[];
/** A byte set, a bit turned, a byte let in, one left out, the end cut off, a part said twice. */
const MUTATIONS: readonly Mutation[] = [
  (bytes, at, value) => bytes.splice(at, 1, value),
  (bytes, at, value) => bytes.splice(at, 1, (bytes[at] ?? 0) ^ (1 << (value & 7))),
  (bytes, at) => bytes.splice(at, 1, ((bytes[at] ?? 0) + 1) & 0xff),
  (bytes, at, value) => bytes.splice(at, 0, value),
  (bytes, at) => bytes.splice(at, 1),
  (bytes, at) => bytes.splice(at),
  (bytes, at, value) => bytes.splice(at, 0, ...bytes.slice(at, at + (value & 31))),
];
const mutations = fc.array(fc.tuple(fc.nat({ max: MUTATIONS.length - 1 }), fc.nat(), fc.nat({ max: 255 })), {
  minLength: 1,
  maxLength: 3,
});

function mutate(bytes: Uint8Array, drawn: readonly (readonly [number, number, number])[]): Uint8Array {
  const mutated = [...bytes];
  for (const [which, at, value] of drawn) (MUTATIONS[which] as Mutation)(mutated, at % (mutated.length + 1), value);
  return Uint8Array.from(mutated);
}

/** The bytes are refused, or they are the one text of a valid record. @returns whether they were read */
function readOrRefuse(bytes: Uint8Array): boolean {
  let record: VersionedRecord;
  try {
    record = decodeRecord(bytes);
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    return false;
  }
  if (!isValid(record)) throw new Error('a record that breaks an invariant was read');
  if (Buffer.compare(encodeRecord(record), bytes) !== 0) throw new Error('a second text for a record was read');
  return true;
}

function isValid({ vector, siblings, ledger }: VersionedRecord): boolean {
  const all = [...siblings, ...ledger.map(({ sibling }) => sibling)];
  return (
    all.every((sibling) => covers(vector, sibling.dot) && isWithinLimits(sibling)) &&
    ledger.every(({ hiddenAtMs }) => hiddenAtMs <= TIME_MS_MAX) &&
    [...vector.values()].every((sequence) => sequence > 0 && Number.isSafeInteger(sequence)) &&
    new Set(all.map(({ dot }) => dotText(dot))).size === all.length &&
    siblings.every((sibling, at) => at === 0 || compareSiblings(siblings[at - 1] as Sibling, sibling) < 0) &&
    ledger.every((entry, at) => at === 0 || compareEntries(ledger[at - 1] as typeof entry, entry) < 0)
  );
}

function isWithinLimits({ dot, timeMs, expiresAtMs, contentType, session }: Sibling): boolean {
  return (
    dot.sequence > 0 &&
    timeMs <= TIME_MS_MAX &&
    (expiresAtMs ?? 0) <= TIME_MS_MAX &&
    /^[ -~]*$/.test(contentType) &&
    [...session.values()].every((sequence) => sequence > 0)
  );
}

describe('bytes that nobody wrote', () => {
  it('are refused, or are the bytes of a valid record: damaged records', () => {
    const records = fc
      .sample(anyRecord, 300)
      .map(encodeRecord)
      .filter((bytes) => bytes.length < 1000);
    let read = 0;
    fc.assert(
      fc.property(fc.nat(), mutations, (which, drawn) => {
        if (readOrRefuse(mutate(records[which % records.length] as Uint8Array, drawn))) read += 1;
      }),
      { numRuns: FUZZ_RUNS },
    );
    // Else nothing but refusal was tried.
    expect(read).toBeGreaterThan(FUZZ_RUNS / 100);
  });

  it('are refused, or are the bytes of a valid record: noise', () => {
    const noise = fc.array(fc.oneof(fc.nat({ max: 8 }), fc.nat({ max: 255 })), { maxLength: 40 });
    fc.assert(
      fc.property(noise, (bytes) => {
        readOrRefuse(Uint8Array.from([1, ...bytes]));
      }),
      { numRuns: FUZZ_RUNS / 2 },
    );
  });

  it('give a vector or are refused, where only that is read', () => {
    const records = fc.sample(anyRecord, 100).map(encodeRecord);
    fc.assert(
      fc.property(fc.nat(), mutations, (which, drawn) => {
        const bytes = mutate(records[which % records.length] as Uint8Array, drawn);
        try {
          const vector = decodeVector(bytes);
          if (readOrRefuse(bytes)) expect(vector).toEqual(decodeRecord(bytes).vector);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedBytes);
          expect(readOrRefuse(bytes)).toBe(false);
        }
      }),
      { numRuns: FUZZ_RUNS / 10 },
    );
  });
});
