import { cp, mkdir, mkdtemp, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordKey, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Store } from '../../ports/store.ts';
import { systemRandom } from '../system/system-random.ts';
import { CommitLog } from './commit-log.ts';
import { Database } from './database.ts';
import { type LmdbStoreOptions, openLmdbStore } from './lmdb-store.ts';
import { LogEntryWriter } from './log-entry.ts';
import type { TurnLimits } from './logged-database.ts';

/** What the syncs to come fail with, one after another; `undefined` for one that does not. */
const failures: (string | undefined)[] = [];
/** Whether plain writes fail; those of long commits go another way. */
const writes = { failing: false };
/** Free bytes that the disk claims; `undefined` where it tells the truth. */
const disk: { free: number | undefined } = { free: undefined };

/** Folders that were synced. */
const synced: unknown[] = [];

vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof import('node:fs/promises')>();
  const open: typeof fs.open = async (path, ...more) => {
    const handle = await fs.open(path, ...more);
    if ((await handle.stat()).isDirectory()) {
      vi.spyOn(handle, 'sync').mockImplementation(async () => {
        await handle.datasync();
        synced.push(path);
      });
    }
    return handle;
  };
  return { ...fs, default: fs, open };
});

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const fdatasync: typeof fs.fdatasync = ((fd: number, done: (error: Error | null) => void) => {
    const code = failures.shift();
    if (code === undefined) fs.fdatasync(fd, done);
    else setImmediate(() => done(Object.assign(new Error(code), { code })));
  }) as typeof fs.fdatasync;
  const writeSync: typeof fs.writeSync = ((...call: Parameters<typeof fs.writeSync>) => {
    if (writes.failing) throw Object.assign(new Error('EIO'), { code: 'EIO' });
    return fs.writeSync(...call);
  }) as typeof fs.writeSync;
  const statfsSync = (path: string) => {
    const real = fs.statfsSync(path);
    return disk.free === undefined ? real : Object.assign(real, { bsize: 1, bavail: disk.free });
  };
  return { ...fs, default: fs, fdatasync, writeSync, statfsSync };
});

const MEBIBYTE = 1024 * 1024;
const START = { sequence: 0 as Sequence, positions: new Map(), notes: new Map() };
const SMALL: TurnLimits = { rowsMax: 1_000, segmentBytes: 64 * 1024 };

