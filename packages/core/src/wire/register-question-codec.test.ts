import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ProposerId } from '../coordination/paxos/ballot.ts';
import type { Accept, Member, Question } from '../coordination/paxos/messages.ts';
import { ballot, MEMBERS, Q, value } from '../coordination/paxos/register.testing.ts';
import type { StoreId, StoreName } from '../ids.ts';
import { MalformedBytes } from './bytes.ts';
import { opened } from './register-codec.testing.ts';
import { decodeQuestions, encodeQuestions } from './register-question-codec.ts';

const accept: Accept = {
  kind: 'accept',
  ballot: ballot(7),
  value: value(3, { body: Uint8Array.of(1, 2) }),
  next: ballot(8),
  members: MEMBERS,
  chosen: ballot(5, Q),
};
const OTHERS: readonly Member[] = [{ name: 'd' as StoreName, id: 'd.1' as StoreId }];
const questions: readonly Question[] = [
  { kind: 'prepare', ballot: ballot(7), members: MEMBERS },
  { kind: 'query', members: MEMBERS },
  accept,
  { ...accept, members: OTHERS },
  { ...accept, value: value(4, { body: null }), members: OTHERS },
  { ...accept, ballot: ballot(7, Q), value: null, next: null, members: [], chosen: null },
  { kind: 'query', members: [] },
];
const GOLDEN = [
  '00', // prepare, members follow
  '03', // three
  '016103612e31', // a, a.1
  '016203622e31',
  '016303632e31',
  '07', // round
  '08702e312f6c696665', // p.1/life
  '06', // query, of the same members
  '05', // accept, of the same
  '08', // round
  '00', // of the same proposer
  '00', // no value
].join('');

describe('questions to a replica', () => {
  it('have these bytes: another version would read them otherwise', () => {
    const asked: readonly Question[] = [
      { kind: 'prepare', ballot: ballot(7), members: MEMBERS },
      { kind: 'query', members: MEMBERS },
      { kind: 'accept', ballot: ballot(8), value: null, next: null, members: MEMBERS, chosen: null },
    ];
    expect(encodeQuestions(asked).toHex(), 'old peers cannot read you: bump, and add a line of history').toBe(GOLDEN);
    expect(decodeQuestions(Uint8Array.fromHex(GOLDEN), 3)).toEqual(asked);
  });

  it('arrive as they were asked, alone and together', () => {
    for (const question of questions)
      expect(decodeQuestions(encodeQuestions([question]), 1).map((each) => opened(each))).toEqual([question]);
    const back = decodeQuestions(encodeQuestions(questions), questions.length);
    expect(back.map((each) => opened(each))).toEqual(questions);
  });

  it('that name the very same members name them once, and share them again', () => {
    const alone = encodeQuestions([accept]).length;
    expect(encodeQuestions([accept, accept]).length).toBeLessThan(2 * alone - 15);
    const [one, two] = decodeQuestions(encodeQuestions([accept, accept]), 2);
    expect(one?.members).toBe(two?.members);
  });

  it('are refused where they are cut off, too few, too many, or of an unknown kind', () => {
    const bytes = encodeQuestions(questions);
    for (let end = 0; end < bytes.length; end++)
      expect(() => decodeQuestions(bytes.subarray(0, end), questions.length)).toThrow(MalformedBytes);
    expect(() => decodeQuestions(bytes, questions.length - 1)).toThrow(MalformedBytes);
    expect(() => decodeQuestions(bytes, questions.length + 1)).toThrow(MalformedBytes);
    // A kind that is none, a query with a next ballot, a ballot of round 0.
    for (const wrong of ['0700', '0e', '040000'])
      expect(() => decodeQuestions(Uint8Array.fromHex(wrong), 1), wrong).toThrow(MalformedBytes);
  });

  it('are not sent where they could not be read', () => {
    const crowd = Array.from({ length: 257 }, () => MEMBERS[0] as Member);
    for (const wrong of [
      { ...accept, members: crowd },
      { ...accept, ballot: ballot(2 ** 48) },
      { ...accept, value: value(0) },
      { ...accept, next: ballot(3, '' as ProposerId) },
    ]) {
      expect(() => encodeQuestions([wrong])).toThrow(RangeError);
      expect(decodeQuestions(encodeQuestions([accept]), 1)).toHaveLength(1);
    }
  });

  it('that nobody asked are refused, or are questions', () => {
    const whole = encodeQuestions(questions);
    let read = 0;
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }), (at, byte) => {
        const damaged = whole.slice();
        damaged[at] = byte;
        try {
          const back = decodeQuestions(damaged, questions.length);
          expect(decodeQuestions(encodeQuestions(back), back.length)).toHaveLength(back.length);
          read += 1;
        } catch (error) {
          if (!(error instanceof MalformedBytes)) throw error;
        }
      }),
      { numRuns: 5_000 },
    );
    expect(read).toBeGreaterThan(50);
  });
});
