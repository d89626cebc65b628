import { DatabaseError } from 'pg';
import { describe, expect, it } from 'vitest';
import { failureOf, isHopeless } from './failures.ts';

function serverError(code: string, message = 'said the server', detail?: string): DatabaseError {
  return Object.assign(new DatabaseError(message, 0, 'error'), { code, detail });
}

describe('a failure of the database', () => {
  it.each([
    ['40001', 'undone'],
    ['40P01', 'undone'],
    ['55P03', 'undone'],
    ['57014', 'undone'],
    ['57P01', 'lost'],
    ['57P02', 'lost'],
    ['57P03', 'lost'],
    ['53300', 'lost'],
    ['25006', 'lost'],
    ['25P03', 'lost'],
    ['25P04', 'lost'],
    ['26000', 'lost'],
    ['08006', 'lost'],
    ['XX000', 'lost'],
    ['53100', 'full'],
    ['23505', 'refused'],
    ['42P01', 'refused'],
    ['28P01', 'refused'],
  ])('of SQLSTATE %s is %s', (code, kind) => {
    expect(failureOf(serverError(code))).toMatchObject({ kind, code, isAnswer: true });
  });

  it('of the network has lost the connection, and says so in words', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' });
    expect(failureOf(refused)).toMatchObject({ kind: 'lost', message: 'connection refused', isAnswer: false });
    // Looks like an SQLSTATE, and is none.
    expect(failureOf(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))).toMatchObject({ kind: 'lost' });
    expect(failureOf(new Error('Connection terminated unexpectedly'))).toMatchObject({ kind: 'lost' });
  });

  it('of this program is not taken for one that passes', () => {
    expect(failureOf(new TypeError('x is not a function')).kind).toBe('refused');
  });

  it('quotes no key and no value', () => {
    const failure = failureOf(
      serverError('23505', 'duplicate key value violates "records_pkey"\nsecret', 'Key (key)=(secret) already exists.'),
    );
    expect(JSON.stringify([failure, failure.message, failure.cause ?? ''])).not.toContain('secret');
    expect(failureOf(serverError('57P01', 'two\nlines')).message).toBe('two lines (SQLSTATE 57P01)');
  });

  it('is hopeless at the opening where waiting brings nothing', () => {
    expect(['28P01', '3D000', '42501'].map((code) => isHopeless(failureOf(serverError(code))))).toEqual([
      true,
      true,
      true,
    ]);
    expect(['57P03', '23505', '40001'].map((code) => isHopeless(failureOf(serverError(code))))).toEqual([
      false,
      false,
      false,
    ]);
  });
});