describe('an lmdb store', () => {
  let folder: string;
  let path: string;
  const open = (more: Partial<LmdbStoreOptions> = {}) =>
    openLmdbStore({
      path,
      storeName: 'us-1' as StoreName,
      random: systemRandom,
      reserveBytes: 0,
      limits: SMALL,
      ...more,
    });
  const put = (store: Store, name: string, bytes = 20) => {
    const key = name as RecordKey;
    return store.update([key], ({ nextSequence }) => ({
      writes: [{ key, record: new Uint8Array(bytes) }],
      result: nextSequence,
    }));
  };

  beforeEach(async () => {
    failures.length = 0;
    writes.failing = false;
    disk.free = undefined;
    folder = await mkdtemp(join(tmpdir(), 'meridian-store-'));
    path = join(folder, 'store');
  });
  afterEach(() => vi.restoreAllMocks());
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('says of a commit that could not be taken back that it is in doubt, also where the disk is full', async () => {
    const store = await open();
    failures.push('ENOSPC', 'ENOSPC');
    await expect(put(store, 'a')).rejects.toMatchObject({ name: 'StoreFailedError', isDoubtful: true });
    failures.push('ENOSPC');
    await store.close();
  });

  it('calls a disk full that could not take a commit, where nothing of it is left', async () => {
    const store = await open();
    failures.push('ENOSPC');
    await expect(put(store, 'a')).rejects.toMatchObject({ name: 'StoreFullError' });
    await store.close();
  });

  it('fails writes as a store does where its folder was moved away, and takes them once it is back', async () => {
    const store = await open();
    await rename(path, join(folder, 'elsewhere'));
    await expect(put(store, 'a')).rejects.toMatchObject({ name: 'StoreFailedError', isDoubtful: false });
    await rename(join(folder, 'elsewhere'), path);
    expect(await put(store, 'a')).toBe(1);
    await store.close();
  });

  it('takes writes as long as there is room, however many rows the trees have still to take', async () => {
    // Room for some thousand rows by the most that each may take; on the disk they take next to nothing.
    disk.free = 128 * MEBIBYTE;
    const limits = { rowsMax: 1_000_000, segmentBytes: 8 * MEBIBYTE };
    const store = await open({ reserveBytes: 64 * MEBIBYTE, limits });
    for (let round = 0; round < 12; round++)
      await Promise.all(Array.from({ length: 1_000 }, (_none, at) => put(store, `k${at}`)));
    expect(store.sequence).toBe(12_000);
    disk.free = 64 * MEBIBYTE;
    await expect(put(store, 'a')).rejects.toMatchObject({ name: 'StoreFullError' });
    await store.close();
  });

  it('writes nothing into the trees that the disk may not hold, nor takes the room that an opening needs', async () => {
    const store = await open();
    for (let at = 0; at < 10; at++) await put(store, `k${at}`);
    const commit = vi.spyOn(Database.prototype, 'commit');
    disk.free = 1.1 * MEBIBYTE;
    await store.close();
    await expect(open()).rejects.toMatchObject({
      problem: 'NO_SPACE',
      message: expect.stringMatching(/^the store at .+ cannot be opened: .+ too little room/) as string,
    });
    expect(commit).not.toHaveBeenCalled();
    disk.free = 2 * MEBIBYTE;
    const again = await open();
    expect((await again.figures()).records).toBe(10);
    await again.close();
  });

  it('syncs every folder that names one which was made for it', async () => {
    path = join(folder, 'a', 'b', 'store');
    synced.length = 0;
    await (await open()).close();
    expect(synced).toEqual([path, join(folder, 'a', 'b'), join(folder, 'a'), folder]);
    await rm(path, { recursive: true });
    synced.length = 0;
    await (await open()).close();
    expect(synced).toEqual([path, join(folder, 'a', 'b')]);
  });

  it('opens after a crash in the first append behind a clean stop, whatever a failed commit had left', async () => {
    const store = await open();
    await put(store, 'a');
    failures.push('EIO');
    writes.failing = true;
    await expect(put(store, 'b', 300 * 1024)).rejects.toMatchObject({ isDoubtful: true });
    writes.failing = false;
    await store.close();
    await writeFile(join(path, 'commits-0.log'), Buffer.alloc(512, 'torn'), { flag: 'r+' });
    const again = await open();
    expect(again.sequence).toBe(1);
    await again.close();
  });

  it('leaves a commit that cannot be taken back to the next opening, and lets nothing else take its number', async () => {
    const store = await open();
    await put(store, 'a');
    failures.push('EIO');
    writes.failing = true;
    await expect(put(store, 'b', 300 * 1024)).rejects.toMatchObject({ isDoubtful: true });
    await store.close();
    writes.failing = false;
    const again = await open();
    expect(again.sequence).toBe(2);
    expect(await again.get('b' as RecordKey)).toHaveLength(300 * 1024);
    await again.close();
  });

  it('never takes an empty database for its own where its folder is gone as the trees fail', async () => {
    const errors: unknown[] = [];
    const store = await open({ limits: { ...SMALL, rowsMax: 2 }, onError: (error) => errors.push(error) });
    const commit = vi.spyOn(Database.prototype, 'commit');
    await put(store, 'a');
    await put(store, 'b');
    // Their batch, and then the state.
    await vi.waitFor(() =>
      expect(commit.mock.settledResults.filter(({ type }) => type === 'fulfilled')).toHaveLength(2),
    );
    commit.mockImplementationOnce(async () => {
      await rename(path, join(folder, 'elsewhere'));
      throw new Error('the disk failed');
    });
    vi.spyOn(Database.prototype, 'isUsable', 'get').mockReturnValueOnce(false);
    await put(store, 'c');
    await put(store, 'd');
    await vi.waitFor(() => expect(errors).toHaveLength(2));
    await expect(store.get('a' as RecordKey)).rejects.toMatchObject({ name: 'StoreFailedError' });
    expect(await store.get('c' as RecordKey)).toHaveLength(20);
    await rename(join(folder, 'elsewhere'), path);
    await vi.waitFor(async () => expect(await store.get('a' as RecordKey)).toHaveLength(20));
    await put(store, 'e');
    await put(store, 'f');
    const { rows } = await store.changes(0 as Sequence, { rowsMax: 100, bytesMax: MEBIBYTE });
    expect(rows.map(({ key }) => key).join('')).toBe('abcdef');
    await store.close();
  });

  it('fails a read that comes while the trees are being closed, and nothing else', async () => {
    const store = await open({ limits: { ...SMALL, rowsMax: 2 } });
    await put(store, 'a');
    const { close, commit } = Object.getOwnPropertyDescriptors(Database.prototype);
    const failures: Promise<unknown>[] = [];
    vi.spyOn(Database.prototype, 'close').mockImplementationOnce(function (this: Database) {
      const closed = close.value?.call(this) as Promise<void>;
      for (const read of [store.get('absent' as RecordKey), store.figures()])
        failures.push(read.catch(({ name }: Error) => name));
      return closed;
    });
    vi.spyOn(Database.prototype, 'commit').mockImplementationOnce(async function (this: Database, batch) {
      await commit.value?.call(this, batch);
      throw new Error('the disk failed');
    });
    vi.spyOn(Database.prototype, 'isUsable', 'get').mockReturnValueOnce(false);
    await put(store, 'b');
    await vi.waitFor(() => expect(failures).toHaveLength(2));
    expect(await Promise.all(failures)).toEqual(['StoreFailedError', 'StoreFailedError']);
    await vi.waitFor(async () => expect(await store.get('absent' as RecordKey)).toBeUndefined());
    await store.close();
  });

  it('says where it cannot be made, and can be made later', async () => {
    vi.spyOn(Database.prototype, 'putHead').mockImplementationOnce(() => {
      throw new Error('Input/output error');
    });
    await expect(open()).rejects.toMatchObject({
      problem: 'NOT_WRITABLE',
      message: `no store can be made at ${path} (Input/output error)`,
    });
    const store = await open();
    expect(store.isNew).toBe(true);
    await store.close();
  });

  it('is not made anew over a log whose data file is gone', async () => {
    const store = await open();
    await put(store, 'a');
    await store.close();
    await unlink(join(path, 'data.mdb'));
    await expect(open()).rejects.toMatchObject({
      problem: 'UNREADABLE',
      message: expect.stringContaining('data.mdb') as string,
    });
    await expect(open()).rejects.toMatchObject({ problem: 'UNREADABLE' });
  });

  it('takes over a store whose log has no salt yet, and gives it one', async () => {
    await mkdir(path);
    const state = { ...START, id: 'us-1.abc' as StoreId };
    const database = new Database(path);
    database.putHead(state, 0, undefined);
    const log = await CommitLog.create(path, SMALL.segmentBytes, 0);
    const rows = [
      { key: 'a' as RecordKey, sequence: 1 as Sequence, record: new Uint8Array(20), replaces: 0 as Sequence },
    ];
    const after = { ...state, sequence: 1 as Sequence };
    await log.append(new LogEntryWriter(0).encode(1, { before: state, after, rows, removed: [] }));
    await log.close();
    await database.close();
    const store = await open();
    expect(await store.get('a' as RecordKey)).toHaveLength(20);
    await put(store, 'b');
    // As a crash leaves it: what is in the log is not in the trees.
    await cp(path, join(folder, 'crashed'), { recursive: true });
    await store.close();
    path = join(folder, 'crashed');
    const again = await open();
    expect(again.id).toBe('us-1.abc');
    expect(again.sequence).toBe(2);
    expect(await again.get('b' as RecordKey)).toHaveLength(20);
    await again.close();
    const kept = new Database(path);
    expect(kept.state()?.logSalt).toBeGreaterThan(0);
    await kept.close();
  });

  it.each([0, 512, SMALL.segmentBytes - 1])('refuses to open where %i bytes are left of its log', async (left) => {
    const store = await open();
    await put(store, 'a');
    await put(store, 'b');
    await cp(path, join(folder, 'crashed'), { recursive: true });
    await store.close();
    path = join(folder, 'crashed');
    await truncate(join(path, 'commits-0.log'), left);
    await expect(open()).rejects.toMatchObject({
      problem: 'UNREADABLE',
      message: expect.stringContaining(`commits-0.log has ${left} bytes of the ${SMALL.segmentBytes}`) as string,
    });
  });

  it('is opened with longer and with shorter turns than it was made with', async () => {
    for (const segmentBytes of [SMALL.segmentBytes / 4, SMALL.segmentBytes * 4, SMALL.segmentBytes]) {
      const store = await open({ limits: { rowsMax: 4, segmentBytes } });
      for (let at = 0; at < 10; at++) await put(store, `${segmentBytes}-${at}`, 3_000);
      await store.close();
    }
    const store = await open();
    expect(store.sequence).toBe(30);
    await store.close();
  });

  it('says which file it cannot lock', async () => {
    await (await open()).close();
    await writeFile(join(path, 'owner.lock'), Buffer.alloc(8_192, 'x'));
    await expect(open()).rejects.toMatchObject({
      name: 'StoreOpenError',
      message: expect.stringContaining('owner.lock') as string,
    });
  });
});
