import { describe, expect, it } from 'vitest';
import type { StoreId } from '../../ids.ts';
import { accept, commit, prepare, query, recover, replay } from './acceptor.ts';
import type { Ballot } from './ballot.ts';
import type { Accept, Prepare } from './messages.ts';
import { ballot, MEMBERS, P, proposal, Q, state } from './register.testing.ts';
import type { Proposal, RegisterState } from './register.ts';

const NOW = 1000;
const known = (): undefined => undefined;
const prepareOf = (of: Ballot): Prepare => ({ kind: 'prepare', ballot: of, members: MEMBERS });
const acceptOf = (of: Proposal, next: Ballot | null = null, chosen: Ballot | null = null): Accept => {
  return { kind: 'accept', ...of, next, members: MEMBERS, chosen };
};

describe('prepare', () => {
  it('promises a higher ballot, and tells what was accepted and is known to be chosen', () => {
    const before = state(ballot(3), proposal(3), proposal(2));
    const { state: after, reply, changed } = prepare(before, prepareOf(ballot(4, Q)), known, NOW);
    expect(after).toEqual({ ...before, promised: ballot(4, Q) });
    expect(reply).toEqual({
      kind: 'promised',
      ballot: ballot(4, Q),
      accepted: proposal(3),
      isHearsay: false,
      committed: ballot(2),
      wallMs: NOW,
    });
    expect(changed).toBe(true);
  });

  it('refuses the promised ballot itself and all below, and changes nothing', () => {
    for (const of of [ballot(4, P), ballot(4, Q), ballot(3, Q)]) {
      const before = state(ballot(4, Q));
      const step = prepare(before, prepareOf(of), known, NOW);
      expect(step).toEqual({
        state: before,
        reply: { kind: 'refused', ballot: of, promised: ballot(4, Q) },
        changed: false,
      });
    }
  });
});

describe('accept', () => {
  it('takes the promised ballot and any above, and promises the next along with it', () => {
    const { state: after, reply, changed } = accept(state(ballot(4)), acceptOf(proposal(4), ballot(5)), known);
    expect(after).toEqual(state(ballot(5), proposal(4)));
    expect(reply).toEqual({ kind: 'accepted', ballot: ballot(4), promised: ballot(5) });
    expect(changed).toBe(true);
    expect(accept(undefined, acceptOf(proposal(9)), known).state).toEqual(state(ballot(9), proposal(9)));
  });

  it('refuses what is below its promise', () => {
    const before = state(ballot(5), proposal(4));
    const { state: after, reply } = accept(before, acceptOf(proposal(4, 4, 'o.1/x' as typeof P)), known);
    expect(after).toBe(before);
    expect(reply).toMatchObject({ kind: 'refused', promised: ballot(5) });
  });

  it('answers what it has accepted as accepted again, whatever it promised since, and takes no promise back', () => {
    const before = state(ballot(9, Q), proposal(4));
    const { state: after, reply, changed } = accept(before, acceptOf(proposal(4), ballot(5)), known);
    expect(after).toBe(before);
    expect(reply).toEqual({ kind: 'accepted', ballot: ballot(4), promised: ballot(9, Q) });
    expect(changed).toBe(false);
  });

  it('promises the next ballot also where the proposal was there before', () => {
    const { state: after, reply } = accept(state(ballot(4), proposal(4)), acceptOf(proposal(4), ballot(5)), known);
    expect(after.promised).toEqual(ballot(5));
    expect(reply).toMatchObject({ kind: 'accepted', promised: ballot(5) });
  });

  it('marks what the proposer knows to be chosen before it takes the new', () => {
    const before = state(ballot(5), proposal(4));
    const { state: after } = accept(before, acceptOf(proposal(5), ballot(6), ballot(4)), known);
    expect(after).toEqual(state(ballot(6), proposal(5), proposal(4)));
    expect(accept(before, acceptOf(proposal(5), null, ballot(3)), known).state.committed).toBeUndefined();
  });
});

describe('a question that names a replica by another id', () => {
  const renewed = (name: string): StoreId => `${name}.${name === 'b' ? 2 : 1}` as StoreId;

  it('is refused, whatever it asks', () => {
    const before = state(ballot(1));
    const steps = [
      prepare(before, prepareOf(ballot(7)), renewed, NOW),
      accept(before, acceptOf(proposal(7)), renewed),
      query(before, { kind: 'query', members: MEMBERS }, renewed, NOW),
    ];
    for (const step of steps)
      expect(step).toEqual({
        state: before,
        reply: { kind: 'stale-member', member: { name: 'b', id: 'b.2' } },
        changed: false,
      });
  });
});

