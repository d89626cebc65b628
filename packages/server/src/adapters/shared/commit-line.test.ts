import type { Sequence } from '@meridian/core/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Commit } from '../../ports/store.ts';
import { CommitLine } from './commit-line.ts';

const commit = (from: number, upTo: number, isWhole = true): Commit => ({
  from: from as Sequence,
  upTo: upTo as Sequence,
  rows: [],
  isWhole,
});

function lineFrom(at: number) {
  const told: Commit[] = [];
  let gaps = 0;
  const line = new CommitLine(
    at as Sequence,
    (one) => told.push(one),
    () => {
      gaps += 1;
    },
  );
  return { line, told, gaps: () => gaps, ends: () => told.map(({ upTo }) => upTo) };
}

describe('a line of commits', () => {
  it('tells of those that come in order at once', () => {
    const { line, ends, gaps } = lineFrom(0);
    for (const one of [commit(0, 2), commit(2, 3), commit(3, 9)]) line.take(one);
    expect(ends()).toEqual([2, 3, 9]);
    expect(gaps()).toBe(0);
  });

  it('keeps one that is too early until those before it have come, and says that there is a gap', () => {
    const { line, ends, gaps } = lineFrom(0);
    line.take(commit(5, 7));
    line.take(commit(2, 5));
    expect([ends(), line.hasGap, gaps()]).toEqual([[], true, 2]);
    line.take(commit(0, 2));
    expect([ends(), line.hasGap, line.toldTo]).toEqual([[2, 5, 7], false, 7]);
  });

  it('fills a gap by what was read from the index, and forgets what that has told already', () => {
    const { line, ends } = lineFrom(0);
    line.take(commit(4, 6));
    line.take(commit(8, 9));
    expect(line.walked(commit(0, 5, false))).toBe(true);
    expect(line.walked(commit(5, 8))).toBe(true);
    expect([ends(), line.hasGap]).toEqual([[5, 8, 9], false]);
  });

  it('takes no page that begins where it no longer stands', () => {
    const { line, ends } = lineFrom(0);
    line.take(commit(0, 3));
    expect(line.walked(commit(0, 5))).toBe(false);
    expect(ends()).toEqual([3]);
  });

  it('begins anew where the database has gone back', () => {
    const { line, ends } = lineFrom(0);
    line.take(commit(0, 9));
    line.take(commit(12, 13));
    line.reset();
    line.walked(commit(0, 6));
    expect([ends(), line.hasGap]).toEqual([[9, 6], false]);
  });

  it('tells of each once and in order, however they come', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 40 }),
        fc.infiniteStream(fc.nat()),
        (lengths, chance) => {
          const ends = lengths.map((_length, at) => lengths.slice(0, at + 1).reduce((sum, one) => sum + one));
          const commits = ends.map((end, at) => commit(ends[at - 1] ?? 0, end));
          const { line, told } = lineFrom(0);
          const pick = (below: number): number => (chance.next().value ?? 0) % below;
          const coming = [...commits, ...commits.filter(() => pick(3) === 0)];
          while (coming.length > 0) line.take(coming.splice(pick(coming.length), 1)[0] as Commit);
          expect(told).toEqual(commits);
        },
      ),
    );
  });
});
