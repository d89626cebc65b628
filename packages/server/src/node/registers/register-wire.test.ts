import { proposerIdFor } from '@meridian/core/coordination/paxos/ballot';
import type { Question, Reply } from '@meridian/core/coordination/paxos/messages';
import type { RecordKey, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { MalformedBytes } from '@meridian/core/wire/bytes';
import {
  ACCEPT,
  ANSWER,
  HOLDING,
  type Message,
  REGISTER,
  REQUEST,
  registerResult,
  type WireQuestion,
} from '@meridian/core/wire/messages';
import { ensure } from '@meridian/core/wire/shape';
import { describe, expect, it } from 'vitest';
import { FRAME_HEADER_BYTES, packLarge, unpackMessage } from '../../adapters/tcp/message-codec.ts';
import { fromWire, replyFromWire, replyToWire, toWire } from './register-wire.ts';
import { writtenValue } from './registers.testing.ts';

const proposer = proposerIdFor('us-1.a1' as StoreId, 'life');
const ballot = { round: 7, proposer };
const next = { round: 8, proposer };
const lower = { round: 5, proposer: proposerIdFor('eu-1.b2' as StoreId, 'other') };
const members = [
  { name: 'us-1' as StoreName, id: 'us-1.a1' as StoreId },
  { name: 'eu-1' as StoreName, id: 'eu-1.b2' as StoreId },
];
const value = writtenValue(3, Uint8Array.of(1, 2, 3), {
  expiresAtMs: 99,
  session: new Map([['us-1.a1' as StoreId, 4 as Sequence]]),
  requests: [{ id: 'order-7', isClients: true, version: 2, timeMs: 20, expiresAtMs: null, existed: true }],
});

const prepare: Question = { kind: 'prepare', ballot, members };
const query: Question = { kind: 'query', members };
const accept: Question = { kind: 'accept', ballot, value, next, members, chosen: lower };
const questions: readonly (readonly [string, Question])[] = [
  ['a prepare', prepare],
  ['a query', query],
  ['an accept', accept],
  ['an accept of identity, without more', { ...accept, value: null, next: null, members: [], chosen: null }],
  ['an accept of a tombstone', { ...accept, value: writtenValue(4, null) }],
];
const holding = { accepted: { ballot: lower, value }, isHearsay: true, committed: lower, wallMs: 1_000 };
const nothing = { accepted: undefined, isHearsay: false, committed: null, wallMs: 0 };
const stale: Reply = { kind: 'stale-member', member: members[1] as (typeof members)[0] };
const replies: readonly (readonly [string, Question, Reply])[] = [
  ['a promise', prepare, { kind: 'promised', ballot, ...holding }],
  ['a promise of one that holds nothing', prepare, { kind: 'promised', ballot, ...nothing }],
  ['what is held', query, { kind: 'held', promised: next, ...holding }],
  ['what is held, an identity', query, { kind: 'held', promised: next, ...nothing, accepted: { ballot, value: null } }],
  ['an acceptance', accept, { kind: 'accepted', ballot, promised: next }],
  ['a refusal to promise', prepare, { kind: 'refused', ballot, promised: next }],
  ['a refusal to accept', accept, { kind: 'refused', ballot, promised: next }],
  ['that a prepare is outdated', prepare, stale],
  ['that an accept is outdated', accept, stale],
  ['that a query is outdated', query, stale],
];

/** As it comes out of the connection at the other end. */
function sent(message: Message): Message {
  const frame = packLarge(message, 100_000);
  return unpackMessage(frame, FRAME_HEADER_BYTES, frame.length, false);
}

/** Bytes that came in a frame are a view on it, of another class. */
const plain = <Message>(message: Message): Message => structuredClone(message);

describe('a question to an acceptor', () => {
  it.each(questions)('arrives as it was asked: %s', (_what, question) => {
    const message = sent([REQUEST, 1, 'r-1', 100, [REGISTER, 'shop.1\0key' as RecordKey, toWire(question)]]);
    const call = message[0] === REQUEST ? message[4] : undefined;
    expect(call?.[0]).toBe(REGISTER);
    expect(plain(fromWire(call?.[2] as WireQuestion))).toEqual(question);
  });

  it('is refused where its value is none', () => {
    const wire: WireQuestion = [ACCEPT, [7, proposer], Uint8Array.of(9, 9, 9), null, [], null];
    expect(() => fromWire(wire)).toThrow(MalformedBytes);
  });
});

describe('a reply of an acceptor', () => {
  it.each(replies)('arrives as it was given: %s', (_what, question, reply) => {
    const message = sent([ANSWER, 1, null, ['us-1.a1', replyToWire(reply)]]);
    const [, wire] = ensure(registerResult, message[3]);
    expect(plain(replyFromWire(question, wire))).toEqual(reply);
  });

  it.each([
    ['a promise', accept],
    ['an acceptance', prepare],
    ['an acceptance', query],
    ['a refusal to promise', query],
  ])('is refused as a reply to another question: %s', (what, question) => {
    const reply = replies.find(([name]) => name === what)?.[2] as Reply;
    expect(() => replyFromWire(question, replyToWire(reply))).toThrow(TypeError);
  });

  it('is refused where what it holds is no value', () => {
    const accepted = [[5, proposer], Uint8Array.of(9, 9)] as const;
    expect(() => replyFromWire(query, [HOLDING, accepted, false, null, [7, proposer], 1])).toThrow(MalformedBytes);
  });

  it('tells a clock before 1970, or between two milliseconds, as one that the wire can carry', () => {
    for (const [wallMs, told] of [
      [-5, 0],
      [7.9, 7],
    ] as const) {
      const [, wire] = ensure(registerResult, [
        'us-1.a1',
        replyToWire({ kind: 'held', promised: next, ...nothing, wallMs }),
      ]);
      expect(replyFromWire(query, wire)).toMatchObject({ wallMs: told });
    }
  });
});
