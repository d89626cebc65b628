import { proposerIdFor } from '@meridian/core/coordination/paxos/ballot';
import type { Accept, Member, Prepare, Query, Question } from '@meridian/core/coordination/paxos/messages';
import type { NodeName, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { GREETING, REGISTER } from '@meridian/core/wire/messages';
import { opened } from '@meridian/core/wire/register-codec.testing';
import { encodeQuestions } from '@meridian/core/wire/register-question-codec';
import { decodeReplies } from '@meridian/core/wire/register-reply-codec';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../cluster.testing.ts';
import { type AcceptorAlone, KEY, onAcceptor } from './acceptors.testing.ts';
import { writtenValue } from './registers.testing.ts';

const proposer = proposerIdFor('eu-1.bbbb' as StoreId, 'life');
const ballot = (round: number) => ({ round, proposer });
const EU: Member = { name: 'eu-1' as StoreName, id: 'eu-1.bbbb' as StoreId };
const prepare = (round: number, members: Prepare['members'] = [EU]): Prepare => ({
  kind: 'prepare',
  ballot: ballot(round),
  members,
});
const query = (members: Query['members'] = [EU]): Query => ({ kind: 'query', members });
const accept = (round: number, members: Accept['members'] = [EU]): Accept => ({
  kind: 'accept',
  ballot: ballot(round),
  value: writtenValue(round),
  next: null,
  members,
  chosen: null,
});

function greet({ peers }: AcceptorAlone, id: string): void {
  const peer = peers.get('eu-1' as NodeName);
  if (!peer) throw new Error('eu-1 is no peer');
  peers.greeted(peer, [GREETING, EU.name, id as StoreId, 5 as Sequence, true, []]);
}

describe('an acceptor', () => {
  it('has on disk what it promises and accepts before it says so', () =>
    onAcceptor(async (acceptor) => {
      for (const round of [3, 5, 9]) {
        expect(await acceptor.answer(prepare(round))).toMatchObject({ kind: 'promised', ballot: ballot(round) });
        expect(acceptor.durable()?.promised).toEqual(ballot(round));
        expect(await acceptor.answer(accept(round))).toMatchObject({ kind: 'accepted' });
        expect(opened(acceptor.durable()?.accepted)).toEqual({ ballot: ballot(round), value: writtenValue(round) });
      }
    }));

  it('keeps to what it has promised and accepted after a restart', () =>
    onAcceptor(async (acceptor) => {
      await acceptor.answer(prepare(3));
      await acceptor.answer(accept(3));
      await acceptor.answer(prepare(7));
      const after = acceptor.restarted();
      expect(await after.answer(prepare(7))).toMatchObject({ kind: 'refused', promised: ballot(7) });
      expect(await after.answer(accept(5))).toMatchObject({ kind: 'refused', promised: ballot(7) });
      expect(await after.answer(query())).toMatchObject({
        kind: 'held',
        promised: ballot(7),
        accepted: { ballot: ballot(3) },
        committed: null,
      });
      expect(await after.acceptors.promisedRound(KEY)).toBe(7);
    }));

  it('writes nothing for a question that changes nothing', () =>
    onAcceptor(async (acceptor) => {
      await acceptor.answer(prepare(3));
      await acceptor.answer(accept(3));
      const { sequence } = acceptor.store;
      await acceptor.answer(query());
      await acceptor.answer(accept(3));
      await acceptor.answer(prepare(2));
      await acceptor.answer(accept(2));
      expect(acceptor.store.sequence).toBe(sequence);
    }));

  it('takes part in nothing with a store in whose place another was filled by a node of its own, whom it has not heard', () =>
    onAcceptor(async (acceptor) => {
      await acceptor.known.learn(EU.id);
      greet(acceptor, EU.id);
      expect(await acceptor.answer(prepare(3))).toMatchObject({ kind: 'promised' });
      await acceptor.store.setNote(`known-store/${EU.name}`, 'eu-1.cccc');
      for (const question of [accept(3), prepare(5), query()])
        expect(await acceptor.answer(question)).toEqual({
          kind: 'stale-member',
          member: { name: EU.name, id: 'eu-1.cccc' },
        });
      expect(acceptor.durable()?.accepted).toBeUndefined();
    }));

  it('says nothing of registers while its store is being filled: it may have promised what it does not know of', () =>
    onAcceptor(async (acceptor) => {
      acceptor.node.isFilled = false;
      for (const question of [prepare(3), accept(3), query()])
        expect(await codeOf(acceptor.answer(question))).toBe('REPLICA_UNAVAILABLE');
      expect(acceptor.durable()).toBeUndefined();
      acceptor.node.isFilled = true;
      expect(await acceptor.answer(prepare(3))).toMatchObject({ kind: 'promised' });
    }));

  it('says nothing of keys that it does not hold', () =>
    onAcceptor(async (acceptor) => {
      acceptor.node.isHeld = () => false;
      for (const question of [prepare(3), accept(3), query()]) expect(await acceptor.answer(question)).toBeUndefined();
      expect(acceptor.durable()).toBeUndefined();
    }));

  it('waits until it knows whether its disk is older than what its peers have seen, and not for ever', () =>
    onAcceptor(async (acceptor) => {
      let open = (): void => undefined;
      acceptor.node.gate = new Promise<void>((resolve) => {
        open = () => {
          acceptor.node.gate = undefined;
          resolve();
        };
      });
      expect(await codeOf(acceptor.answer(prepare(3)))).toBe('REPLICA_UNAVAILABLE');
      expect(acceptor.time.nowMs).toBeCloseTo(100, 5);
      const answered = acceptor.answer(prepare(4));
      await acceptor.time.sleep(50);
      open();
      expect(await answered).toMatchObject({ kind: 'promised' });
      expect(acceptor.durable()?.promised).toEqual(ballot(4));
    }));

  it('answers no peer before that has greeted it', () =>
    onAcceptor(async (acceptor) => {
      const ask = () =>
        acceptor.acceptors.onCall('eu-1' as NodeName, [REGISTER, [KEY], encodeQuestions([prepare(3)])], 100);
      expect(await codeOf(ask())).toBe('REPLICA_UNAVAILABLE');
      expect(acceptor.durable()).toBeUndefined();
      greet(acceptor, EU.id);
      expect(await ask()).toMatchObject([acceptor.store.id, expect.anything()]);
      expect(acceptor.durable()?.promised).toEqual(ballot(3));
    }));

  it('promises and accepts nothing that a full disk does not take', () =>
    onAcceptor(async (acceptor) => {
      await acceptor.answer(prepare(3));
      acceptor.disk.isFull = true;
      expect(await acceptor.answer(prepare(5))).toBeUndefined();
      expect(await acceptor.answer(accept(3))).toBeUndefined();
      acceptor.disk.isFull = false;
      expect(await acceptor.answer(query())).toMatchObject({ promised: ballot(3), accepted: undefined });
      expect(await acceptor.answer(accept(3))).toMatchObject({ kind: 'accepted' });
    }));

  it('answers many questions at once, in their order, each as if it had come alone', () =>
    onAcceptor(async (acceptor) => {
      const key = (name: string) => `${KEY}-${name}` as typeof KEY;
      await acceptor.answer(prepare(9), key('b'));
      const { sequence } = acceptor.store;
      const keys = [key('a'), key('b'), key('c'), key('a'), key('a')];
      const replies = await acceptor.acceptors.answer(keys, [prepare(3), accept(4), query(), accept(3), query()], 100);
      expect(replies).toMatchObject([
        { kind: 'promised', ballot: ballot(3) },
        { kind: 'refused', promised: ballot(9) },
        { kind: 'held', accepted: undefined },
        { kind: 'accepted', promised: ballot(3) },
        { kind: 'held' },
      ]);
      expect(acceptor.store.sequence).toBe(sequence + 2);
      expect(acceptor.durable(key('a'))).toMatchObject({ accepted: { ballot: ballot(3) } });
    }));

  it('answers the other questions where one cannot be written, or is about a key that it does not hold', () =>
    onAcceptor(async (acceptor) => {
      const key = (name: string) => `${KEY}-${name}` as typeof KEY;
      const unwritable = { ...accept(3), value: { ...writtenValue(3), version: 0 } };
      acceptor.node.isHeld = (asked) => asked !== key('b');
      const replies = await acceptor.acceptors.answer(
        [key('a'), key('b'), key('c')],
        [unwritable, accept(3), accept(3)],
        100,
      );
      expect(replies.map((reply) => reply?.kind)).toEqual([undefined, undefined, 'accepted']);
      expect(['a', 'b', 'c'].map((name) => acceptor.durable(key(name)) !== undefined)).toEqual([false, false, true]);
    }));

  it('tells a peer no more at once than one frame holds: the rest is asked for again', () =>
    onAcceptor(async (acceptor) => {
      greet(acceptor, EU.id);
      const large = writtenValue(3, new Uint8Array(33 * 1024 * 1024));
      const keys = ['a', 'b', 'c', 'd'].map((name) => `${KEY}-${name}` as typeof KEY);
      for (const key of keys.slice(0, 3)) await acceptor.answer({ ...accept(3), value: large }, key);
      const told = async (of: readonly (typeof KEY)[], question: Question) => {
        const questions = of.map(() => question);
        const call = [REGISTER, of, encodeQuestions(questions)] as const;
        const [, bytes] = await acceptor.acceptors.onCall('eu-1' as NodeName, call, 100);
        return decodeReplies(bytes, questions).map((reply) => reply?.kind);
      };
      expect(await told(keys, query())).toEqual(['held', 'held', undefined, 'held']);
      expect(await told(keys, prepare(5))).toEqual(['promised', 'promised', undefined, 'promised']);
      expect(await told(keys.slice(2), query())).toEqual(['held', 'held']);
    }));

  it('takes no part in a quorum with what a lost store has promised, and says who is there now', () =>
    onAcceptor(async (acceptor) => {
      greet(acceptor, 'eu-1.cccc');
      const stale = { kind: 'stale-member', member: { name: 'eu-1', id: 'eu-1.cccc' } };
      for (const question of [prepare(3), accept(3), query()]) expect(await acceptor.answer(question)).toEqual(stale);
      expect(acceptor.durable()).toBeUndefined();
      const now: Member = { name: EU.name, id: 'eu-1.cccc' as StoreId };
      expect(await acceptor.answer(prepare(3, [now]))).toMatchObject({ kind: 'promised' });
    }));

  it('takes none after a restart either, though nobody has greeted it yet', () =>
    onAcceptor(async (acceptor) => {
      await acceptor.known.learn('eu-1.cccc' as StoreId);
      const after = acceptor.restarted();
      expect(await after.answer(accept(3))).toMatchObject({ kind: 'stale-member', member: { id: 'eu-1.cccc' } });
      const own: Member = { name: 'us-1' as StoreName, id: 'us-1.lost' as StoreId };
      expect(await after.answer(accept(3, [own]))).toMatchObject({
        kind: 'stale-member',
        member: { name: 'us-1', id: after.store.id },
      });
    }));

  it('marks as chosen what it has accepted, and nothing else', () =>
    onAcceptor(async (acceptor) => {
      await acceptor.answer(accept(3));
      await acceptor.acceptors.mark(new Map([[KEY, ballot(2)]]));
      expect(acceptor.durable()?.committed).toBeUndefined();
      const { sequence } = acceptor.store;
      await acceptor.acceptors.mark(new Map([[`${KEY}-other` as typeof KEY, ballot(3)]]));
      expect(acceptor.store.sequence).toBe(sequence);
      await acceptor.acceptors.mark(new Map([[KEY, ballot(3)]]));
      expect(acceptor.durable()?.committed?.ballot).toEqual(ballot(3));
      await acceptor.answer(accept(5));
      expect(acceptor.durable()).toMatchObject({
        accepted: { ballot: ballot(5) },
        committed: { ballot: ballot(3), value: writtenValue(3) },
      });
    }));
});