describe('commit', () => {
  it('marks what was accepted last, and only that', () => {
    const before = state(ballot(5), proposal(4), proposal(2));
    const { state: after, changed } = commit(before, { kind: 'commit', ballot: ballot(4) });
    expect(after.committed).toBe(before.accepted);
    expect(changed).toBe(true);
    expect(commit(after, { kind: 'commit', ballot: ballot(4) }).changed).toBe(false);
    for (const other of [ballot(3), ballot(5), ballot(2)])
      expect(commit(before, { kind: 'commit', ballot: other })).toMatchObject({ state: before, changed: false });
  });
});

describe('repair by another replica', () => {
  it('takes its accepted proposal where no promise stands against it', () => {
    const other = state(ballot(6), proposal(5));
    expect(replay(undefined, other).state).toEqual(other);
    expect(replay(state(ballot(5), proposal(4)), other).state).toEqual(other);
  });

  it('does not take it past a promise, but what is chosen in any case', () => {
    const mine = state(ballot(7, Q), proposal(3));
    expect(replay(mine, state(ballot(6), proposal(5))).changed).toBe(false);
    const { state: after } = replay(mine, state(ballot(6), proposal(5), proposal(4)));
    expect(after).toEqual(state(ballot(7, Q), proposal(4), proposal(4)));
    expect(after.committed).toBe(after.accepted);
  });

  it('changes nothing where the same was accepted here', () => {
    const mine = state(ballot(5), proposal(5), proposal(4));
    expect(replay(mine, state(ballot(5), proposal(5)))).toMatchObject({ state: mine, changed: false });
    expect(replay({ ...mine, isHearsay: true }, state(ballot(5), proposal(5)))).toMatchObject({
      state: mine,
      changed: true,
    });
  });

  it('never lowers anything', () => {
    const six = proposal(6);
    const mine = state(ballot(7), six, six);
    expect(replay(mine, state(ballot(5), proposal(5), proposal(4)))).toMatchObject({ state: mine, changed: false });
  });
});

describe('recovery of a lost store', () => {
  const gather = (...others: RegisterState[]): RegisterState =>
    others.reduce<RegisterState>((before, other) => recover(before, other).state, state(ballot(0)));

  it('takes the highest of all, past every promise, in whatever order', () => {
    const one = state(ballot(9, Q), proposal(3));
    const two = state(ballot(6), proposal(5), proposal(2));
    const expected = { promised: ballot(9, Q), accepted: proposal(5), committed: proposal(2), isHearsay: true };
    expect(gather(one, two)).toEqual(expected);
    expect(gather(two, one)).toEqual(expected);
  });

  it('has only heard of what it took, until it is chosen, or accepted past its promise', () => {
    const hearsay = gather(state(ballot(9, Q), proposal(5)));
    expect(hearsay.isHearsay).toBe(true);
    expect(accept(hearsay, acceptOf(proposal(5)), known).reply).toMatchObject({ kind: 'refused' });
    expect(accept(hearsay, acceptOf(proposal(9, 6, Q)), known).state.isHearsay).toBe(false);
    expect(commit(hearsay, { kind: 'commit', ballot: ballot(5) }).state.isHearsay).toBe(false);
    const prepared = prepare(hearsay, prepareOf(ballot(10)), known, NOW).reply;
    expect(prepared).toMatchObject({ accepted: proposal(5), isHearsay: true });
    expect(gather(state(ballot(5), proposal(5), proposal(5))).isHearsay).toBe(false);
  });

  it('leaves what was truly accepted as it is', () => {
    const mine = state(ballot(6), proposal(5));
    expect(recover(mine, state(ballot(5), proposal(5)))).toMatchObject({ state: mine, changed: false });
    expect(recover(mine, state(ballot(7), proposal(4))).state).toEqual(state(ballot(7), proposal(5)));
    expect(recover(mine, state(ballot(6), proposal(6))).state.isHearsay).toBe(true);
  });

  it('accepts what it has heard of where nothing higher was promised', () => {
    const hearsay = gather(state(ballot(5), proposal(5)));
    const { state: after, reply, changed } = accept(hearsay, acceptOf(proposal(5)), known);
    expect(after).toEqual(state(ballot(5), proposal(5)));
    expect([reply.kind, changed]).toEqual(['accepted', true]);
  });
});
