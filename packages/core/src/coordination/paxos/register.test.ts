import { describe, expect, it } from 'vitest';
import { vector } from '../../causality/record.testing.ts';
import { encodeRecord } from '../../wire/record-codec.ts';
import { ballot, proposal, value } from './register.testing.ts';
import { isAbsent, registerRecord } from './register.ts';

describe('a register as a record', () => {
  it('has one sibling, named by writer and version, that a record codec takes', () => {
    const record = registerRecord(proposal(4));
    expect(record).toMatchObject({
      vector: vector({ 'p.1': 4 }),
      siblings: [{ dot: { store: 'p.1', sequence: 4 }, timeMs: 40, body: Uint8Array.of(4), contentType: 'text/plain' }],
      ledger: [],
    });
    if (record) expect(encodeRecord(record)[0]).toBe(1);
  });

  it('is none where nothing is known to be chosen, or that nothing was written', () => {
    expect(registerRecord(undefined)).toBeUndefined();
    expect(registerRecord({ ballot: ballot(3), value: null })).toBeUndefined();
  });

  it('keeps its tombstone', () => {
    const deleted = registerRecord({ ballot: ballot(3), value: value(2, { body: null }) });
    expect(deleted?.siblings[0]?.body).toBeNull();
    expect([isAbsent(null), isAbsent(value(2, { body: null })), isAbsent(value(2))]).toEqual([true, true, false]);
  });
});
