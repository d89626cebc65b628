import { describe, expect, it } from 'vitest';
import type { StoreId, StoreName } from '../../ids.ts';
import { A, B, C, MEMBERS } from './register.testing.ts';
import { addAnswer, addFailure, isImpossible, outstanding, repliesOf, replyAt, startRound } from './round.ts';

const start = () => startRound<string>(MEMBERS, 2);
const named = (name: string) => name as StoreName;

describe('a round', () => {
  it('takes the first word of each store named, whatever it says later', () => {
    const one = addAnswer(start(), B, 'yes');
    expect(addAnswer(one, B, 'no')).toBe(one);
    expect(addAnswer(one, 'a.2' as StoreId, 'yes')).toBe(one);
    expect(repliesOf(addAnswer(one, A, 'no'))).toEqual(['no', 'yes']);
    expect([replyAt(one, 0), replyAt(one, 1)]).toEqual([undefined, 'yes']);
  });

  it('lets a reply outweigh a failure, whichever is heard of first', () => {
    expect(repliesOf(addAnswer(addFailure(start(), named('c')), C, 'yes'))).toEqual(['yes']);
    const answered = addAnswer(start(), C, 'yes');
    expect(addFailure(answered, named('c'))).toBe(answered);
    expect(addFailure(answered, named('z'))).toBe(answered);
  });

  it('is impossible where those who are silent cannot make up the number', () => {
    const failed = addFailure(start(), named('a'));
    expect([outstanding(failed), isImpossible(failed, 0)]).toEqual([2, false]);
    expect(isImpossible(addFailure(failed, named('b')), 0)).toBe(true);
    expect(isImpossible(addFailure(addAnswer(failed, B, 'yes'), named('c')), 1)).toBe(true);
    expect(isImpossible(addAnswer(failed, B, 'yes'), 1)).toBe(false);
  });

  it('leaves what it was before as it was', () => {
    const before = start();
    addFailure(addAnswer(before, A, 'yes'), named('b'));
    expect(before).toEqual(start());
  });
});
