import { compareKeys, NO_SEQUENCE } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { ALL, FIRST, key, LAST, MEBIBYTE, put, text } from './moves.ts';
import type { StoreUnderTest } from './subject.ts';

/** The order of keys. */
export function describeScanning(subject: StoreUnderTest): void {
  describe('scanning', () => {
    const odd = [
      'n\0',
      'n\0a',
      'n\0a\0b',
      'n\0a\u0001',
      'n\0\u007f',
      'n\0\u00e9',
      'n\0\u20ac',
      'n\0\uffee',
      'n\0\u{1f600}',
      'n\0\u{10fffd}',
      `n\0${'k'.repeat(1024)}`,
      `n\0${'\u00e9'.repeat(512)}`,
      `n\0${'\u{1f600}'.repeat(256)}`,
    ];

    it('keeps all sorts of keys apart, in the order of their UTF-8 bytes', async () => {
      await Promise.all([...odd].reverse().map((name) => put(subject.store, name, name)));
      const expected = odd.map(key).sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
      await subject.reopen();
      const page = await subject.store.scan(FIRST, LAST, ALL);
      expect(page.isComplete).toBe(true);
      expect(page.rows.map((row) => row.key)).toEqual(expected);
      expect(page.rows.map((row) => text(row.record))).toEqual(expected);
      expect(expected).toEqual([...expected].sort(compareKeys));
      for (const name of odd) expect(text(await subject.store.get(key(name)))).toBe(name);
      expect((await subject.store.changes(NO_SEQUENCE, ALL)).rows.map((row) => row.key)).toEqual([...odd].reverse());
    });

    it('takes its start in and leaves its end out', async () => {
      for (const name of ['a', 'b', 'ba', 'c']) await put(subject.store, name, name);
      const range = async (from: string, to: string) =>
        (await subject.store.scan(key(from), key(to), ALL)).rows.map((row) => row.key);
      expect(await range('a', 'c')).toEqual(['a', 'b', 'ba']);
      expect(await range('b', 'b\0')).toEqual(['b']);
      expect(await range('b', 'b')).toEqual([]);
      expect(await range('c', 'a')).toEqual([]);
      expect(await range('aa', 'bb')).toEqual(['b', 'ba']);
    });

    it('pages by rows and by bytes', async () => {
      for (const name of ['a', 'b', 'c']) await put(subject.store, name, name.repeat(100));
      const byRows = await subject.store.scan(FIRST, LAST, { rowsMax: 2, bytesMax: MEBIBYTE });
      expect([byRows.rows.length, byRows.isComplete]).toEqual([2, false]);
      const byBytes = await subject.store.scan(FIRST, LAST, { rowsMax: 10, bytesMax: 1 });
      expect([byBytes.rows.length, byBytes.isComplete]).toEqual([1, false]);
      const whole = await subject.store.scan(FIRST, LAST, { rowsMax: 3, bytesMax: MEBIBYTE });
      expect([whole.rows.length, whole.isComplete]).toEqual([3, true]);
    });
  });
}
