import { describe, expect, it } from 'vitest';
import { dotText } from '../causality/dot.ts';
import { dot, record, sibling, vector } from '../causality/record.testing.ts';
import type { StoreName } from '../ids.ts';
import { addReadFailure, addReply, isReadDecided, isReadImpossible, staleReplicas, startRead } from './read.ts';

const names = (...list: string[]) => list as StoreName[];
const [us, eu, ap, other] = names('us', 'eu', 'ap', 'elsewhere') as [StoreName, StoreName, StoreName, StoreName];
const majority = () => startRead([us, eu, ap], 2);
const a1 = record([sibling(dot('a.1', 1), 10)]);
const b1 = record([sibling(dot('b.1', 1), 20)]);

describe('a read of several replicas', () => {
  it('is decided with the number required, none at all among them', () => {
    const one = addReply(majority(), us, undefined);
    expect(isReadDecided(one)).toBe(false);
    const two = addReply(one, ap, undefined);
    expect(isReadDecided(two)).toBe(true);
    expect(two.merged).toBeUndefined();
  });

  it('counts a store once, and takes its first word', () => {
    const twice = addReply(addReply(majority(), us, a1), us, b1);
    expect(isReadDecided(twice)).toBe(false);
    expect(twice.merged).toEqual(a1);
  });

  it('counts no store that is none of the replicas, in replies or failures', () => {
    expect(isReadDecided(addReply(addReply(majority(), us, a1), other, b1))).toBe(false);
    const failed = addReadFailure(addReadFailure(majority(), us), other);
    expect(isReadImpossible(failed)).toBe(false);
  });

  it('answers with the merge of all replies, in whatever order', () => {
    for (const order of [
      [a1, b1],
      [b1, a1],
    ] as const) {
      const read = addReply(addReply(majority(), us, order[0]), eu, order[1]);
      expect(read.merged?.siblings.map((each) => dotText(each.dot))).toEqual(['b.1:1', 'a.1:1']);
    }
  });

  it('leaves what it was before as it was', () => {
    const before = majority();
    addReadFailure(addReply(before, us, a1), eu);
    expect(before).toEqual(majority());
  });
});

describe('an impossible read', () => {
  it('is one where the rest cannot make up the number', () => {
    const one = addReadFailure(majority(), us);
    expect(isReadImpossible(one)).toBe(false);
    expect(isReadImpossible(addReadFailure(one, us))).toBe(false);
    expect(isReadImpossible(addReadFailure(one, eu))).toBe(true);
    expect(isReadImpossible(startRead([us], 2))).toBe(true);
  });

  it('is never one that is decided', () => {
    const decided = addReply(addReply(majority(), us, a1), eu, a1);
    expect(isReadImpossible(addReadFailure(decided, ap))).toBe(false);
  });

  it('is possible again where a store that had failed answers after all', () => {
    const late = addReply(addReadFailure(majority(), us), us, a1);
    expect(isReadImpossible(addReadFailure(late, eu))).toBe(false);
    expect(isReadDecided(addReply(addReadFailure(late, eu), ap, a1))).toBe(true);
  });

  it('is not made of a failure that comes after the reply', () => {
    const answered = addReadFailure(addReply(majority(), us, a1), us);
    expect(isReadImpossible(addReadFailure(answered, eu))).toBe(false);
  });
});

describe('the replicas to repair', () => {
  const both = record([...a1.siblings, ...b1.siblings]);

  it('are those that answered with less than the merge', () => {
    const read = addReply(addReply(addReply(startRead([us, eu, ap], 3), us, both), eu, a1), ap, undefined);
    expect(staleReplicas(read)).toEqual([eu, ap]);
  });

  it('are none where all agree, or hold nothing', () => {
    expect(staleReplicas(addReply(addReply(majority(), us, both), eu, both))).toEqual([]);
    expect(staleReplicas(addReply(addReply(majority(), us, undefined), eu, undefined))).toEqual([]);
  });

  it('are all, where each has what the other lacks', () => {
    expect(staleReplicas(addReply(addReply(majority(), us, a1), eu, b1))).toEqual([us, eu]);
  });

  it('are those too that still hold a value which another knows to be superseded', () => {
    const superseded = record([], [], vector({ 'a.1': 1 }));
    expect(staleReplicas(addReply(addReply(majority(), us, a1), eu, superseded))).toEqual([us]);
  });

  it('are never those that have not answered', () => {
    expect(staleReplicas(addReadFailure(addReply(majority(), us, a1), eu))).toEqual([]);
  });
});
