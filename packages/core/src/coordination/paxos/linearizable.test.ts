import { describe, expect, it } from 'vitest';
import { type HistoryEntry, isLinearizable, type PlainAnswer, type PlainCall } from './linearizable.testing.ts';

const NEVER = Number.POSITIVE_INFINITY;
const put = (token: string, expires = false): PlainCall => ({ op: 'put', token, expires });
const read: PlainCall = { op: 'read' };
const saw = (version: number, found: string | null): PlainAnswer => ({ kind: 'read', version, found });
const made = (version: number, found: boolean): PlainAnswer => ({ kind: 'changed', version, found });
const entry = (invokedAt: number, returnedAt: number, call: PlainCall, answer?: PlainAnswer): HistoryEntry => {
  return { call, invokedAt, returnedAt, answer, isVoid: false };
};
const failed = (version: number): PlainAnswer => ({ kind: 'condition-failed', version, found: true });

describe('a history that some order explains', () => {
  it.each<readonly [string, HistoryEntry[]]>([
    ['of nothing', []],
    ['one after another', [entry(1, 2, put('a'), made(1, false)), entry(3, 4, read, saw(1, 'a'))]],
    ['a read beside a write, before it', [entry(1, 4, put('a'), made(1, false)), entry(2, 3, read, saw(0, null))]],
    ['a read beside a write, after it', [entry(1, 4, put('a'), made(1, false)), entry(2, 3, read, saw(1, 'a'))]],
    [
      'a lost write that took effect late',
      [entry(1, NEVER, put('a')), entry(5, 6, read, saw(0, null)), entry(7, 8, read, saw(1, 'a'))],
    ],
    ['a lost write that never did', [entry(1, NEVER, put('a')), entry(5, 6, put('b'), made(1, false))]],
    [
      'a value that expires alone',
      [entry(1, 2, put('a', true), made(1, false)), entry(5, 6, put('b'), made(3, false))],
    ],
    [
      'one that expires under a write',
      [entry(1, 2, put('a', true), made(1, false)), entry(5, 6, put('b'), made(2, false))],
    ],
  ])('%s', (_name, history) => expect(isLinearizable(history)).toBe(true));
});

describe('a history that none explains', () => {
  const first = entry(1, 2, put('a'), made(1, false));
  it.each<readonly [string, HistoryEntry[]]>([
    ['a stale read', [first, entry(3, 4, read, saw(0, null))]],
    ['a value from nowhere', [entry(3, 4, read, saw(1, 'a'))]],
    [
      'a write that two reads see and then do not',
      [entry(1, NEVER, put('a')), entry(2, 3, read, saw(1, 'a')), entry(4, 5, read, saw(0, null))],
    ],
    ['two writes of one version', [first, entry(1, 2, put('b'), made(1, false))]],
    [
      'a lost update',
      [
        first,
        entry(3, 6, { op: 'replace', token: 'b', version: 1 }, made(2, true)),
        entry(3, 6, { op: 'replace', token: 'c', version: 1 }, made(2, true)),
      ],
    ],
    [
      'a condition that fails on what is there',
      [first, entry(3, 4, { op: 'replace', token: 'b', version: 1 }, failed(1))],
    ],
    [
      'a condition that fails on what comes later',
      [first, entry(3, 4, { op: 'replace', token: 'b', version: 9 }, failed(2)), entry(5, 6, put('c'), made(2, true))],
    ],
    [
      'two creations',
      [
        entry(1, 5, { op: 'create', token: 'a', expires: false }, made(1, false)),
        entry(1, 5, { op: 'create', token: 'b', expires: false }, made(2, false)),
      ],
    ],
    [
      'an expired value that comes back',
      [entry(1, 2, put('a', true), made(1, false)), entry(3, 4, read, saw(2, null)), entry(5, 6, read, saw(1, 'a'))],
    ],
    ['a value that goes though it does not expire', [first, entry(3, 4, read, saw(2, null))]],
    ['a write applied twice', [first, entry(3, 4, put('b'), made(2, true)), entry(5, 6, read, saw(3, 'a'))]],
  ])('%s', (_name, history) => expect(isLinearizable(history)).toBe(false));
});
