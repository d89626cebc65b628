import { describe, expect, it } from 'vitest';
import { TIME_MS_MAX } from '../causality/hybrid-clock.ts';
import { vector } from '../causality/record.testing.ts';
import { OWN_REQUEST_VERSIONS, REQUEST_ID_LENGTH_MAX, REQUESTS_MAX } from '../coordination/paxos/applied-requests.ts';
import { type ProposerId, ROUND_MAX, ZERO_BALLOT } from '../coordination/paxos/ballot.ts';
import { applied, ballot, P, proposal, Q, state, value } from '../coordination/paxos/register.testing.ts';
import {
  EMPTY_REGISTER,
  type Proposal,
  type RegisterState,
  type RegisterValue,
} from '../coordination/paxos/register.ts';
import type { StoreId } from '../ids.ts';
import { MalformedBytes } from './bytes.ts';
import { encodeRecord } from './record-codec.ts';
import { opened } from './register-codec.testing.ts';
import {
  decodeEncodedValue,
  decodeRegister,
  decodeRegisterValue,
  encodeRegister,
  encodeRegisterValue,
  isRegisterBytes,
  withBytes,
} from './register-codec.ts';
import { EncodedValue } from './register-value-codec.ts';

const golden: RegisterState = {
  promised: ballot(301),
  accepted: {
    ballot: ballot(300),
    value: value(3, {
      timeMs: 1_700_000_000_001,
      body: Uint8Array.of(0x68, 0x69),
      expiresAtMs: 1_800_000_000_000,
      session: vector({ 'us-1.a1': 7 }),
      requests: [
        applied('k1', 1, { expiresAtMs: 9, existed: false }),
        applied('life/9', 3, { isClients: false, timeMs: 1_700_000_000_001, expiresAtMs: 1_800_000_000_000 }),
      ],
    }),
  },
  committed: { ballot: ballot(7, Q), value: value(2, { body: null, contentType: '' }) },
  isHearsay: false,
};
/** Format 2, from before the writers of clients' requests were kept. Disks hold such bytes: what reads them must go on reading them, whatever the format of the day is. */
const GOLDEN_BYTES = [
  '02', // format
  '03', // accepted above committed
  'ad02', // promised: round 301
  '08702e312f6c696665', // p.1/life
  'ac02', // accepted: round 300
  '00', // of the proposer before
  '1d', // a value that expires, with a session and requests
  '03', // version
  '03702e31', // writer
  '81d095ffbc31', // time
  '0a746578742f706c61696e', // text/plain
  '80a0f1c2b134', // expiry
  '01', // session: us-1.a1, 7
  '0775732d312e6131',
  '07',
  '02', // requests
  '09', // a client's, nothing was there, expires
  '026b31', // k1
  '01', // made version 1
  '0a', // at
  '09', // expiry
  '06', // the proposer's own, of this value, something was there
  '066c6966652f39', // life/9
  '02', // body
  '6869',
  '07', // committed: round 7
  '09712e312f6f74686572', // q.1/other
  '03', // a tombstone
  '02', // version
  '03702e31', // writer
  '14', // time
  '00', // no type
].join('');

const decode = (...parts: string[]): RegisterState => decodeRegister(Uint8Array.fromHex(parts.join('')));
/** Both ways of reading agree, of which one looks into the value later. */
function decodeValue(...parts: string[]): RegisterValue | null {
  const bytes = Uint8Array.fromHex(parts.join(''));
  let read: RegisterValue | null;
  try {
    read = decodeRegisterValue(bytes);
  } catch (error) {
    expect(() => decodeEncodedValue(bytes)).toThrow(MalformedBytes);
    throw error;
  }
  expect(opened(decodeEncodedValue(bytes))).toEqual(read);
  return read;
}

