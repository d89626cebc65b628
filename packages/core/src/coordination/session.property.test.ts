import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyRecord, anyVector, dot, record, sibling, vector } from '../causality/record.testing.ts';
import {
  covers,
  descends,
  EMPTY_VECTOR,
  sameVector,
  sequenceIn,
  type VersionVector,
} from '../causality/version-vector.ts';
import type { Sequence, StoreId } from '../ids.ts';
import { coversSession, type SessionToken, tokenAfterRead, tokenAfterWrite } from './session.ts';

const all = () => true;
const claimsOf = (claims: VersionVector) => (store: StoreId) => sequenceIn(claims, store);
const anyWrite = fc.tuple(fc.constantFrom('a.1', 'b.1', 'us.7'), fc.integer({ min: 1, max: 9 })) as fc.Arbitrary<
  [string, number]
> as fc.Arbitrary<[StoreId, Sequence]>;

describe('coversSession', () => {
  it('holds exactly where the claims descend the token, if all its stores hold the key', () => {
    fc.assert(
      fc.property(anyVector, anyVector, (claims, token) => {
        expect(coversSession(claimsOf(claims), token, all)).toBe(descends(claims, token));
      }),
    );
    expect(coversSession(() => 0, EMPTY_VECTOR, all)).toBe(true);
  });

  it('passes over stores that hold none of the key, by their name on the ring', () => {
    const token = vector({ 'us-1.aa': 5, 'eu-1.bb': 7 });
    const claims = claimsOf(vector({ 'us-1.aa': 5 }));
    expect(coversSession(claims, token, (name) => name === 'us-1')).toBe(true);
    expect(coversSession(claims, token, (name) => name === 'eu-1')).toBe(false);
  });

  it('waits for the writes of a store that is gone, whoever stands in its place', () => {
    const claims = claimsOf(vector({ 'us-1.new': 100 }));
    expect(coversSession(claims, vector({ 'us-1.old': 5 }), all)).toBe(false);
  });

  it('of a longer token covers the shorter one too', () => {
    fc.assert(
      fc.property(anyVector, anyVector, anyRecord, (claims, token, read) => {
        const longer = tokenAfterRead(token, read);
        if (coversSession(claimsOf(claims), longer, all))
          expect(coversSession(claimsOf(claims), token, all)).toBe(true);
        expect(coversSession(claimsOf(longer), token, all)).toBe(true);
      }),
    );
  });
});

describe('a session token', () => {
  it('only grows, whatever is read and written', () => {
    const step = fc.oneof(fc.option(anyRecord, { nil: undefined }), anyWrite);
    fc.assert(
      fc.property(anyVector, fc.array(step, { maxLength: 8 }), (start, steps) => {
        let token: SessionToken = start;
        for (const each of steps) {
          const before = new Map(token);
          token = Array.isArray(each) ? tokenAfterWrite(token, ...each) : tokenAfterRead(token, each);
          expect(descends(token, before)).toBe(true);
        }
      }),
    );
  });

  it('after a read covers the values read and all that their writers had seen, and no more', () => {
    fc.assert(
      fc.property(anyVector, anyRecord, (token, read) => {
        const after = tokenAfterRead(token, read);
        for (const value of read.siblings) {
          expect(covers(after, value.dot)).toBe(true);
          expect(descends(after, value.session)).toBe(true);
        }
        for (const [store, sequence] of after) {
          const known = [token, read.vector, ...read.siblings.map((value) => value.session)].map((of) =>
            sequenceIn(of, store),
          );
          expect(sequence).toBe(Math.max(...known));
        }
      }),
    );
  });

  it('carries what was read under one key to the readers of the next: the answer follows the question', () => {
    const question = record([sibling(dot('us.1', 3))]);
    const asked = tokenAfterRead(EMPTY_VECTOR, question);
    const answer = record([sibling(dot('eu.1', 9), 1, { session: asked })]);
    const reader = tokenAfterRead(EMPTY_VECTOR, answer);
    expect(coversSession(claimsOf(vector({ 'eu.1': 9 })), reader, all)).toBe(false);
    expect(coversSession(claimsOf(vector({ 'eu.1': 9, 'us.1': 3 })), reader, all)).toBe(true);
  });

  it('after a write covers it, and everything else as before', () => {
    fc.assert(
      fc.property(anyVector, anyWrite, (token, [store, sequence]) => {
        const after = tokenAfterWrite(token, store, sequence);
        expect(sequenceIn(after, store)).toBe(Math.max(sequenceIn(token, store), sequence));
        const others = (of: VersionVector) => new Map([...of].filter(([name]) => name !== store));
        expect(sameVector(others(after), others(token))).toBe(true);
      }),
    );
  });

  it('stays as it is where nothing was read', () => {
    const token = vector({ a: 1 });
    expect(tokenAfterRead(token, undefined)).toBe(token);
  });
});
