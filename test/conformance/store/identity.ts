import { storeNameOf } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { bytes, key, ORIGIN, position, put, remove } from './moves.ts';
import { STORE_NAME, type StoreUnderTest } from './subject.ts';

/** Id, positions, notes, figures. */
export function describeIdentity(subject: StoreUnderTest): void {
  describe('its identity', () => {
    it('renews its id: sequences go on, the old id stays as a claim', async () => {
      await put(subject.store, 'a', '1');
      await put(subject.store, 'b', '2');
      const old = subject.store.id;
      const [, after] = await Promise.all([
        subject.store.renewId(),
        subject.store.update([key('a')], (view) => ({
          writes: [{ key: key('a'), record: bytes('3') }],
          result: { store: view.store, nextSequence: view.nextSequence, applied: new Map(view.applied) },
        })),
      ]);
      expect(subject.store.id).not.toBe(old);
      expect(storeNameOf(subject.store.id)).toBe(STORE_NAME);
      expect(after.store).toBe(subject.store.id);
      expect(after.nextSequence).toBe(3);
      expect(after.applied).toEqual(
        new Map([
          [old, 2],
          [subject.store.id, 2],
        ]),
      );
      const { id } = subject.store;
      await subject.reopen();
      expect([subject.store.id, subject.store.isNew, subject.store.sequence]).toEqual([id, false, 3]);
      expect(subject.store.positions.get(old)?.applied).toBe(2);
    });

    it('forgets positions, durably', async () => {
      await subject.store.update([], () => ({
        writes: [],
        positions: new Map([[ORIGIN, position(3, 3)]]),
        result: null,
      }));
      await subject.store.forgetPositions();
      expect(subject.store.positions.size).toBe(0);
      await subject.reopen();
      expect(subject.store.positions.size).toBe(0);
    });

    it('keeps notes by name, the last text of each', async () => {
      expect(subject.store.note('a')).toBeUndefined();
      await Promise.all([
        subject.store.setNote('a', '1'),
        subject.store.setNote('b', '\u{1f600}'),
        subject.store.setNote('a', '2'),
      ]);
      await subject.reopen();
      expect([subject.store.note('a'), subject.store.note('b')]).toEqual(['2', '\u{1f600}']);
    });

    it('counts records, not writes', async () => {
      for (const name of ['a', 'b', 'a']) await put(subject.store, name, name);
      await remove(subject.store, 'b');
      const figures = await subject.store.figures();
      expect(figures.records).toBe(1);
      expect(figures.bytesUsed).toBeGreaterThan(0);
      expect(figures.bytesFree ?? 1).toBeGreaterThan(0);
    });
  });
}