describe('the register format', () => {
  it('is frozen: disks hold it', () => {
    expect(
      encodeRegister(golden).toHex(),
      'registers on disk cannot be read any more: give the format a new number, and add a line of history',
    ).toBe(GOLDEN_BYTES);
    expect(opened(decode(GOLDEN_BYTES))).toEqual(golden);
  });

  it('keeps who wrote what a client has named', () => {
    const named = (id: string, version: number, writer: string | null, isClients = true) =>
      applied(id, version, { writer: writer as StoreId | null, isClients });
    const requests = [
      named('k1', 1, 'q.1'),
      named('k2', 2, 'q.1'),
      named('k3', 3, null),
      named('life/9', 4, null, false),
      named('k5', 5, 'p.1'),
      named('k6', 6, 'p.1'),
    ];
    const written = value(6, { requests });
    const bytes = encodeRegisterValue(written);
    expect(decodeRegisterValue(bytes)).toEqual(written);
    expect(opened(decodeEncodedValue(bytes))).toEqual(written);
    expect(bytes.toHex()).toContain(
      [
        '06', // requests
        '13026b31010a03712e31', // k1: of q.1
        '13026b320214', // k2
        '00', // of the one before
        '03026b33031e', // k3: nobody knows
        '02066c6966652f390428', // life/9
        '13026b35053203702e31', // k5: of p.1
        '07026b36', // k6, of this value
      ].join(''),
    );
  });

  it('has a writer for a request of its value, where none was written', () => {
    expect(decodeValue('13020161', '00', '00', '01', '050162')?.requests).toMatchObject([
      { id: 'b', version: 2, writer: 'a' },
    ]);
  });

  it('is told from that of a record by its first byte', () => {
    expect(isRegisterBytes(encodeRegister(golden))).toBe(true);
    expect(isRegisterBytes(encodeRecord({ vector: new Map(), siblings: [], ledger: [] }))).toBe(false);
    expect(isRegisterBytes(new Uint8Array())).toBe(false);
  });

  it('holds the one value once where what was accepted is committed, and gives one object for both', () => {
    const body = new Uint8Array(5000);
    const both: Proposal = { ballot: ballot(4), value: value(2, { body }) };
    const bytes = encodeRegister(state(ballot(5), both, { ...both }));
    expect(bytes.length).toBeLessThan(5100);
    const back = decodeRegister(bytes);
    expect(back.committed).toBe(back.accepted);
    expect(opened(back.accepted)).toEqual(both);
  });

  it('takes a register of which only a promise is known, identity, and what was only heard of', () => {
    const others: RegisterState[] = [
      EMPTY_REGISTER,
      state(ballot(ROUND_MAX, Q)),
      state(ballot(3), { ballot: ballot(2, Q), value: null }),
      { ...state(ballot(3), proposal(2)), isHearsay: true },
      { ...state(ballot(3), proposal(2), proposal(1)), isHearsay: true },
    ];
    for (const each of others) expect(opened(decodeRegister(encodeRegister(each)))).toEqual(each);
  });

  it('hands out bodies as views on the bytes it read, of values alone too', () => {
    const bytes = encodeRegister(golden);
    expect(decodeRegister(bytes).accepted?.value?.body?.buffer).toBe(bytes.buffer);
    const alone = encodeRegisterValue(golden.accepted?.value ?? null);
    expect(decodeRegisterValue(alone)).toEqual(golden.accepted?.value);
    expect(decodeRegisterValue(alone)?.body?.buffer).toBe(alone.buffer);
    expect(decodeRegisterValue(encodeRegisterValue(null))).toBeNull();
  });
});

describe('a value that is not looked into', () => {
  const bytes = encodeRegister(golden);
  const read = decodeRegister(bytes).accepted?.value as EncodedValue;

  it('is its bytes, and is written as them', () => {
    expect(read).toBeInstanceOf(EncodedValue);
    expect(read.bytes).toEqual(encodeRegisterValue(golden.accepted?.value ?? null));
    expect(read.bytes.buffer).toBe(bytes.buffer);
    expect(encodeRegister(decodeRegister(bytes))).toEqual(bytes);
    expect(encodeRegisterValue(read)).toBe(read.bytes);
  });

  it('has all fields of the value once it is', () => {
    const { version, writer, timeMs, body, contentType, expiresAtMs, session, requests } = read;
    const seen = { version, writer, timeMs, body, contentType, expiresAtMs, session, requests };
    expect(seen).toEqual(golden.accepted?.value);
    expect(read.decoded).toBe(read.decoded);
  });

  it('is encoded once by who proposes it, and is nothing where the register holds nothing', () => {
    const value = golden.accepted?.value as RegisterValue;
    expect(withBytes(value).decoded).toBe(value);
    expect(withBytes(withBytes(value)).bytes).toEqual(encodeRegisterValue(value));
    expect(opened(decodeEncodedValue(encodeRegisterValue(value)))).toEqual(value);
    expect(decodeEncodedValue(encodeRegisterValue(null))).toBeNull();
    expect(() => decodeEncodedValue(Uint8Array.of(0, 0))).toThrow(MalformedBytes);
  });
});

