import { describe, expect, it } from 'vitest';
import { TIME_MS_MAX } from '../causality/hybrid-clock.ts';
import { dot, record, sibling, vector } from '../causality/record.testing.ts';
import type { VersionedRecord } from '../causality/record.ts';
import { MalformedBytes } from './bytes.ts';
import { decodeRecord, encodeRecord } from './record-codec.ts';

const golden: VersionedRecord = record(
  [
    sibling(dot('eu-1.b2', 300), 1_700_000_000_001, {
      body: Uint8Array.of(0x68, 0x69),
      session: vector({ 'us-1.a1': 7 }),
    }),
    sibling(dot('us-1.a1', 5), 1_700_000_000_000, {
      body: null,
      contentType: 'image/png',
      expiresAtMs: 1_800_000_000_000,
    }),
  ],
  [
    {
      sibling: sibling(dot('ap-1.c3', 1), 12, { body: new Uint8Array(), contentType: 'application/json' }),
      hiddenAtMs: 99,
      keepUntilMs: 100,
    },
  ],
  vector({ 'us-1.a1': 6 }),
);
/** Format 1. Disks hold such bytes: what reads them must go on reading them, whatever the format of the day is. */
const GOLDEN_BYTES = [
  '01', // format
  '03', // stores: how many, then name and highest sequence seen
  '0761702d312e6333',
  '01', // ap-1.c3, 1
  '0765752d312e6232',
  'ac02', // eu-1.b2, 300
  '0775732d312e6131',
  '06', // us-1.a1, 6
  '02', // siblings
  '1c', // text/plain, with a session
  '01',
  'ac02', // of store 1, sequence 300
  '81d095ffbc31', // time
  '01',
  '0775732d312e6131',
  '07', // session: us-1.a1, 7
  '02',
  '6869', // body
  '03', // a tombstone that expires; its type is spelled out
  '02',
  '05', // of store 2, sequence 5
  '80d095ffbc31', // time
  '09',
  '696d6167652f706e67', // image/png
  '80a0f1c2b134', // expiry
  '01', // ledger
  '08', // application/json
  '00',
  '01', // of store 0, sequence 1
  '0c', // time
  '00', // an empty body
  '63', // hidden at, kept until
  '64', // hidden at
].join('');

const decode = (...parts: string[]) => decodeRecord(Uint8Array.fromHex(parts.join('')));
const STORE_A = '0761702d312e6333';
/** A record of one store, seen up to 9, with these siblings and no ledger. */
const withSiblings =
  (...siblings: string[]) =>
  () =>
    decode('01', '01', STORE_A, '09', `0${siblings.length}`, ...siblings, '00');
const PLAIN = '1800'; // text/plain, of store 0

describe('the record format', () => {
  it('is frozen: disks hold it', () => {
    expect(
      encodeRecord(golden).toHex(),
      'records on disk cannot be read any more: give the format a new number, and add a line of history',
    ).toBe(GOLDEN_BYTES);
    expect(decode(GOLDEN_BYTES)).toEqual(golden);
  });

  it('has one text for one record, whatever the order in which its parts came to be', () => {
    const turned = { ...golden, vector: new Map([...golden.vector].reverse()) };
    expect(encodeRecord(turned)).toEqual(encodeRecord(golden));
  });

  it('hands out bodies as views on the bytes it read', () => {
    const bytes = encodeRecord(golden);
    expect(decodeRecord(bytes).siblings[0]?.body?.buffer).toBe(bytes.buffer);
  });

  it('has room for a value of 8 MiB', () => {
    const body = new Uint8Array(8 * 1024 * 1024).fill(7);
    const bytes = encodeRecord(record([sibling(dot('a.1', 1), 1, { body })]));
    expect(bytes.length).toBeLessThan(body.length + 50);
    expect(Buffer.compare(decodeRecord(bytes).siblings[0]?.body ?? new Uint8Array(), body)).toBe(0);
  });
});

