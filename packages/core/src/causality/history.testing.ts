import fc from 'fast-check';
import type { Sequence, StoreId } from '../ids.ts';
import { type Dot, dotText } from './dot.ts';
import { mergeRecords } from './merge.ts';
import type { VersionedRecord } from './record.ts';
import { type LedgerPolicy, updateRecord } from './update.ts';
import { EMPTY_VECTOR, type VersionVector } from './version-vector.ts';

export const REPLICAS = 4;

/** One thing that happens to one key, at one of a few replicas. */
export type Step =
  /** `read` picks one of the contexts that were read so far; without it the write is blind. */
  | {
      readonly kind: 'write';
      readonly at: number;
      readonly isDelete: boolean;
      readonly read: number | undefined;
      readonly wallMs: number;
      readonly skip: number;
    }
  | { readonly kind: 'read'; readonly at: number }
  | { readonly kind: 'merge'; readonly from: number; readonly to: number };

const replica = fc.nat({ max: REPLICAS - 1 });
/** Clocks that differ widely, and are often equal. */
const wallMs = fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 5_000 }));
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      at: replica,
      isDelete: fc.nat({ max: 3 }).map((drawn) => drawn === 0),
      read: fc.option(fc.nat(), { nil: undefined }),
      wallMs,
      // A store numbers the writes of all its keys: those of one key leave gaps.
      skip: fc.nat({ max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('read' as const), at: replica }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('merge' as const), from: replica, to: replica }) },
);
export const history: fc.Arbitrary<readonly Step[]> = fc.array(step, { maxLength: 60, size: 'max' });

interface Context {
  readonly vector: VersionVector;
  readonly seen: ReadonlySet<string>;
}

/** The outcome of a history, as the records hold it and as the oracle, which keeps every write with all its past, has it. */
export interface Outcome {
  readonly records: readonly (VersionedRecord | undefined)[];
  /** Every state of every replica on the way. */
  readonly states: readonly VersionedRecord[];
  /** By replica: the names of all writes that it knows of. */
  readonly seen: readonly ReadonlySet<string>[];
  /** By name of a write: all that it had seen. */
  readonly pasts: ReadonlyMap<string, ReadonlySet<string>>;
}

export function play(steps: readonly Step[], ledgerPolicy?: LedgerPolicy): Outcome {
  const records = new Array<VersionedRecord | undefined>(REPLICAS).fill(undefined);
  const seen = Array.from({ length: REPLICAS }, () => new Set<string>());
  const sequences = new Array<number>(REPLICAS).fill(0);
  const pasts = new Map<string, ReadonlySet<string>>();
  const states: VersionedRecord[] = [];
  const contexts: Context[] = [];

  function write({ at, isDelete, read, wallMs, skip }: Step & { kind: 'write' }): void {
    const context = read === undefined ? undefined : contexts[read % contexts.length];
    const sequence = (sequences[at] as number) + 1 + skip;
    sequences[at] = sequence;
    const dot: Dot = { store: storeOf(at), sequence: sequence as Sequence };
    const value = { body: isDelete ? null : bodyOf(dot), contentType: '', expiresAtMs: null, session: EMPTY_VECTOR };
    records[at] = updateRecord(records[at], context?.vector, value, dot, wallMs, ledgerPolicy);
    const known = seen[at] as Set<string>;
    pasts.set(dotText(dot), new Set(context?.seen ?? known));
    for (const name of context?.seen ?? []) known.add(name);
    known.add(dotText(dot));
  }

  for (const next of steps) {
    if (next.kind === 'write') write(next);
    else if (next.kind === 'read')
      contexts.push({ vector: records[next.at]?.vector ?? EMPTY_VECTOR, seen: new Set(seen[next.at]) });
    else {
      const incoming = records[next.from];
      if (incoming) records[next.to] = mergeRecords(records[next.to], incoming).record;
      for (const name of seen[next.from] ?? []) seen[next.to]?.add(name);
    }
    const touched = records[next.kind === 'merge' ? next.to : next.at];
    if (touched && next.kind !== 'read') states.push(touched);
  }
  return { records, states, seen, pasts };
}

/** What the oracle expects to stand side by side: the writes known there that no other write known there had seen. */
export function maximal(seen: ReadonlySet<string>, pasts: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] {
  const superseded = new Set([...seen].flatMap((name) => [...(pasts.get(name) ?? [])]));
  return [...seen].filter((name) => !superseded.has(name)).sort();
}

export function storeOf(at: number): StoreId {
  return `store-${at}.a${at}` as StoreId;
}

/** A body that tells whose it is. */
export function bodyOf(dot: Dot): Uint8Array {
  return Uint8Array.from(dotText(dot), (character) => character.charCodeAt(0));
}

export function namesOf(record: VersionedRecord | undefined): readonly string[] {
  return (record?.siblings ?? []).map(({ dot }) => dotText(dot)).sort();
}