describe('reading refuses', () => {
  const refused = (...parts: string[]) => expect(() => decode(...parts)).toThrow(MalformedBytes);
  const refusedValue = (...parts: string[]) => expect(() => decodeValue(...parts)).toThrow(MalformedBytes);

  it('every part of a state that is cut off, and whatever follows a whole one', () => {
    for (let end = 0; end < GOLDEN_BYTES.length; end += 2) refused(GOLDEN_BYTES.slice(0, end));
    refused(GOLDEN_BYTES, '00');
  });

  it('formats and kinds that it does not know', () => {
    expect(decode('020000')).toEqual(EMPTY_REGISTER);
    refused('010000');
    refused('020600');
    refusedValue('02010161000000'); // no value, and yet a tombstone
    refusedValue('23010161000000'); // a flag that is none
  });

  it('ballots above the promise, of no proposer, or that spell one out twice', () => {
    const accepted = '0201020161';
    expect(() => decode(accepted, '0200', '00')).not.toThrow();
    expect(() => decode(accepted, '020141', '00')).not.toThrow();
    refused(accepted, '0300', '00');
    refused(accepted, '020162', '00');
    refused(accepted, '020161', '00');
    refused(accepted, '00', '00');
    refused('0200', '0100');
    refused('0200', '8080808080808001', '0161');
  });

  it('a committed proposal that is not below the accepted one', () => {
    const accepted = '02030301610200' + '00';
    expect(() => decode(accepted, '0100', '00')).not.toThrow();
    refused(accepted, '0200', '00');
    refused(accepted, '0300', '00');
  });

  it('values without version or writer, and times beyond the last', () => {
    expect(decodeValue('03010161000000'.slice(0, 12))).toMatchObject({ version: 1, body: null });
    refusedValue('030001610000');
    refusedValue('0301000000');
    refusedValue('03010161', '80808080808040', '00');
    refusedValue('0b0101610000', '00'); // a session of nothing
    refusedValue('130101610000', '00'); // requests of nothing
  });

  it('requests out of order, above their value, nameless, named twice, or told in two ways', () => {
    const two = (...requests: string[]) => decodeValue('13020161', '00', '00', `0${requests.length}`, ...requests);
    expect(() => two('0001610100', '040162')).not.toThrow();
    expect(() => two('0001610100', '040161')).toThrow(MalformedBytes);
    expect(() => two('000261620100', '04026162')).toThrow(MalformedBytes);
    expect(() => two('000261620100', '04026163')).not.toThrow();
    expect(() => two('040162', '0001610100')).toThrow(MalformedBytes);
    expect(() => two('0001610300')).toThrow(MalformedBytes);
    expect(() => two('0001610200')).toThrow(MalformedBytes);
    expect(() => two('00000100')).toThrow(MalformedBytes);
    expect(() => two('0c016100')).toThrow(MalformedBytes);
    expect(() => two('2001610100')).toThrow(MalformedBytes);
  });

  it("writers of a proposer's own requests, of what tells its value's, and spelled out twice", () => {
    const read = (...requests: string[]) => decodeValue('13030161', '00', '00', `0${requests.length}`, ...requests);
    const [first, second] = ['1101610100', '1101620200'];
    expect(() => read(`${first}00`, `${second}0162`)).not.toThrow();
    expect(() => read(`${first}0162`, `${second}0162`)).toThrow(MalformedBytes);
    expect(() => read(`${first}0161`)).toThrow(MalformedBytes);
    expect(() => read('100161010000')).toThrow(MalformedBytes);
    expect(() => read('15016100')).toThrow(MalformedBytes);
  });
});

describe('writing refuses what reading would', () => {
  const refused = (given: RegisterState) => expect(() => encodeRegister(given)).toThrow(RangeError);
  const refusedValue = (changes: Partial<RegisterValue>) =>
    expect(() => encodeRegisterValue(value(2, changes))).toThrow(RangeError);

  it('states that no acceptor has', () => {
    refused(state(ballot(1), proposal(2)));
    refused(state(ballot(3), proposal(1), proposal(2)));
    refused({ ...state(ballot(3)), committed: proposal(2) });
    refused({ ...state(ballot(3)), isHearsay: true });
    refused({ ...state(ballot(3), proposal(2), proposal(2)), isHearsay: true });
    refused(state(ballot(ROUND_MAX + 1)));
    refused(state({ round: 1, proposer: '' as ProposerId }));
    refused(state({ round: 0, proposer: P }));
    refused(state(ballot(1), { ballot: ZERO_BALLOT, value: null }));
  });

  it('values out of range', () => {
    refusedValue({ version: 0 });
    refusedValue({ writer: '' as StoreId });
    refusedValue({ timeMs: TIME_MS_MAX + 1 });
    refusedValue({ expiresAtMs: TIME_MS_MAX + 1 });
    refusedValue({ contentType: 'text/plän' });
    refusedValue({ requests: [applied('x'.repeat(REQUEST_ID_LENGTH_MAX + 1), 1)] });
    refusedValue({ requests: [applied('k', 3)] });
    refusedValue({ requests: [applied('k', 1), applied('k', 2)] });
    refusedValue({ requests: [applied('k', 2, { timeMs: 1, writer: 'p.1' as StoreId })] });
    refusedValue({ requests: [applied('k', 1, { writer: '' as StoreId })] });
    refusedValue({ requests: [applied('k', 1, { isClients: false, writer: 'p.1' as StoreId })] });
    refusedValue({ requests: [applied('k', 2, { writer: 'q.1' as StoreId })] });
    refusedValue({ requests: [applied('k', 2)] });
    const many = Array.from({ length: REQUESTS_MAX + OWN_REQUEST_VERSIONS + 1 }, (_, at) => applied(`k${at}`, at + 1));
    expect(() => encodeRegisterValue(value(5000, { requests: many.slice(1) }))).not.toThrow();
    expect(() => encodeRegisterValue(value(5000, { requests: many }))).toThrow(RangeError);
  });

  it('and writes the next state as if nothing had been', () => {
    refused({ ...state(ballot(3)), isHearsay: true });
    refusedValue({ contentType: 'text/plän' });
    expect(encodeRegister(golden).toHex()).toBe(GOLDEN_BYTES);
  });
});
