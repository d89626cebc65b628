import type { VersionedRecord } from '@meridian/core/causality/record';
import type { RegisterState } from '@meridian/core/coordination/paxos/register';
import { ballot, proposal, state, value } from '@meridian/core/coordination/paxos/register.testing';
import type { Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { encodeRecord } from '@meridian/core/wire/record-codec';
import { encodeRegister } from '@meridian/core/wire/register-codec';
import { describe, expect, it } from 'vitest';
import { type Proven, provenBy } from './listing-proof.ts';

const NAMES = ['a', 'b', 'c'] as StoreName[];
const four = proposal(4);
const five = proposal(5);
const known = state(ballot(4), four, four);

/** Of three replicas, in their order; nothing of one whose page has no such row, or did not come. */
function shown(rows: readonly (Uint8Array | undefined)[]): ReadonlyMap<StoreName, Uint8Array> {
  return new Map(rows.flatMap((bytes, at) => (bytes ? [[NAMES[at] as StoreName, bytes] as const] : [])));
}

function registers(...states: readonly (RegisterState | undefined)[]): Proven | undefined {
  return provenBy(shown(states.map((one) => one && encodeRegister(one))), 2);
}

function versionOf(proven: Proven | undefined): number | undefined {
  return proven?.record?.siblings[0]?.dot.sequence;
}

describe('the pages of replicas prove of a register', () => {
  it('what one of them knows to be chosen, where a majority has accepted nothing above it', () => {
    expect(versionOf(registers(known, known))).toBe(4);
    expect(versionOf(registers(known, state(ballot(4), four)))).toBe(4);
    expect(versionOf(registers(known, state(ballot(3), proposal(3)), undefined))).toBe(4);
    expect(versionOf(registers(state(ballot(5), five), known, known))).toBe(4);
    expect(versionOf(registers(state(ballot(5), five, five), known, known))).toBe(5);
  });

  it('nothing where something above it may be chosen', () => {
    expect(registers(known, state(ballot(5), five))).toBeUndefined();
    expect(registers(known, state(ballot(5), five), state(ballot(5), five))).toBeUndefined();
    expect(registers(known, state(ballot(5), five, four))).toBeUndefined();
    expect(registers(known, { ...state(ballot(5), five), isHearsay: true })).toBeUndefined();
  });

  it('nothing by what they have accepted alone: one of them may have been lost since', () => {
    expect(registers(state(ballot(4), four), state(ballot(4), four), state(ballot(4), four))).toBeUndefined();
  });

  it('nothing while too few show it', () => {
    expect(registers(known, undefined, undefined)).toBeUndefined();
  });

  it('that it is gone, but not that a value is there whose time may be over', () => {
    const of = (changes: Parameters<typeof value>[1]): RegisterState => {
      const chosen = { ballot: ballot(4), value: value(4, changes) };
      return state(ballot(4), chosen, chosen);
    };
    const gone = of({ body: null });
    expect(registers(gone, gone)?.record?.siblings[0]?.body).toBeNull();
    expect(registers(of({ expiresAtMs: 9 }), of({ expiresAtMs: 9 }))).toBeUndefined();
    expect(versionOf(registers(of({ body: null, expiresAtMs: 9 }), of({ body: null, expiresAtMs: 9 })))).toBe(4);
  });
});

describe('the pages of replicas prove of a record', () => {
  const written = (by: string, sequence: number): VersionedRecord => {
    const dot = { store: by as StoreId, sequence: sequence as Sequence };
    const sibling = { dot, timeMs: 1, body: null, contentType: '', expiresAtMs: null, session: new Map() };
    return { vector: new Map([[dot.store, dot.sequence]]), siblings: [sibling], ledger: [] };
  };
  const records = (...of: readonly (VersionedRecord | undefined)[]): Proven | undefined =>
    provenBy(shown(of.map((one) => one && encodeRecord(one))), 2);
  const one = written('a.1', 1);
  const two = written('a.1', 2);
  const other = written('b.1', 1);

  it('what a majority has, where it has all that any of them shows', () => {
    expect(records(one, one)).toEqual({ record: one });
    expect(records(one, two, two)).toEqual({ record: two });
    expect(records(two, undefined, two)).toEqual({ record: two });
  });

  it('nothing else: it would have to be written back first', () => {
    expect(records(one, two)).toBeUndefined();
    expect(records(one, one, two)).toBeUndefined();
    expect(records(one, other)).toBeUndefined();
    expect(records(one, one, other)).toBeUndefined();
    expect(records(undefined, two)).toBeUndefined();
  });
});
