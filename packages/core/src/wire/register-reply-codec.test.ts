import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Accept, Member, Prepare, Query, Question, Reply } from '../coordination/paxos/messages.ts';
import { ballot, MEMBERS, Q, value } from '../coordination/paxos/register.testing.ts';
import { MalformedBytes } from './bytes.ts';
import { opened } from './register-codec.testing.ts';
import { decodeReplies, encodeReplies } from './register-reply-codec.ts';

const prepare: Prepare = { kind: 'prepare', ballot: ballot(7), members: MEMBERS };
const query: Query = { kind: 'query', members: MEMBERS };
const accept: Accept = { ...prepare, kind: 'accept', value: null, next: ballot(8), chosen: null };
const lower = ballot(5, Q);
const holding = { accepted: { ballot: lower, value: value(3) }, isHearsay: false, committed: lower, wallMs: 1_000 };
const empty = { accepted: undefined, isHearsay: false, committed: null, wallMs: 1_000 };
const stale: Reply = { kind: 'stale-member', member: MEMBERS[1] as Member };
const cases: readonly (readonly [string, Question, Reply | undefined])[] = [
  ['a promise', prepare, { kind: 'promised', ballot: ballot(7), ...holding }],
  ['a promise of one that holds nothing', prepare, { kind: 'promised', ballot: ballot(7), ...empty }],
  ['what is held', query, { kind: 'held', promised: ballot(9), ...holding }],
  ['what is held above what is chosen', query, { kind: 'held', promised: ballot(9), ...holding, committed: ballot(4) }],
  ['hearsay', query, { kind: 'held', promised: ballot(9), ...holding, isHearsay: true, committed: null }],
  [
    'an identity, by another clock',
    query,
    { ...empty, kind: 'held', promised: ballot(9), accepted: { ballot: lower, value: null }, wallMs: 1_007 },
  ],
  ['nothing held', query, { kind: 'held', promised: ballot(0, '' as typeof Q), ...empty }],
  ['an acceptance as asked', accept, { kind: 'accepted', ballot: ballot(7), promised: ballot(8) }],
  [
    'an acceptance as asked, without a next',
    { ...accept, next: null },
    { kind: 'accepted', ballot: ballot(7), promised: ballot(7) },
  ],
  ['an acceptance below a promise', accept, { kind: 'accepted', ballot: ballot(7), promised: ballot(11, Q) }],
  ['a refusal to promise', prepare, { kind: 'refused', ballot: ballot(7), promised: ballot(9, Q) }],
  ['a refusal to accept', accept, { kind: 'refused', ballot: ballot(7), promised: ballot(9, Q) }],
  ['that a prepare is outdated', prepare, stale],
  ['that an accept is outdated', accept, stale],
  ['that a query is outdated', query, stale],
  ['nothing', accept, undefined],
];
const asked = cases.map(([, question]) => question);
const told = cases.map(([, , reply]) => reply);
const back = (replies: readonly (Reply | undefined)[], questions: readonly Question[]) =>
  decodeReplies(encodeReplies(questions, replies), questions).map((reply) => opened(reply));

describe('replies of a replica', () => {
  it.each(cases)('arrive as they were given: %s', (_what, question, reply) => {
    expect(back([reply], [question])).toEqual([reply]);
  });

  it('arrive so together, in the order of their questions', () => {
    expect(back(told, asked)).toEqual(told);
    expect(back([...told].reverse(), [...asked].reverse())).toEqual([...told].reverse());
    expect(decodeReplies(encodeReplies(asked, []), asked).every((reply) => reply === undefined)).toBe(true);
  });

  it('have these bytes: another version would read them otherwise', () => {
    const bytes = encodeReplies(
      [accept, accept, query],
      [
        { kind: 'accepted', ballot: ballot(7), promised: ballot(8) },
        undefined,
        {
          kind: 'held',
          promised: ballot(9),
          accepted: { ballot: ballot(9), value: null },
          isHearsay: false,
          committed: ballot(9),
          wallMs: 5,
        },
      ],
    );
    const golden = ['02', '05', '48', '05', '09', '08702e312f6c696665', '09', '00', '00'].join('');
    expect(bytes.toHex(), 'old peers cannot read you: bump, and add a line of history').toBe(golden);
  });

  it('tell a clock before 1970, or between two milliseconds, as one that the wire can carry', () => {
    for (const [wallMs, as] of [
      [-5, 0],
      [7.9, 7],
    ] as const)
      expect(back([{ kind: 'held', promised: ballot(9), ...empty, wallMs }], [query])).toMatchObject([{ wallMs: as }]);
  });

  it.each([
    ['a promise', accept],
    ['an acceptance as asked', prepare],
    ['an acceptance below a promise', query],
    ['a refusal to promise', query],
  ])('are refused as replies to another question: %s', (what, question) => {
    const [, own, reply] = cases.find(([name]) => name === what) as (typeof cases)[number];
    expect(() => decodeReplies(encodeReplies([own], [reply]), [question])).toThrow(MalformedBytes);
  });

  it('are refused where they are cut off, too few, too many, or of no kind', () => {
    const bytes = encodeReplies(asked, told);
    for (let end = 0; end < bytes.length; end++)
      expect(() => decodeReplies(bytes.subarray(0, end), asked)).toThrow(MalformedBytes);
    expect(() => decodeReplies(bytes, asked.slice(1))).toThrow(MalformedBytes);
    expect(() => decodeReplies(bytes, [...asked, query])).toThrow(MalformedBytes);
    // No kind; flags of a holding on an acceptance; committed without accepted; committed twice; no clock.
    for (const wrong of ['06', '0a', '4005', '6805', '80'])
      expect(() => decodeReplies(Uint8Array.fromHex(wrong), [wrong === '0a' ? accept : query]), wrong).toThrow(
        MalformedBytes,
      );
  });

  it('that nobody gave are refused, or are replies', () => {
    const whole = encodeReplies(asked, told);
    let read = 0;
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }), (at, byte) => {
        const damaged = whole.slice();
        damaged[at] = byte;
        try {
          expect(decodeReplies(damaged, asked)).toHaveLength(asked.length);
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
