import { describe, expect, it } from 'vitest';
import { dot, record, sibling } from './record.testing.ts';
import { compareSiblings, isLive, lastWriterSibling, liveSiblings } from './record.ts';

const early = sibling(dot('a', 1), 10);
const late = sibling(dot('b', 1), 20);
const tombstone = (timeMs: number) => sibling(dot('c', 1), timeMs, { body: null });

describe('the order of siblings', () => {
  it('has the highest time first, and among equal times the highest dot', () => {
    const sameTime = [sibling(dot('a', 2), 10), sibling(dot('b', 1), 10), sibling(dot('a', 10), 10)];
    const names = [...sameTime, late].sort(compareSiblings).map((each) => `${each.dot.store}${each.dot.sequence}`);
    expect(names).toEqual(['b1', 'b1', 'a10', 'a2']);
    expect([...sameTime, late].sort(compareSiblings)[0]).toBe(late);
  });
});

describe('isLive', () => {
  it('ends at the very millisecond of the expiry', () => {
    const value = sibling(dot('a', 1), 10, { expiresAtMs: 100 });
    expect(isLive(value, 99)).toBe(true);
    expect(isLive(value, 100)).toBe(false);
    expect(isLive(value, 101)).toBe(false);
  });

  it('takes an empty value for a value, and a tombstone for none', () => {
    expect(isLive(sibling(dot('a', 1), 10, { body: new Uint8Array() }), 0)).toBe(true);
    expect(isLive(tombstone(10), 0)).toBe(false);
  });
});

describe('liveSiblings', () => {
  it('shows concurrent values, winner first, and none of what was deleted or has expired', () => {
    const expired = sibling(dot('d', 1), 40, { expiresAtMs: 50 });
    expect(liveSiblings(record([early, tombstone(30), late, expired]), 60)).toEqual([late, early]);
    expect(liveSiblings(record([early, late]), 60)).toEqual([late, early]);
  });

  it('shows nothing where there is nothing', () => {
    expect(liveSiblings(undefined, 0)).toEqual([]);
    expect(liveSiblings(record([tombstone(1)]), 0)).toEqual([]);
  });
});

describe('lastWriterSibling', () => {
  it('is the winner', () => {
    expect(lastWriterSibling(record([early, late]), 0)).toBe(late);
    expect(lastWriterSibling(undefined, 0)).toBeUndefined();
  });

  it('is nothing where the winner is a tombstone or has expired: no earlier value comes back for that', () => {
    expect(lastWriterSibling(record([early, tombstone(30)]), 0)).toBeUndefined();
    expect(lastWriterSibling(record([early, sibling(dot('b', 1), 20, { expiresAtMs: 50 })]), 50)).toBeUndefined();
  });
});
