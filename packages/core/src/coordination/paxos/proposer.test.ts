import { describe, expect, it } from 'vitest';
import type { StoreId } from '../../ids.ts';
import type { CacheEntry } from './cache-entry.ts';
import type { Accept, Reply } from './messages.ts';
import type { Attempt, Operation, OperationResult, Proposer, Step } from './operation.ts';
import {
  again,
  hurry,
  onFailure,
  onReply,
  outcomeIfStopped,
  startChange,
  startIdentity,
  startRead,
  unanswered,
} from './proposer.ts';
import { A, applied, B, ballot, C, holding, MEMBERS, P, proposal, Q, request, value } from './register.testing.ts';
import type { Proposal, RegisterValue } from './register.ts';

const PROPOSER: Proposer = { id: P, required: 2 };
const attempt = (round: number, wallMs = 1000): Attempt => ({ round, wallMs, members: MEMBERS });
const [a, b, c] = MEMBERS.map(({ name }) => name) as [
  (typeof MEMBERS)[0]['name'],
  (typeof MEMBERS)[0]['name'],
  (typeof MEMBERS)[0]['name'],
];

const held = (accepted?: Proposal, changes: object = {}): Reply => {
  return { kind: 'held', promised: ballot(accepted ? accepted.ballot.round + 1 : 0), ...holding(accepted), ...changes };
};
const promised = (round: number, accepted?: Proposal, changes: object = {}): Reply => {
  return { kind: 'promised', ballot: ballot(round), ...holding(accepted), ...changes };
};
const accepted = (round: number, next = round + 1): Reply => ({
  kind: 'accepted',
  ballot: ballot(round),
  promised: ballot(next),
});
const refused = (round: number, by: number): Reply => ({
  kind: 'refused',
  ballot: ballot(round),
  promised: ballot(by, Q),
});

/** Feeds replies one by one; the last step is what counts. */
function feed(step: Step, ...replies: readonly (readonly [StoreId, Reply])[]): Step {
  return replies.reduce((before, [from, reply]) => onReply(before.operation, from, reply), step);
}
function sentOf(step: Step) {
  return step.kind === 'wait' ? step.send?.message : undefined;
}
function resultOf(step: Step): OperationResult {
  if (step.kind !== 'done') throw new Error(`not done: ${step.kind}`);
  return step.result;
}
const read = () => startRead(PROPOSER, attempt(1));
const change = (cached?: CacheEntry, round = 1) => startChange(PROPOSER, request(), attempt(round), cached);
const entry = (of: Proposal | undefined = proposal(4)): CacheEntry => ({
  ballot: ballot(5),
  proposal: of,
  members: MEMBERS,
});

