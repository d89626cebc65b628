import { NO_SEQUENCE } from '@meridian/core/ids';
import type { Decide, RecordWrite } from '@meridian/server/ports/store';
import { describe, expect, it } from 'vitest';
import {
  ALL,
  allChanges,
  append,
  bytes,
  FIRST,
  failureOf,
  key,
  LAST,
  MEBIBYTE,
  ORIGIN,
  OTHER_ORIGIN,
  position,
  put,
  remove,
  seen,
  text,
} from './moves.ts';
import type { StoreUnderTest } from './subject.ts';

/** Turns of read-modify-write: order, atomicity, failures. */
export function describeUpdating(subject: StoreUnderTest): void {
  describe('updating', () => {
    it('takes concurrent updates of one key one after another', async () => {
      const letters = 'abcdefghijklmnopqrstuvwxyz'.split('');
      const results = await Promise.all(letters.map((letter) => append(subject.store, 'k', letter)));
      expect(results).toEqual(letters.map((_, at) => letters.slice(0, at + 1).join('')));
      expect(text(await subject.store.get(key('k')))).toBe(letters.join(''));
      expect(await allChanges(subject.store)).toEqual([`k=${letters.join('')}@26`]);
    });

    it('gives each write the next sequence, in the order asked for', async () => {
      const sequences = await Promise.all(
        Array.from({ length: 300 }, (_, at) => put(subject.store, `k${at % 7}`, `${at}`)),
      );
      expect(sequences).toEqual(Array.from({ length: 300 }, (_, at) => at + 1));
      expect(subject.store.sequence).toBe(300);
      expect((await subject.store.changes(NO_SEQUENCE, ALL)).rows.map((row) => row.sequence)).toEqual([
        294, 295, 296, 297, 298, 299, 300,
      ]);
    });

    it('shows a decision its own state: id, next sequence, claims and positions', async () => {
      const views: unknown[] = [];
      const look: Decide<null> = (view) => {
        views.push([view.store, view.nextSequence, [...view.applied], view.position(ORIGIN)]);
        return { writes: [], result: null };
      };
      await Promise.all([
        subject.store.update([], look),
        put(subject.store, 'a', '1'),
        subject.store.update([], () => ({
          writes: [],
          positions: new Map([
            [ORIGIN, position(8, 5)],
            [OTHER_ORIGIN, position(2, 0)],
          ]),
          result: null,
        })),
        subject.store.update([], look),
      ]);
      expect(views).toEqual([
        [subject.store.id, 1, [], undefined],
        [
          subject.store.id,
          2,
          expect.arrayContaining([
            [subject.store.id, 1],
            [ORIGIN, 5],
          ]),
          position(8, 5),
        ],
      ]);
    });

    it('writes several keys at once, in their order', async () => {
      const names = ['x', 'y', 'z'].map(key);
      const result = await subject.store.update(names, (view) => ({
        writes: names.map((name) => ({ key: name, record: bytes(name) })),
        result: names.map((_, at) => view.record(at)),
      }));
      expect(result).toEqual([undefined, undefined, undefined]);
      expect(await allChanges(subject.store)).toEqual(['x=x@1', 'y=y@2', 'z=z@3']);
    });

    it('fails alone where a decision throws, and keeps nothing of it', async () => {
      const failure = new Error('no');
      const [before, failed, after] = await Promise.allSettled([
        append(subject.store, 'k', 'a'),
        subject.store.update([key('k')], (view) => {
          expect(text(view.record(0))).toBe('a');
          throw failure;
        }),
        append(subject.store, 'k', 'b'),
      ]);
      expect(before).toEqual({ status: 'fulfilled', value: 'a' });
      expect(failed).toEqual({ status: 'rejected', reason: failure });
      expect(after).toEqual({ status: 'fulfilled', value: 'ab' });
      expect(subject.store.sequence).toBe(2);
    });

    it.each<[string, RecordWrite[]]>([
      [
        'a key that was not asked for',
        [
          { key: key('k'), record: bytes('1') },
          { key: key('other'), record: bytes('1') },
        ],
      ],
      [
        'a key twice',
        [
          { key: key('k'), record: bytes('1') },
          { key: key('k'), record: bytes('2') },
        ],
      ],
    ])('fails a decision that writes %s, whole', async (_, writes) => {
      await put(subject.store, 'other', '0');
      expect(await failureOf(subject.store.update([key('k')], () => ({ writes, result: null })))).toBeInstanceOf(Error);
      expect(await allChanges(subject.store)).toEqual(['other=0@1']);
      expect(await put(subject.store, 'k', '1')).toBe(2);
    });

    it('removes a record with its row, without a sequence', async () => {
      await put(subject.store, 'a', '1');
      await put(subject.store, 'b', '2');
      await remove(subject.store, 'a');
      await remove(subject.store, 'never was');
      expect(await subject.store.get(key('a'))).toBeUndefined();
      expect(await allChanges(subject.store)).toEqual(['b=2@2']);
      expect(subject.store.sequence).toBe(2);
    });

    it('keeps only the last of what one tick did to a key', async () => {
      await put(subject.store, 'kept', '0');
      await Promise.all([
        put(subject.store, 'gone', '1'),
        remove(subject.store, 'gone'),
        remove(subject.store, 'kept'),
        put(subject.store, 'kept', '2'),
        put(subject.store, 'back', '3'),
        remove(subject.store, 'back'),
        put(subject.store, 'back', '4'),
      ]);
      await subject.reopen();
      expect(await allChanges(subject.store)).toEqual(['kept=2@3', 'back=4@5']);
      expect(await subject.store.get(key('gone'))).toBeUndefined();
    });

    it('stores positions with the records they speak of, or not at all', async () => {
      const failure = new Error('no');
      const update = subject.store.update([key('a')], () => ({
        writes: [{ key: key('a'), record: bytes('1') }],
        positions: new Map([[ORIGIN, position(1, 1)]]),
        result: null,
      }));
      expect(subject.store.positions.size).toBe(0);
      await update;
      expect([...subject.store.positions]).toEqual([[ORIGIN, position(1, 1)]]);
      const failed = subject.store.update([key('a')], () => {
        throw failure;
      });
      expect(await failureOf(failed)).toBe(failure);
      await subject.reopen();
      expect([...subject.store.positions]).toEqual([[ORIGIN, position(1, 1)]]);
      expect(text(await subject.store.get(key('a')))).toBe('1');
    });

    it('takes records of any size, 8 MiB too, and gives back the same bytes', async () => {
      const sizes = [0, 1, 7, 4096, 70_000, 8 * MEBIBYTE];
      const records = sizes.map((size) => Uint8Array.from({ length: size }, (_, at) => (at * 31 + size) & 0xff));
      await Promise.all(
        records.map((record, at) =>
          subject.store.update([key(`size${at}`)], () => ({
            writes: [{ key: key(`size${at}`), record }],
            result: null,
          })),
        ),
      );
      await subject.reopen();
      const found = await Promise.all(records.map((_, at) => subject.store.get(key(`size${at}`))));
      for (const [at, record] of records.entries()) {
        expect(Buffer.compare(found[at] as Uint8Array, record), `size ${record.length}`).toBe(0);
      }
    });

    it('hands out bytes that later reads and writes leave alone', async () => {
      await put(subject.store, 'a', 'first');
      await put(subject.store, 'b', 'other');
      const held = await subject.store.get(key('a'));
      const { rows } = await subject.store.scan(FIRST, LAST, ALL);
      await subject.store.get(key('b'));
      await put(subject.store, 'a', 'later');
      await Promise.all(Array.from({ length: 50 }, (_, at) => put(subject.store, `c${at}`, 'filler')));
      expect(text(held)).toBe('first');
      expect(seen(rows)).toEqual(['a=first@1', 'b=other@2']);
    });
  });
}
