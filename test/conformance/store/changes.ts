import { NO_SEQUENCE, type Sequence } from '@meridian/core/ids';
import { beforeEach, describe, expect, it } from 'vitest';
import { ALL, MEBIBYTE, put, remove, seen } from './moves.ts';
import type { StoreUnderTest } from './subject.ts';

/** The index by sequence. */
export function describeChanges(subject: StoreUnderTest): void {
  describe('walking changes', () => {
    beforeEach(async () => {
      for (const name of ['a', 'b', 'c', 'd']) await put(subject.store, name, name);
      await put(subject.store, 'b', 'moved');
    });

    it('has one row a key, at its latest sequence', async () => {
      const page = await subject.store.changes(NO_SEQUENCE, ALL);
      expect(seen(page.rows)).toEqual(['a=a@1', 'c=c@3', 'd=d@4', 'b=moved@5']);
      expect([page.upTo, page.isComplete]).toEqual([5, true]);
    });

    it('pages by rows and goes on after the last', async () => {
      const first = await subject.store.changes(NO_SEQUENCE, { rowsMax: 2, bytesMax: MEBIBYTE });
      expect(seen(first.rows)).toEqual(['a=a@1', 'c=c@3']);
      expect([first.upTo, first.isComplete]).toEqual([3, false]);
      const second = await subject.store.changes(first.upTo, { rowsMax: 2, bytesMax: MEBIBYTE });
      expect(seen(second.rows)).toEqual(['d=d@4', 'b=moved@5']);
      expect([second.upTo, second.isComplete]).toEqual([5, true]);
    });

    it('pages by bytes, with one row at least', async () => {
      await put(subject.store, 'big', 'x'.repeat(5000));
      const tiny = await subject.store.changes(NO_SEQUENCE, { rowsMax: 10, bytesMax: 1 });
      expect(seen(tiny.rows)).toEqual(['a=a@1']);
      const page = await subject.store.changes(4 as Sequence, { rowsMax: 10, bytesMax: 1000 });
      expect(page.rows.map((row) => row.sequence)).toEqual([5, 6]);
    });

    it('is complete up to the sequence where the last rows are gone', async () => {
      await remove(subject.store, 'b');
      const page = await subject.store.changes(4 as Sequence, ALL);
      expect(page).toEqual({ rows: [], isComplete: true, upTo: 5 });
    });

    it('has nothing above the end', async () => {
      expect(await subject.store.changes(5 as Sequence, ALL)).toEqual({ rows: [], isComplete: true, upTo: 5 });
    });
  });
}