describe('a read', () => {
  it('asks all, and answers in one round where a majority agrees', () => {
    const asked = read();
    expect(asked).toMatchObject({ kind: 'wait', send: { to: MEMBERS, message: { kind: 'query', members: MEMBERS } } });
    const done = feed(asked, [A, held(proposal(4))], [C, held(proposal(4))]);
    expect(resultOf(done)).toEqual({ kind: 'read', value: value(4), rounds: 1 });
    expect(done).toMatchObject({ chosen: ballot(4), behind: [] });
  });

  it('has nothing to tell where all know what is chosen, and says who is behind', () => {
    const known = held(proposal(4), { committed: ballot(4) });
    expect(feed(read(), [A, known], [B, known])).toMatchObject({ kind: 'done', chosen: null });
    expect(feed(read(), [A, known], [B, held(proposal(3))])).toMatchObject({
      kind: 'done',
      chosen: ballot(4),
      behind: ['b'],
    });
  });

  it('of a key never written finds nothing', () => {
    expect(resultOf(feed(read(), [A, held()], [B, held()]))).toEqual({ kind: 'read', value: null, rounds: 1 });
  });

  it('counts no store twice, and none that it did not ask by its id', () => {
    expect(feed(read(), [A, held()], [A, held()], ['b.2' as StoreId, held()]).kind).toBe('wait');
  });

  it('waits for the replies that can still decide it, unless it is hurried', () => {
    const torn = feed(read(), [A, held(proposal(5))], [B, held(proposal(4))]);
    expect(torn).toMatchObject({ kind: 'wait', canHurry: true });
    expect(resultOf(feed(torn, [C, held(proposal(4))]))).toMatchObject({ value: value(4) });
    const hurried = hurry(torn.operation);
    expect(hurried).toMatchObject({
      send: { to: [MEMBERS[1], MEMBERS[2]], message: { kind: 'accept', ...proposal(5), next: null } },
    });
  });

  it('brings the highest proposal to those that lack it, where all have answered and nothing is decided', () => {
    const settling = onFailure(feed(read(), [A, held(proposal(5))], [B, held(proposal(4))]).operation, c);
    expect(sentOf(settling)).toMatchObject({ kind: 'accept', ...proposal(5), next: null });
    const done = feed(settling, [B, accepted(5, 5)]);
    expect(resultOf(done)).toEqual({ kind: 'read', value: value(5), rounds: 2 });
    expect(done).toMatchObject({ chosen: ballot(5) });
  });

  it('does not wait for a store that has another id by the time it is asked to accept', () => {
    const settling = onFailure(feed(read(), [A, held(proposal(5))], [B, held(proposal(4))]).operation, c);
    const replaced: Reply = { kind: 'stale-member', member: { name: c, id: 'c.2' as StoreId } };
    expect(feed(settling, [C, replaced], [B, refused(5, 8)])).toMatchObject({ kind: 'retry', aboveRound: 8 });
  });

  it('asks once more where that is refused, and then proposes what it finds', () => {
    const settling = onFailure(feed(read(), [A, held(proposal(5))], [B, held(proposal(4))]).operation, c);
    const lost = onFailure(feed(settling, [B, refused(5, 8)]).operation, c);
    expect(lost).toMatchObject({ kind: 'retry', reason: 'refused', aboveRound: 8 });
    const second = again(lost.operation, attempt(9));
    expect(sentOf(second)?.kind).toBe('query');
    const third = again(second.operation, attempt(11));
    const identity = feed(third, [A, promised(11, proposal(5))], [B, promised(11, proposal(4))]);
    expect(sentOf(identity)).toMatchObject({ kind: 'accept', ballot: ballot(11), value: value(5), next: ballot(12) });
    expect(resultOf(feed(identity, [A, accepted(11)], [C, accepted(11)]))).toMatchObject({ value: value(5) });
  });

  it('has a tombstone chosen over what has expired before it says so', () => {
    const old: Proposal = { ballot: ballot(4), value: value(4, { expiresAtMs: 50 }) };
    const late = held(old, { wallMs: 60 });
    expect(resultOf(feed(read(), [A, late], [B, held(old, { wallMs: 40 })]))).toMatchObject({ value: old.value });
    const lost = feed(read(), [A, late], [B, late]);
    expect(lost).toMatchObject({ kind: 'retry', aboveRound: 5 });
    const asked = again(lost.operation, attempt(9));
    const burying = feed(asked, [A, promised(9, old, { wallMs: 60 })], [B, promised(9, old, { wallMs: 60 })]);
    expect(sentOf(burying)).toMatchObject({ kind: 'accept', value: { version: 5, body: null } });
    expect(resultOf(feed(burying, [A, accepted(9)], [B, accepted(9)]))).toMatchObject({
      value: { version: 5, body: null },
    });
  });

  it('is impossible where too many fail, and a reply after all outweighs the failure', () => {
    const one = onFailure(read().operation, a);
    expect(onFailure(one.operation, b)).toMatchObject({ kind: 'retry', reason: 'failed' });
    expect(resultOf(feed(one, [A, held()], [B, held()])).kind).toBe('read');
    expect(outcomeIfStopped(one.operation)).toBe('unavailable');
    expect(unanswered(feed(one, [B, held()]).operation).map(({ name }) => name)).toEqual(['a', 'c']);
  });
});

