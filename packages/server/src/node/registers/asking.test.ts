import { proposerIdFor } from '@meridian/core/coordination/paxos/ballot';
import type { Question, Reply } from '@meridian/core/coordination/paxos/messages';
import type { NodeName, RecordKey, StoreId, StoreName } from '@meridian/core/ids';
import { type Call, REGISTERS_MAX } from '@meridian/core/wire/messages';
import { decodeQuestions } from '@meridian/core/wire/register-question-codec';
import { encodeReplies } from '@meridian/core/wire/register-reply-codec';
import { describe, expect, it } from 'vitest';
import { CallFailed } from '../calls.ts';
import { CALLS_PENDING_MAX } from '../limits.ts';
import type { NodeState } from '../node-state.ts';
import type { Acceptors } from './acceptors.ts';
import { Asking } from './asking.ts';
import { writtenValue } from './registers.testing.ts';

const HERE = 'us-1' as StoreName;
const THERE = 'eu-1' as StoreName;
const ballot = { round: 3, proposer: proposerIdFor('us-1.a' as StoreId, 'life') };
const query: Question = { kind: 'query', members: [] };
const prepare: Question = { kind: 'prepare', ballot, members: [] };
const accept = (bytes = 1): Question => {
  const value = { ...writtenValue(3), body: new Uint8Array(bytes) };
  return { kind: 'accept', ballot, value, next: null, members: [], chosen: null };
};
const key = (name: string | number) => `exact.1\0${name}` as RecordKey;
const replyTo = (question: Question): Reply =>
  question.kind === 'accept'
    ? { kind: 'accepted', ballot: question.ballot, promised: question.ballot }
    : { kind: 'stale-member', member: { name: HERE, id: 'us-1.b' as StoreId } };

/** Questions as they leave: to whom, about what. Answered at once, by a peer that fails where `isAway`. */
class Bench {
  readonly calls: { readonly to: string; readonly timeoutMs: number; readonly asked: readonly string[] }[] = [];
  readonly asking: Asking;
  isAway = false;
  #due: (() => void)[] = [];

  constructor() {
    const take = (to: string, keys: readonly RecordKey[], questions: readonly Question[], timeoutMs: number) => {
      const asked = questions.map(({ kind }, at) => `${kind} ${keys[at]?.split('\0')[1]}`);
      this.calls.push({ to, timeoutMs, asked });
      return questions.map((question, at) => (keys[at] === key('lost') ? undefined : replyTo(question)));
    };
    const call = async (to: NodeName, _requestId: string, timeoutMs: number, [, keys, bytes]: Call & { 0: 6 }) => {
      const questions = decodeQuestions(bytes, keys.length);
      const replies = take(to, keys, questions, timeoutMs);
      if (this.isAway) throw new CallFailed('away', true);
      return ['eu-1.b', encodeReplies(questions, replies)];
    };
    const state = {
      self: { store: HERE },
      store: {},
      clock: { soon: (fire: () => void) => this.#due.push(fire) },
      peers: { ofStore: (name: StoreName) => ({ node: `node of ${name}` }) },
      calls: { call },
    };
    const acceptors = {
      answer: async (keys: readonly RecordKey[], questions: readonly Question[], timeoutMs: number) =>
        take('here', keys, questions, timeoutMs),
    };
    this.asking = new Asking(state as unknown as NodeState, acceptors as unknown as Acceptors);
  }

  ask(to: StoreName, of: RecordKey, question: Question, timeoutMs = 100): Promise<Reply | undefined> {
    return new Promise((onReply) =>
      this.asking.ask(to, { key: of, question, requestId: 'request', timeoutMs, onReply }),
    );
  }

  tick(): void {
    for (const fire of this.#due.splice(0)) fire();
  }
}

describe('asking', () => {
  it('puts what one tick asks of a replica together, apart from what needs no disk, for as long as the longest may take', async () => {
    const bench = new Bench();
    const replies = [
      bench.ask(THERE, key('a'), accept(), 50),
      bench.ask(HERE, key('a'), accept()),
      bench.ask(THERE, key('b'), prepare, 80),
      bench.ask(THERE, key('c'), query),
    ];
    expect(bench.calls).toEqual([]);
    bench.tick();
    expect((await Promise.all(replies)).map((reply) => reply?.kind)).toEqual([
      'accepted',
      'accepted',
      'stale-member',
      'stale-member',
    ]);
    expect(bench.calls).toEqual([
      { to: 'node of eu-1', timeoutMs: 80, asked: ['accept a', 'prepare b'] },
      { to: 'here', timeoutMs: 100, asked: ['accept a'] },
      { to: 'node of eu-1', timeoutMs: 100, asked: ['query c'] },
    ]);
  });

  it('gives each its own reply, and nothing to the one that has none', async () => {
    const bench = new Bench();
    const replies = [bench.ask(THERE, key('lost'), accept()), bench.ask(THERE, key('b'), accept())];
    bench.tick();
    expect((await Promise.all(replies)).map((reply) => reply?.kind)).toEqual([undefined, 'accepted']);
  });

  it('gives nothing to all of a call that failed, and asks anew with the next', async () => {
    const bench = new Bench();
    bench.isAway = true;
    const lost = [bench.ask(THERE, key('a'), accept()), bench.ask(THERE, key('b'), accept())];
    bench.tick();
    expect(await Promise.all(lost)).toEqual([undefined, undefined]);
    bench.isAway = false;
    const next = bench.ask(THERE, key('a'), accept());
    bench.tick();
    expect(await next).toMatchObject({ kind: 'accepted' });
  });

  it('divides what is too much for one call, by number and by bytes', async () => {
    const bench = new Bench();
    const many = Array.from({ length: REGISTERS_MAX + 1 }, (_, at) => bench.ask(THERE, key(at), prepare));
    bench.tick();
    await Promise.all(many);
    expect(bench.calls.map(({ asked }) => asked.length)).toEqual([REGISTERS_MAX, 1]);
    bench.calls.length = 0;
    const large = [1, 1_000_000, 100_000, 1].map((bytes, at) => bench.ask(THERE, key(at), accept(bytes)));
    bench.tick();
    await Promise.all(large);
    expect(bench.calls.map(({ asked }) => asked.length)).toEqual([3, 1]);
  });

  it('bounds what waits for peers, and not for this store', async () => {
    const bench = new Bench();
    const waiting = Array.from({ length: CALLS_PENDING_MAX }, (_, at) => bench.ask(THERE, key(at), prepare));
    const tooMany = bench.ask(THERE, key('one more'), prepare);
    const here = bench.ask(HERE, key('one more'), prepare);
    bench.tick();
    expect(await tooMany).toBeUndefined();
    expect(await here).toBeDefined();
    expect((await Promise.all(waiting)).every((reply) => reply !== undefined)).toBe(true);
    const after = bench.ask(THERE, key('after'), prepare);
    bench.tick();
    expect(await after).toBeDefined();
  });

  it('gives nothing where the value is one that nobody could read', async () => {
    const bench = new Bench();
    const wrong = { ...accept(), value: { ...writtenValue(3), version: 0 } } as Question;
    const replies = [bench.ask(THERE, key('a'), wrong), bench.ask(THERE, key('b'), accept())];
    bench.tick();
    expect((await Promise.all(replies)).map((reply) => reply?.kind)).toEqual([undefined, 'accepted']);
    expect(bench.calls).toMatchObject([{ asked: ['accept b'] }]);
  });
});
