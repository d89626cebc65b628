import type { NodeName, RecordKey } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import {
  ANSWER,
  type Call,
  CHANGE,
  type Message,
  REQUEST,
  type Request,
  STATUS,
  statusResult,
  WRITE,
} from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { ProcessClock, VirtualTime } from '../../../../test/simulation/virtual-time.ts';
import { CallFailed, type CallHandler, Calls } from './calls.ts';
import { CALLS_PENDING_MAX } from './limits.ts';

const PEER = 'peer' as NodeName;
const OTHER = 'other' as NodeName;

function setUp(handler: CallHandler = () => Promise.resolve([1, 2, 3])) {
  const time = new VirtualTime();
  const sent: Message[] = [];
  const state = { isUp: true };
  const transport = {
    send: (_to: NodeName, message: Message) => {
      if (state.isUp) sent.push(message);
      return state.isUp;
    },
  };
  const calls = new Calls(transport as never, new ProcessClock(time, 0), 100, handler);
  const call = () => calls.call(PEER, 'r', 1_000, [STATUS], statusResult);
  return { calls, call, sent, state, time };
}

const outcome = (work: Promise<unknown>) =>
  work.then(
    (result) => result,
    (error: unknown) => (error instanceof CallFailed ? { wasSent: error.wasSent } : (error as MeridianError).code),
  );

describe('a call', () => {
  it('ends with the answer of the one who was asked, once', async () => {
    const { calls, call, sent } = setUp();
    const answered = outcome(call());
    expect(sent[0]?.[1]).toBe(101);
    calls.onAnswer(OTHER, [ANSWER, 101, null, [9, 9, 9]]);
    calls.onAnswer(PEER, [ANSWER, 100, null, [8, 8, 8]]);
    calls.onAnswer(PEER, [ANSWER, 101, null, [1, 2, 3]]);
    calls.onAnswer(PEER, [ANSWER, 101, null, [7, 7, 7]]);
    expect(await answered).toEqual([1, 2, 3]);
    expect(calls.pendingCount).toBe(0);
  });

  it('says whether the peer can have seen it', async () => {
    const { calls, call, state, time } = setUp();
    const slow = outcome(call());
    await time.run(() => calls.pendingCount === 0);
    expect(await slow).toEqual({ wasSent: true });
    const cut = outcome(call());
    calls.onDown(OTHER);
    expect(calls.pendingCount).toBe(1);
    calls.onDown(PEER);
    expect(await cut).toEqual({ wasSent: true });
    const stopped = outcome(call());
    calls.stop();
    expect(await stopped).toEqual({ wasSent: true });
    state.isUp = false;
    expect(await outcome(call())).toEqual({ wasSent: false });
    expect(calls.pendingCount).toBe(0);
  });

  it('fails with the error that the peer names, with its figures, and with none that is unknown', async () => {
    const { calls, call } = setUp();
    const refused = call();
    calls.onAnswer(PEER, [ANSWER, 101, ['STORE_FULL', 'full', '{"free":1}'], null]);
    await expect(refused).rejects.toMatchObject({ code: 'STORE_FULL', figures: { free: 1 } });
    const strange = outcome(call());
    calls.onAnswer(PEER, [ANSWER, 102, ['toString', 'x', 'no json'], null]);
    expect(await strange).toBe('INTERNAL');
    const malformed = call();
    calls.onAnswer(PEER, [ANSWER, 103, null, ['no', 'numbers']]);
    await expect(malformed).rejects.toThrow();
  });

  it('is refused at once where too many wait', async () => {
    const { calls, call } = setUp();
    const waiting = Array.from({ length: CALLS_PENDING_MAX }, () => outcome(call()));
    expect(await outcome(call())).toEqual({ wasSent: false });
    calls.stop();
    await Promise.all(waiting);
    expect(calls.pendingCount).toBe(0);
  });

  it('to one peer has room, however many wait for another', async () => {
    const { calls, call, sent } = setUp();
    const waiting = Array.from({ length: CALLS_PENDING_MAX }, () => outcome(call()));
    const answered = outcome(calls.call(OTHER, 'r', 1_000, [STATUS], statusResult));
    calls.onAnswer(OTHER, [ANSWER, (sent.at(-1) as Request)[1], null, [1, 2, 3]]);
    expect(await answered).toEqual([1, 2, 3]);
    // One that is over makes room for another, however it ended.
    calls.onAnswer(PEER, [ANSWER, 101, null, [1, 2, 3]]);
    waiting.push(outcome(call()));
    expect(calls.pendingCount).toBe(CALLS_PENDING_MAX);
    calls.onDown(PEER);
    expect(new Set((await Promise.all(waiting)).map((one) => JSON.stringify(one)))).toEqual(
      new Set(['[1,2,3]', '{"wasSent":true}']),
    );
    const again = outcome(call());
    expect(calls.pendingCount).toBe(1);
    calls.stop();
    expect(await again).toEqual({ wasSent: true });
  });

  it('that fails here tells the peer only what is in the table', async () => {
    for (const [error, code] of [
      [new MeridianError('STORE_FULL', 'full'), 'STORE_FULL'],
      [new Error('/secret/path'), 'INTERNAL'],
    ] as const) {
      const { calls, sent } = setUp(() => Promise.reject(error));
      calls.onRequest(PEER, [6, 5, 'r', 100, [STATUS]]);
      await new Promise(setImmediate);
      expect(sent[0]?.[0]).toBe(ANSWER);
      expect(JSON.stringify(sent[0])).toContain(code);
      expect(JSON.stringify(sent[0])).not.toContain('secret');
    }
  });

  it('writes once, however often its message comes, and reads each time', async () => {
    const carriedOut: number[] = [];
    const { calls, sent } = setUp((_from, _requestId, _timeoutMs, call) => {
      carriedOut.push(call[0]);
      return Promise.resolve([1, 2, 3]);
    });
    const key = 'default.1\0key' as RecordKey;
    const change: Call = [CHANGE, key, null, null, '', null, [], 'always', []];
    const write: Call = [WRITE, key, null, '', null, null, [], 'eventual', 0];
    for (const [id, call] of [change, write, [STATUS]].entries()) {
      for (const from of [PEER, PEER, OTHER]) calls.onRequest(from, [REQUEST, id, 'r', 1_000, call as Call]);
    }
    await new Promise(setImmediate);
    // Numbers are of one peer: the same from another is another call.
    expect(carriedOut).toEqual([CHANGE, CHANGE, WRITE, WRITE, STATUS, STATUS, STATUS]);
    expect(sent).toHaveLength(7);
  });
});
