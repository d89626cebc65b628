import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_SEQUENCE, type RecordKey, type StoreName } from '@meridian/core/ids';
import { openLmdbStore } from '@meridian/server/adapters/lmdb/lmdb-store';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type StoreAnswer, StoreProcess, type StoreProcessOptions } from '../support/store-process.ts';
import { requireSystemPackage } from '../support/system-package.ts';
import { systemRandom } from '../support/system-random.ts';

const SYNC_DELAY_MS = 400;
const MEBIBYTE = 1024 * 1024;
const KEYS = ['a', 'b', 'c', 'd', 'e'];

describe('an lmdb store in a process of its own', () => {
  let folder: string;
  let path: string;
  let processes: StoreProcess[];

  const start = (options: Partial<StoreProcessOptions> = {}) => {
    const started = new StoreProcess({ path, ...options });
    processes.push(started);
    return started;
  };
  const open = () => openLmdbStore({ path, storeName: 'us-1' as StoreName, random: systemRandom, reserveBytes: 0 });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'meridian-durability-'));
    path = join(folder, 'store');
    processes = [];
    // Made beforehand, so that a traced process writes nothing but what its test asks for.
    await (await open()).close();
  });

  afterEach(async () => {
    for (const one of processes) await one.kill();
    await rm(folder, { recursive: true, force: true });
  });

  describe('under a tracer that gets between it and the disk', () => {
    beforeAll(() => requireSystemPackage('strace'));

    const traced = (calls: string, more: readonly string[]) => {
      const strace = ['strace', '-f', '-qq', '-P', join(path, 'data.mdb'), '-e', `trace=${calls}`, ...more];
      return start({ under: strace });
    };
    const tampered = (calls: string, how: string) => traced(calls, ['-o', '/dev/null', '-e', `inject=${calls}:${how}`]);

    it('neither acknowledges nor shows a write whose sync is under way', async () => {
      const store = tampered('fdatasync', `delay_enter=${SYNC_DELAY_MS * 1000}`);
      expect(await store.opened).toBe('opened');
      const { value, tookMs } = await putUnderDelay(store);
      expect(value).toBe(1);
      expect(tookMs).toBeGreaterThan(SYNC_DELAY_MS - 1);
      expect((await store.ask({ do: 'look' })).value).toEqual({ sequence: 1, keys: ['a'], commits: [[0, 1, 'a']] });
    });

    it('neither acknowledges nor shows a write whose last page is handed over and not yet on disk', async () => {
      // LMDB makes a commit valid by a write that returns once it is on disk: the descriptor was opened with O_DSYNC.
      const store = tampered('pwrite64', `delay_exit=${SYNC_DELAY_MS * 1000}`);
      expect(await store.opened).toBe('opened');
      expect((await putUnderDelay(store)).tookMs).toBeGreaterThan(SYNC_DELAY_MS - 1);
      expect((await store.ask({ do: 'look' })).value).toEqual({ sequence: 1, keys: ['a'], commits: [[0, 1, 'a']] });
    });

    it('keeps nothing of commits whose sync failed, and goes on with the next', async () => {
      const store = tampered('fdatasync', 'error=EIO:when=3..4');
      expect(await outcomes(store)).toEqual([
        ['a', 1, 'a'],
        ['b', 2, 'b'],
        ['c', 'StoreFailedError', null],
        ['d', 'StoreFailedError', null],
        ['e', 3, 'e'],
      ]);
      await expectKept(store, ['a', 'b', 'e']);
    });

    it('keeps nothing of a commit whose last page could not be written, and goes on with the next', async () => {
      const when = await countOfLastPageWrite(3);
      const store = tampered('pwrite64', `error=EIO:when=${when}`);
      expect(await outcomes(store)).toEqual([
        ['a', 1, 'a'],
        ['b', 2, 'b'],
        ['c', 'StoreFailedError', null],
        ['d', 3, 'd'],
        ['e', 4, 'e'],
      ]);
      await expectKept(store, ['a', 'b', 'd', 'e']);
    });

    /** Puts `a`, looks at the store until it may be durable, and waits for the acknowledgement. */
    async function putUnderDelay(store: StoreProcess): Promise<StoreAnswer> {
      const startMs = performance.now();
      const update = store.ask({ do: 'put', key: 'a', value: '1' });
      let looks = 0;
      for (; ; looks++) {
        const { value } = await store.ask({ do: 'look' });
        if (performance.now() - startMs >= SYNC_DELAY_MS) break;
        expect(value).toEqual({ sequence: 0, keys: [], commits: [] });
        await sleep(SYNC_DELAY_MS / 20);
      }
      expect(looks).toBeGreaterThan(3);
      return update;
    }

    async function outcomes(store: StoreProcess): Promise<unknown[]> {
      expect(await store.opened).toBe('opened');
      const seen: unknown[] = [];
      for (const key of KEYS) {
        const put = await store.ask({ do: 'put', key, value: key });
        const get = await store.ask({ do: 'get', key });
        seen.push([key, put.failure ?? put.value, get.value]);
      }
      return seen;
    }

    /** Now, and after the process was killed and the store opened by another. */
    async function expectKept(store: StoreProcess, kept: readonly string[]): Promise<void> {
      expect((await store.ask({ do: 'look' })).value).toMatchObject({ sequence: kept.length, keys: kept });
      await store.kill();
      const reopened = await open();
      const { rows } = await reopened.changes(NO_SEQUENCE, { rowsMax: 100, bytesMax: MEBIBYTE });
      expect(rows.map((row) => row.key)).toEqual(kept);
      expect(reopened.sequence).toBe(kept.length);
      await reopened.close();
    }

    /** Which of the writing thread's page writes ends a commit, found on a copy: the same writes take the same pages. */
    async function countOfLastPageWrite(commit: number): Promise<number> {
      const original = join(folder, 'original');
      const log = join(folder, 'writes');
      await cp(path, original, { recursive: true });
      const store = traced('pwrite64', ['-o', log]);
      await outcomes(store);
      await store.stop();
      await rm(path, { recursive: true });
      await cp(original, path, { recursive: true });
      const writes = (await readFile(log, 'utf8')).split('\n').filter((line) => line.includes('pwrite64('));
      const ends = writes.flatMap((line, at) => (/, 128, \d+\) = 128$/.test(line) ? [at + 1] : []));
      expect(ends).toHaveLength(KEYS.length);
      return ends[commit - 1] as number;
    }
  });

  it('has every acknowledged write after a kill in the middle of a load, each whole', async () => {
    for (let round = 0; round < 3; round++) {
      const store = start();
      expect(await store.opened).toBe('opened');
      void store.ask({ do: 'load', prefix: `${round}`, inFlight: 64 }).catch(() => undefined);
      while (store.acknowledged.length < 2_000) await sleep(5);
      await store.kill();
    }
    const reopened = await open();
    const acknowledged = processes.flatMap((one) => one.acknowledged);
    expect(acknowledged.length).toBeGreaterThanOrEqual(6_000);
    for (const key of acknowledged) {
      const record = await reopened.get(key as RecordKey);
      expect(record && Buffer.from(record).toString()).toBe(key.repeat(20));
    }
    const { rows } = await reopened.changes(NO_SEQUENCE, { rowsMax: 1_000_000, bytesMax: 1_000 * MEBIBYTE });
    expect(rows.length).toBe((await reopened.figures()).records);
    expect(rows.at(-1)?.sequence).toBe(reopened.sequence);
    await reopened.close();
  });

  it('keeps a second process out with one line, until it is gone', async () => {
    const first = start();
    expect(await first.opened).toBe('opened');
    expect(await start().opened).toBe(`the store at ${path} is in use by another process`);
    expect((await first.ask({ do: 'put', key: 'a', value: '1' })).value).toBe(1);
    await first.kill();
    const next = start();
    expect(await next.opened).toBe('opened');
    expect((await next.ask({ do: 'get', key: 'a' })).value).toBe('1');
  });

  describe('on a disk of 24 MiB', () => {
    const RESERVE_BYTES = 4 * MEBIBYTE;
    let disk: string;

    beforeEach(async () => {
      requireSystemPackage('unshare');
      disk = join(folder, 'disk');
      path = join(disk, 'store');
      await mkdir(disk);
    });

    /** In a mount namespace of its own, so that nothing is left mounted, whatever becomes of the test. */
    const onSmallDisk = (fillBytes = 0) => {
      const namespace = process.getuid?.() === 0 ? ['--mount'] : ['--user', '--map-root-user', '--mount'];
      const script = `mount -t tmpfs -o size=24m tmpfs "$0" && head -c ${fillBytes} /dev/zero > "$0/filler" && exec "$@"`;
      expect(spawnSync('unshare', [...namespace, 'true']).status, 'mount namespaces are allowed').toBe(0);
      return start({ reserveBytes: RESERVE_BYTES, under: ['unshare', ...namespace, 'sh', '-c', script, disk] });
    };

    it('refuses writes while there is too little room, reads on, and takes writes once there is room', async () => {
      const store = onSmallDisk();
      expect(await store.opened).toBe('opened');
      expect((await store.ask({ do: 'put', key: 'a', value: '1' })).value).toBe(1);
      const filler = join(disk, 'filler');
      await store.ask({ do: 'fill', path: filler, leaveBytes: RESERVE_BYTES / 2 });
      expect(await store.ask({ do: 'put', key: 'b', value: '2' })).toMatchObject({ failure: 'StoreFullError' });
      expect(await store.ask({ do: 'put', key: 'a', value: '2' })).toMatchObject({ failure: 'StoreFullError' });
      expect((await store.ask({ do: 'get', key: 'a' })).value).toBe('1');
      expect((await store.ask({ do: 'look' })).value).toEqual({ sequence: 1, keys: ['a'], commits: [[0, 1, 'a']] });
      await store.ask({ do: 'remove', path: filler });
      expect((await store.ask({ do: 'put', key: 'b', value: '3' })).value).toBe(2);
    });

    it('refuses the value that does not fit, and takes the smaller one after it', async () => {
      const store = onSmallDisk();
      expect(await store.opened).toBe('opened');
      const big = 'x'.repeat(8 * MEBIBYTE);
      expect((await store.ask({ do: 'put', key: 'big1', value: big })).value).toBe(1);
      expect(await store.ask({ do: 'put', key: 'big2', value: big })).toMatchObject({ value: 2 });
      expect(await store.ask({ do: 'put', key: 'big3', value: big })).toMatchObject({ failure: 'StoreFullError' });
      expect((await store.ask({ do: 'get', key: 'big1' })).value).toBe(big);
      expect(await store.ask({ do: 'look' })).toMatchObject({ value: { sequence: 2, keys: ['big1', 'big2'] } });
    });

    it('is not opened at all where the disk is all but full, and says so in one line', async () => {
      expect(await onSmallDisk(23.5 * MEBIBYTE).opened).toMatch(/^the disk of .+ too few to open a store on it$/);
    });
  });
});
