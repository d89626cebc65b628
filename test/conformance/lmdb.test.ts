import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordKey, StoreName } from '@meridian/core/ids';
import { openLmdbStore } from '@meridian/server/adapters/lmdb/lmdb-store';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../support/system-random.ts';
import { describeStore, STORE_NAME } from './store.ts';

const temporaryFolder = () => mkdtemp(join(tmpdir(), 'meridian-lmdb-'));

describeStore(
  'lmdb',
  async () => {
    const path = await temporaryFolder();
    return {
      open: () => openLmdbStore({ path, storeName: STORE_NAME, random: systemRandom }),
      dispose: () => rm(path, { recursive: true, force: true }),
    };
  },
  { isExclusive: true, propertyRuns: 25 },
);

describeStore(
  'lmdb whose log turns every few rows',
  async () => {
    const path = await temporaryFolder();
    const limits = { rowsMax: 3, segmentBytes: 8 * 1024 };
    return {
      open: () => openLmdbStore({ path, storeName: STORE_NAME, random: systemRandom, limits }),
      dispose: () => rm(path, { recursive: true, force: true }),
    };
  },
  { isExclusive: true, propertyRuns: 25 },
);

describe('opening an lmdb store', () => {
  let folder: string;
  const open = (path: string, storeName = STORE_NAME) => openLmdbStore({ path, storeName, random: systemRandom });

  beforeEach(async () => {
    folder = await temporaryFolder();
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('makes the folders it needs, also where a name has a dot', async () => {
    const path = join(folder, 'a', 'us-1.data');
    const store = await open(path);
    expect(store.isNew).toBe(true);
    await store.close();
    const again = await open(path);
    expect(again.isNew).toBe(false);
    await again.close();
  });

  it('refuses a path that is a file', async () => {
    const path = join(folder, 'file');
    await writeFile(path, 'text');
    await expect(open(path)).rejects.toMatchObject({
      problem: 'NOT_A_DIRECTORY',
      message: expect.stringContaining(path),
    });
    await expect(open(join(path, 'below'))).rejects.toMatchObject({ problem: 'NOT_A_DIRECTORY' });
    // Where the system lets nobody make anything.
    await expect(open('/proc/none/store')).rejects.toMatchObject({ problem: 'NOT_WRITABLE' });
  });

  it('refuses the data of another store, and leaves it alone', async () => {
    await (await open(folder)).close();
    await expect(open(folder, 'eu-1' as StoreName)).rejects.toMatchObject({
      problem: 'OTHER_STORE',
      message: expect.stringMatching(/belongs to the store us-1, not to eu-1$/),
    });
    const store = await open(folder);
    expect(store.isNew).toBe(false);
    await store.close();
  });

  it.each([0, 'x'])('refuses a data file filled with %j', async (filling) => {
    await writeFile(join(folder, 'data.mdb'), Buffer.alloc(64 * 1024, filling));
    await expect(open(folder)).rejects.toMatchObject({ problem: 'UNREADABLE' });
  });

  it.each([1, 100, 4096, 8192, 12_288])('refuses a data file of which only %i bytes are left', async (size) => {
    await (await open(folder)).close();
    await truncate(join(folder, 'data.mdb'), size);
    await expect(open(folder)).rejects.toMatchObject({ problem: 'UNREADABLE' });
  });

  it('starts anew on an empty data file, as a crash in its making leaves', async () => {
    await writeFile(join(folder, 'data.mdb'), '');
    const store = await open(folder);
    expect(store.isNew).toBe(true);
    await store.close();
  });

  it('refuses keys that LMDB cannot hold, alone', async () => {
    const store = await open(folder);
    const write = (key: string) =>
      store.update([key as RecordKey], () => ({
        writes: [{ key: key as RecordKey, record: new Uint8Array(3) }],
        result: 'written',
      }));
    const results = await Promise.allSettled([write('a'), write('\u20ac'.repeat(660)), write(''), write('b')]);
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(store.sequence).toBe(2);
    await store.close();
  });
});
