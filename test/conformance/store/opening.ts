import { storeNameOf } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { allChanges, failureOf, key, ORIGIN, position, put, remove, text } from './moves.ts';
import { STORE_NAME, type StoreCapabilities, type StoreUnderTest } from './subject.ts';

/** What outlives a process. */
export function describeOpening(subject: StoreUnderTest, capabilities: StoreCapabilities): void {
  describe('from one opening to the next', () => {
    it('is new once, empty, and named after its place on the ring', async () => {
      expect(subject.store.isNew).toBe(true);
      expect(subject.store.sequence).toBe(0);
      expect(storeNameOf(subject.store.id)).toBe(STORE_NAME);
      expect(subject.store.positions.size).toBe(0);
      const { id } = subject.store;
      await subject.reopen();
      expect(subject.store.isNew).toBe(false);
      expect(subject.store.id).toBe(id);
    });

    it('keeps records, sequence, positions and notes', async () => {
      await put(subject.store, 'a', '1');
      await put(subject.store, 'b', '2');
      await put(subject.store, 'a', '3');
      await remove(subject.store, 'b');
      await subject.store.setNote('layout', '{"version":7}');
      await subject.store.update([], () => ({
        writes: [],
        positions: new Map([[ORIGIN, position(9, 4, true)]]),
        result: null,
      }));
      await subject.reopen();
      expect(await allChanges(subject.store)).toEqual(['a=3@3']);
      expect(text(await subject.store.get(key('a')))).toBe('3');
      expect(await subject.store.get(key('b'))).toBeUndefined();
      expect(subject.store.sequence).toBe(3);
      expect(subject.store.note('layout')).toBe('{"version":7}');
      expect([...subject.store.positions]).toEqual([[ORIGIN, position(9, 4, true)]]);
    });

    it('never gives a sequence to two writes', async () => {
      const first = await put(subject.store, 'a', '1');
      await remove(subject.store, 'a');
      await subject.reopen();
      expect(await put(subject.store, 'a', '1')).toBe(first + 1);
    });

    it.runIf(capabilities.isExclusive)('refuses to be opened twice at once', async () => {
      expect(await failureOf(subject.medium.open())).toMatchObject({ name: 'StoreOpenError', problem: 'IN_USE' });
      expect(await put(subject.store, 'a', 'still works')).toBe(1);
    });
  });
}