describe('a change', () => {
  const two = (found?: Proposal) => feed(change(), [A, promised(1, found)], [B, promised(1, found)]);

  it('prepares, then has its value accepted, and remembers the ballot promised ahead', () => {
    expect(sentOf(change())).toEqual({ kind: 'prepare', ballot: ballot(1), members: MEMBERS });
    const accepting = two();
    const message = sentOf(accepting) as Accept;
    expect(message).toMatchObject({
      kind: 'accept',
      ballot: ballot(1),
      value: { version: 1 },
      next: ballot(2),
      chosen: null,
    });
    const done = feed(accepting, [A, accepted(1)], [B, accepted(1)]);
    expect(resultOf(done)).toMatchObject({ kind: 'change', verdict: { kind: 'changed', version: 1 }, rounds: 2 });
    const cached = { ballot: ballot(2), proposal: { ballot: ballot(1), value: message.value }, members: MEMBERS };
    expect(done).toMatchObject({ chosen: ballot(1), cache: cached });
  });

  it('remembers no ballot that a majority has not promised', () => {
    const done = feed(two(), [A, accepted(1)], [B, accepted(1, 9)]);
    expect(done).toMatchObject({ kind: 'done', cache: undefined });
  });

  it('builds on the highest proposal of the majority, though it be of one store', () => {
    const accepting = feed(change(undefined, 5), [A, promised(5, proposal(2))], [B, promised(5, proposal(3))]);
    expect(sentOf(accepting)).toMatchObject({ value: { version: 4 }, chosen: null });
  });

  it('goes straight to acceptance with a cached ballot, under the id and the version that follow', () => {
    const accepting = change(entry(), 7);
    expect(sentOf(accepting)).toMatchObject({
      kind: 'accept',
      ballot: ballot(5),
      value: { version: 5 },
      next: ballot(7),
      chosen: ballot(4),
    });
    const done = feed(accepting, [C, accepted(5, 7)], [B, accepted(5, 7)]);
    expect(resultOf(done)).toMatchObject({ verdict: { kind: 'changed', version: 5 }, rounds: 1 });
    expect(done).toMatchObject({ cache: { ballot: ballot(7) } });
  });

  it("does not use a cached ballot where the value may expire, a store was replaced, or it is another life's", () => {
    const expiring = { ballot: ballot(4), value: value(4, { expiresAtMs: 9 }) };
    const elsewhere = { ...entry(), ballot: ballot(5, Q) };
    const replaced = { ...entry(), members: [{ name: a, id: 'a.0' as StoreId }] };
    for (const each of [entry(expiring), elsewhere, replaced]) expect(sentOf(change(each, 7))?.kind).toBe('prepare');
  });

  it('tries again above what refused it', () => {
    const lost = feed(change(), [A, refused(1, 6)], [B, promised(1)], [C, refused(1, 9)]);
    expect(lost).toMatchObject({ kind: 'retry', reason: 'refused', aboveRound: 9 });
    expect(outcomeIfStopped(lost.operation)).toBe('unavailable');
    expect(sentOf(again(lost.operation, attempt(10)))).toMatchObject({ kind: 'prepare', ballot: ballot(10) });
  });

  it('takes the refusal of a message that came twice for nothing', () => {
    const twice: Reply = { kind: 'refused', ballot: ballot(1), promised: ballot(1) };
    expect(sentOf(feed(change(), [A, twice], [A, promised(1)], [B, promised(1)]))?.kind).toBe('accept');
  });

  it('passes over replies to other ballots', () => {
    expect(feed(change(), [A, promised(3)], [B, promised(3)]).kind).toBe('wait');
    expect(feed(two(), [A, accepted(3)], [B, accepted(3)]).kind).toBe('wait');
  });

  it('asks for the ids of the replicas anew where one is refused', () => {
    const stale: Reply = { kind: 'stale-member', member: { name: c, id: 'c.2' as StoreId } };
    expect(feed(change(), [A, stale], [B, stale])).toMatchObject({ kind: 'retry', reason: 'stale-member' });
  });

  it('cannot begin where the ids of too few are known', () => {
    const alone = { ...attempt(1), members: MEMBERS.slice(0, 1) };
    for (const step of [startRead(PROPOSER, alone), startChange(PROPOSER, request(), alone, undefined)])
      expect(step).toMatchObject({ kind: 'retry', reason: 'failed' });
  });
});