describe('reading refuses', () => {
  it('what is not there at all, or of another format', () => {
    expect(() => decode('')).toThrow(MalformedBytes);
    expect(() => decode('02', GOLDEN_BYTES.slice(2))).toThrow(MalformedBytes);
  });

  it('every part of a record that is cut off, and whatever follows a whole one', () => {
    for (let end = 0; end < GOLDEN_BYTES.length; end += 2)
      expect(() => decode(GOLDEN_BYTES.slice(0, end))).toThrow(MalformedBytes);
    expect(() => decode(GOLDEN_BYTES, '00')).toThrow(MalformedBytes);
  });

  it('a dot that the vector has not seen, or of no store', () => {
    expect(withSiblings(`${PLAIN}090100`)).not.toThrow();
    expect(withSiblings(`${PLAIN}0a0100`)).toThrow(MalformedBytes);
    expect(withSiblings(`${PLAIN}000100`)).toThrow(MalformedBytes);
    expect(withSiblings('1801090100')).toThrow(MalformedBytes);
  });

  it('siblings out of order, and a dot that stands twice, at whatever times', () => {
    expect(withSiblings(`${PLAIN}020500`, `${PLAIN}010400`)).not.toThrow();
    expect(withSiblings(`${PLAIN}010400`, `${PLAIN}020500`)).toThrow(MalformedBytes);
    expect(withSiblings(`${PLAIN}010400`, `${PLAIN}010400`)).toThrow(MalformedBytes);
    expect(withSiblings(`${PLAIN}010500`, `${PLAIN}010400`)).toThrow(MalformedBytes);
    expect(() => decode('01', '01', STORE_A, '09', '01', `${PLAIN}010500`, '01', `${PLAIN}010400`, '63')).toThrow(
      MalformedBytes,
    );
  });

  it('a second text for what has a shorter one', () => {
    expect(withSiblings('0000010100')).toThrow(MalformedBytes); // broken off: the type is missing
    expect(withSiblings(`0000010108${Buffer.from('text/xml').toString('hex')}00`)).not.toThrow();
    expect(withSiblings(`000001010a${Buffer.from('text/plain').toString('hex')}00`)).toThrow(MalformedBytes);
    expect(withSiblings('1c0001010000')).toThrow(MalformedBytes); // a session of nothing
    expect(withSiblings('280001010100')).toThrow(MalformedBytes); // a type that has no number
  });

  it('a time beyond the last', () => {
    expect(withSiblings(`${PLAIN}01ffffffffffff3f00`)).not.toThrow();
    expect(withSiblings(`${PLAIN}018080808080804000`)).toThrow(MalformedBytes);
  });

  it('vectors out of order, with zeros, or with a store twice', () => {
    expect(() => decode('01', '02', '0161', '01', '0162', '01', '0000')).not.toThrow();
    expect(() => decode('01', '02', '0162', '01', '0161', '01', '0000')).toThrow(MalformedBytes);
    expect(() => decode('01', '02', '0161', '01', '0161', '01', '0000')).toThrow(MalformedBytes);
    expect(() => decode('01', '01', '0161', '00', '0000')).toThrow(MalformedBytes);
    expect(() => decode('01', '01', '00', '01', '0000')).toThrow(MalformedBytes);
  });
});

describe('writing refuses what reading would', () => {
  const refused = (given: VersionedRecord) => expect(() => encodeRecord(given)).toThrow(RangeError);
  const one = (changes: Parameters<typeof sibling>[2]) => record([sibling(dot('a.1', 1), 1, changes)]);

  it('times beyond the last, sequences of zero, texts that are not printable, stores that the vector does not name', () => {
    refused(record([sibling(dot('a.1', 1), TIME_MS_MAX + 1)]));
    refused(one({ expiresAtMs: TIME_MS_MAX + 1 }));
    refused(one({ contentType: 'text/plän' }));
    refused(one({ contentType: 'x'.repeat(256) }));
    refused(one({ session: vector({ q: 0 }) }));
    refused({ ...record([]), vector: vector({ 'a.1': 0 }) });
    refused({ ...record([]), vector: vector({ '': 1 }) });
    refused({ ...one({}), vector: vector({ 'b.1': 1 }) });
  });

  it('and writes the next record as if nothing had been', () => {
    refused(one({ expiresAtMs: TIME_MS_MAX + 1 }));
    expect(encodeRecord(golden).toHex()).toBe(GOLDEN_BYTES);
  });
});
