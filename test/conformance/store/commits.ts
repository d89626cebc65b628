import type { Commit } from '@meridian/server/ports/store';
import { describe, expect, it } from 'vitest';
import { key, put, remove, text } from './moves.ts';
import type { StoreUnderTest } from './subject.ts';

/** When what is durable shows, and who is told. */
export function describeCommits(subject: StoreUnderTest): void {
  describe('showing commits', () => {
    it('tells each commit once, after it can be read, with every sequence in exactly one', async () => {
      const commits: Commit[] = [];
      const reads: Promise<Uint8Array | undefined>[] = [];
      subject.store.onCommit((commit) => {
        commits.push(commit);
        expect(subject.store.sequence).toBe(commit.upTo);
        for (const row of commit.rows) reads.push(subject.store.get(row.key));
      });
      const names = Array.from({ length: 500 }, (_, at) => `k${(at * 7) % 23}`);
      const updates: Promise<unknown>[] = [];
      for (const [at, name] of names.entries()) {
        updates.push(put(subject.store, name, `${at}`));
        if (at % 40 === 39) await updates[at - 20];
      }
      await Promise.all(updates);
      // A read may see a commit a moment before it is told of: never less than what was told.
      const seen = (await Promise.all(reads)).map((record) => Number(text(record)));
      const toldFirst = commits.flatMap((commit) => commit.rows).slice(0, seen.length);
      for (const [at, row] of toldFirst.entries()) expect(seen[at]).toBeGreaterThanOrEqual(Number(text(row.record)));
      await remove(subject.store, 'k0');
      await subject.store.setNote('note', 'is no record');
      expect(commits.length).toBeGreaterThan(1);
      let from = 0;
      for (const commit of commits) {
        expect(commit.from).toBe(from);
        expect(commit.upTo).toBeGreaterThan(from);
        const sequences = commit.rows.map((row) => row.sequence as number);
        expect(sequences).toEqual([...sequences].sort((left, right) => left - right));
        expect(new Set(commit.rows.map((row) => row.key)).size).toBe(commit.rows.length);
        expect(sequences[0]).toBeGreaterThan(from);
        expect(sequences.at(-1)).toBe(commit.upTo);
        from = commit.upTo;
      }
      expect(from).toBe(500);
      expect(seen.length).toBe(commits.flatMap((commit) => commit.rows).length);
    });

    it('goes on where a listener throws', async () => {
      const told: number[] = [];
      subject.store.onCommit(() => {
        throw new Error('a listener of the test');
      });
      subject.store.onCommit((commit) => told.push(commit.upTo));
      await put(subject.store, 'a', '1');
      await put(subject.store, 'a', '2');
      expect(told).toEqual([1, 2]);
    });

    it('shows nothing in the tick that asked', async () => {
      const update = put(subject.store, 'a', '1');
      expect(subject.store.sequence).toBe(0);
      const read = await subject.store.get(key('a'));
      // Where reading takes a while it may be there by then.
      if (read === undefined || !subject.store.shared) expect(read).toBeUndefined();
      else expect(text(read)).toBe('1');
      await update;
      expect(text(await subject.store.get(key('a')))).toBe('1');
    });
  });
}