describe('a change in doubt', () => {
  const sent = () => feed(change(), [A, promised(1)], [B, promised(1)]);
  const lost = () => feed(sent(), [A, refused(1, 4)], [B, refused(1, 4)]);
  const own = () => ({ ballot: ballot(1), value: (sentOf(sent()) as Accept).value }) as Proposal;
  const retried = () => again(lost().operation, attempt(5)).operation;

  it('has an unknown outcome from the moment an accept is sent', () => {
    expect(outcomeIfStopped(change().operation)).toBe('unavailable');
    expect(outcomeIfStopped(sent().operation)).toBe('unknown');
    expect(outcomeIfStopped(lost().operation)).toBe('unknown');
    expect(outcomeIfStopped(retried())).toBe('unknown');
  });

  it('is found to have been made, by its name, and not made again', () => {
    const made = { ...proposal(3, 2), value: value(2, { requests: own().value?.requests ?? [] }) };
    const done = feed({ operation: retried() } as Step, [A, promised(5, made)], [C, promised(5, made)]);
    expect(resultOf(done)).toMatchObject({
      kind: 'change',
      verdict: { kind: 'changed', version: 1 },
      value: { version: 2 },
    });
  });

  it('is made where it was not', () => {
    const step = feed({ operation: retried() } as Step, [A, promised(5, proposal(3, 1))], [C, promised(5)]);
    expect(sentOf(step)).toMatchObject({ kind: 'accept', ballot: ballot(5), value: { version: 2 } });
  });

  it('stays unknown where so much has happened since that its name could be forgotten', () => {
    const far = (version: number) => {
      const found: Proposal = { ballot: ballot(3), value: value(version) };
      return feed({ operation: retried() } as Step, [A, promised(5, found)], [C, promised(5, found)]);
    };
    expect(resultOf(far(65))).toEqual({ kind: 'unknown' });
    expect(sentOf(far(64))?.kind).toBe('accept');
  });

  it('is also one that was found made, though perhaps not chosen, and was proposed once more', () => {
    const keyed = request({ clientsId: 'key' });
    const made = { ballot: ballot(4, Q), value: value(4, { requests: [applied('key', 4)] }) };
    const repeat = (...found: readonly (Proposal | undefined)[]) => {
      const start = startChange(PROPOSER, keyed, attempt(7), undefined);
      return feed(start, [A, promised(7, found[0])], [B, promised(7, found[1])]);
    };
    const reviving = repeat(made, undefined);
    expect(sentOf(reviving)).toMatchObject({ kind: 'accept', value: made.value });
    expect(outcomeIfStopped(reviving.operation)).toBe('unknown');
    const over = feed(reviving, [A, refused(7, 9)], [B, refused(7, 9)]);
    expect(outcomeIfStopped(over.operation)).toBe('unknown');
    expect(resultOf(feed(reviving, [A, accepted(7)], [B, accepted(7)]))).toMatchObject({
      verdict: { kind: 'repeated' },
    });
    // What is chosen already is not made by proposing it once more.
    const confirming = startChange(PROPOSER, keyed, attempt(7), entry(made));
    expect(sentOf(confirming)).toMatchObject({ kind: 'accept', value: made.value });
    expect(outcomeIfStopped(confirming.operation)).toBe('unavailable');
    expect(resultOf(repeat(made, made))).toMatchObject({ verdict: { kind: 'repeated' } });
  });

  it('is none where only what was there before was to be accepted', () => {
    const found = value(4);
    const accepting = exists([{ ballot: ballot(4), value: found }, undefined]);
    expect(sentOf(accepting)).toMatchObject({ kind: 'accept', value: found });
    expect(outcomeIfStopped(accepting.operation)).toBe('unavailable');
  });
});

