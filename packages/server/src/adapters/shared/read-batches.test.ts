import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { StoreFailedError } from '../../ports/store.ts';
import { ReadBatches } from './read-batches.ts';
import type { SharedRows } from './shared-database.ts';

const MIB = 1024 * 1024;
const LARGEST = new Uint8Array(8 * MIB);
const SMALL = new Uint8Array(100);
const MARK = { id: 'eu-1.0123456789abcdef' as StoreId, version: 0, turn: '' };

/** Reads of `record` under any key; `sizes`: how many keys each statement asked for. */
function setting() {
  const sizes: number[] = [];
  const next = { record: SMALL, failure: undefined as Error | undefined };
  const get = (keys: readonly RecordKey[]): Promise<SharedRows> => {
    sizes.push(keys.length);
    if (next.failure) return Promise.reject(next.failure);
    const rows = new Map(keys.map((key) => [key, { key, sequence: 1 as Sequence, record: next.record }]));
    return Promise.resolve({ ...MARK, hasSeen: true, rows });
  };
  const batches = new ReadBatches({
    database: { get },
    soon: (fire) => queueMicrotask(fire),
    seen: () => MARK,
    isSound: () => true,
  });
  /** What one tick asks for: how many keys each of its statements had. */
  const tick = async (count: number): Promise<readonly number[]> => {
    sizes.length = 0;
    await Promise.allSettled(Array.from({ length: count }, (_, at) => batches.read(`shop.1\0${at}` as RecordKey)));
    return [...sizes];
  };
  const warm = async (): Promise<void> => {
    for (let count = 0; count < 10; count++) await tick(256);
  };
  return { batches, next, sizes, tick, warm };
}

describe('the reads of one tick', () => {
  it('go in one statement where records are small', async () => {
    const { tick, warm } = setting();
    await warm();
    expect([await tick(64), await tick(300)]).toEqual([[64], [256, 44]]);
  });

  it('ask for few keys where records are large, and for many again once they are small', async () => {
    const { next, tick, warm } = setting();
    await warm();
    next.record = LARGEST;
    await tick(100);
    expect(Math.max(...(await tick(100)))).toBe(1);
    next.record = SMALL;
    await warm();
    expect(await tick(100)).toEqual([100]);
  });

  it('risk little at the start', async () => {
    const { next, tick } = setting();
    next.record = LARGEST;
    expect(Math.max(...(await tick(20)))).toBe(1);
  });

  it('ask for less and less at once where that does not come back: it may have been too large', async () => {
    const { next, tick, warm } = setting();
    await warm();
    next.failure = new StoreFailedError('the statement was given up');
    await tick(1);
    expect(await tick(256)).toEqual([256]);
    expect(await tick(256)).toEqual([64, 64, 64, 64]);
    await tick(256);
    await tick(256);
    expect(Math.max(...(await tick(256)))).toBe(1);
    next.failure = undefined;
    await warm();
    expect(await tick(256)).toEqual([256]);
  });

  it('ask once for a key that many ask for, however large its record', async () => {
    const { batches, next, sizes, tick } = setting();
    next.record = LARGEST;
    await tick(20);
    sizes.length = 0;
    const asked = Array.from({ length: 50 }, (_, at) => batches.read(`shop.1\0${at % 2}` as RecordKey));
    expect((await Promise.all(asked)).every((row) => row?.record === LARGEST)).toBe(true);
    expect(sizes).toEqual([1, 1]);
  });
});
