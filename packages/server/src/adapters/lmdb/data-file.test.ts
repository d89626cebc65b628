import { mkdtemp, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordKey, Sequence } from '@meridian/core/ids';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkDataFile } from './data-file.ts';
import { Database } from './database.ts';

describe('a data file', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'meridian-data-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const rowsOf = (count: number) =>
    Array.from({ length: count }, (_none, at) => ({
      key: `k${at}` as RecordKey,
      sequence: (at + 1) as Sequence,
      record: new Uint8Array(1_000),
    }));

  it.each([100, 300, 1_000])(
    'is whole after %i rows are removed at once, though LMDB writes none of the pages that it took and gave back',
    async (count) => {
      const database = new Database(folder);
      const rows = rowsOf(count);
      await database.commit({ rows, removed: [], staleRows: [] });
      await database.commit({ rows: [], removed: rows.map(({ key }) => key), staleRows: [] });
      expect(await checkDataFile(folder)).toBe(true);
      await database.close();
    },
  );

  it('is refused where it misses its last page', async () => {
    const database = new Database(folder);
    await database.commit({ rows: rowsOf(10), removed: [], staleRows: [] });
    const { bytesUsed } = database.figures();
    await database.close();
    await truncate(join(folder, 'data.mdb'), bytesUsed);
    expect(await checkDataFile(folder)).toBe(true);
    await truncate(join(folder, 'data.mdb'), bytesUsed - 1);
    await expect(checkDataFile(folder)).rejects.toMatchObject({ problem: 'UNREADABLE' });
  });

  it('takes no more of the disk than it has pages', async () => {
    const database = new Database(folder);
    await database.commit({ rows: rowsOf(10), removed: [], staleRows: [] });
    const { blocks } = await stat(join(folder, 'data.mdb'));
    expect(blocks * 512).toBeLessThan(1024 * 1024);
    await database.close();
  });
});