function exists([one, two]: readonly [Proposal | undefined, Proposal | undefined], cached?: CacheEntry): Step {
  const create = startChange(PROPOSER, request({ condition: { kind: 'absent' } }), attempt(7), cached);
  return feed(create, [A, promised(7, one)], [B, promised(7, two)]);
}

describe('a condition that fails', () => {
  const failsWith = (found: RegisterValue) => ({
    kind: 'change',
    verdict: { kind: 'exists', version: found.version },
    value: found,
  });

  it('is answered at once where what it saw is chosen; the promise serves the next change', () => {
    const done = exists([proposal(4), proposal(4)]);
    expect(resultOf(done)).toMatchObject({ ...failsWith(value(4)), rounds: 1 });
    expect(done).toMatchObject({ cache: { ballot: ballot(7), proposal: proposal(4) } });
  });

  it('is answered only once what it saw is chosen', () => {
    const accepting = exists([proposal(4), proposal(3)]);
    expect(sentOf(accepting)).toMatchObject({ kind: 'accept', ballot: ballot(7), value: value(4) });
    expect(resultOf(feed(accepting, [B, accepted(7)], [C, accepted(7)]))).toMatchObject({
      ...failsWith(value(4)),
      rounds: 2,
    });
  });

  it('is confirmed by a majority, also where the value was cached', () => {
    const create = startChange(PROPOSER, request({ condition: { kind: 'absent' } }), attempt(7), entry());
    expect(sentOf(create)).toMatchObject({ kind: 'accept', ballot: ballot(5), value: value(4), next: ballot(7) });
    expect(resultOf(feed(create, [A, accepted(5, 7)], [B, accepted(5, 7)]))).toMatchObject({
      ...failsWith(value(4)),
      rounds: 1,
    });
  });
});

describe('an operation', () => {
  it('that is over takes nothing more', () => {
    const done = feed(read(), [A, held()], [B, held()]);
    expect(onReply(done.operation, C, held(proposal(9)))).toMatchObject({ kind: 'wait', send: undefined });
    expect(onFailure(done.operation, c).kind).toBe('wait');
    expect(hurry(done.operation).kind).toBe('wait');
  });

  it('leaves what it was before as it was', () => {
    const before: Operation = read().operation;
    const text = JSON.stringify(before);
    onFailure(onReply(before, A, held()).operation, b);
    expect(JSON.stringify(before)).toBe(text);
  });
});

describe('an identity', () => {
  const identity = () => startIdentity(PROPOSER, attempt(9));

  it('proposes what is chosen already under a ballot of its own, and ends as a read does', () => {
    const proposing = feed(identity(), [A, promised(9, proposal(4))], [B, promised(9, proposal(4))]);
    expect(sentOf(proposing)).toMatchObject({ kind: 'accept', ballot: ballot(9), value: value(4) });
    const done = feed(proposing, [A, accepted(9)], [C, accepted(9)]);
    expect(resultOf(done)).toMatchObject({ kind: 'read', value: value(4) });
    expect(done).toMatchObject({ chosen: ballot(9) });
  });

  it('proposes nothing where nothing was ever accepted', () => {
    const done = feed(identity(), [A, promised(9)], [B, promised(9)]);
    expect(resultOf(done)).toMatchObject({ kind: 'read', value: null });
  });

  it('prepares again where it is refused', () => {
    const over = feed(identity(), [A, refused(9, 12)], [B, refused(9, 12)]);
    expect(over).toMatchObject({ kind: 'retry', aboveRound: 12 });
    expect(sentOf(again(over.operation, attempt(14)))).toMatchObject({ kind: 'prepare', ballot: ballot(14) });
  });
});
