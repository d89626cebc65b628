import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
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

    const LOG = ['commits-0.log', 'commits-1.log'];
    const tampered = (
      files: readonly string[],
      calls: string,
      how: string,
      more: Partial<StoreProcessOptions> = {},
    ) => {
      const paths = files.flatMap((file) => ['-P', join(path, file)]);
      const inject = ['-e', `trace=${calls}`, '-e', `inject=${calls}:${how}`];
      return start({ ...more, under: ['strace', '-f', '-qq', '-o', '/dev/null', ...paths, ...inject] });
    };

    it('neither acknowledges nor shows a write whose sync is under way', async () => {
      const store = tampered(LOG, 'fdatasync', `delay_enter=${SYNC_DELAY_MS * 1000}`);
      expect(await store.opened).toBe('opened');
      const { value, tookMs } = await putUnderDelay(store);
      expect(value).toBe(1);
      expect(tookMs).toBeGreaterThan(SYNC_DELAY_MS - 1);
      expect((await store.ask({ do: 'look' })).value).toEqual({ sequence: 1, keys: ['a'], commits: [[0, 1, 'a']] });
    });

    it.each(['fdatasync', 'pwrite64'])(
      'keeps nothing of a commit whose %s failed, and goes on with the next',
      async (call) => {
        const store = tampered(LOG, call, 'error=EIO:when=3');
        expect(await outcomes(store)).toEqual([
          ['a', 1, 'a'],
          ['b', 2, 'b'],
          ['c', 'StoreFailedError', null],
          ['d', 3, 'd'],
          ['e', 4, 'e'],
        ]);
        await expectKept(store, ['a', 'b', 'd', 'e']);
      },
    );

    it('keeps nothing of a commit whose sync failed as the last thing before a crash', async () => {
      const store = tampered(LOG, 'fdatasync', 'error=EIO:when=3');
      expect(await store.opened).toBe('opened');
      for (const key of ['a', 'b', 'c']) await store.ask({ do: 'put', key, value: key });
      await expectKept(store, ['a', 'b']);
    });

    it('writes over what a failed commit left, also where that could not be taken back', async () => {
      // The fourth sync is that which takes the failed entry back.
      const store = tampered(LOG, 'fdatasync', 'error=EIO:when=3..6');
      expect(await outcomes(store)).toEqual([
        ['a', 1, 'a'],
        ['b', 2, 'b'],
        ['c', 'StoreFailedError', null],
        ['d', 'StoreFailedError', null],
        ['e', 3, 'e'],
      ]);
      await expectKept(store, ['a', 'b', 'e']);
    });

    // Its page writes are left alone: where one fails, LMDB can end the process while it words the error.
    it('loses nothing where the trees fail to take over from the log, and takes no more than memory shall hold', async () => {
      const limits = { rowsMax: 2, segmentBytes: 64 * 1024 };
      const store = tampered(['data.mdb'], 'fdatasync', 'error=EIO:when=1+', { limits });
      expect(await store.opened).toBe('opened');
      const kept: string[] = [];
      let refused = 0;
      for (let at = 0; at < 30; at++) {
        const key = `k${String(at).padStart(2, '0')}`;
        const { failure } = await store.ask({ do: 'put', key, value: key });
        if (failure === undefined) kept.push(key);
        else refused += 1;
        expect((await store.ask({ do: 'get', key: kept[0] as string })).value).toBe(kept[0]);
      }
      expect(kept.length).toBeGreaterThan(4);
      expect(refused).toBeGreaterThan(4);
      await expectKept(store, kept);
    });

    it('goes on by itself once the trees can be written again', async () => {
      const limits = { rowsMax: 2, segmentBytes: 64 * 1024 };
      const store = tampered(['data.mdb'], 'fdatasync', 'error=EIO:when=1..4', { limits });
      expect(await store.opened).toBe('opened');
      let last: unknown;
      for (let at = 0; at < 40; at++) last = (await store.ask({ do: 'put', key: `k${at}`, value: 'v' })).value;
      expect(last).toBeGreaterThan(20);
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
  });

  it('has every acknowledged write after a kill in the middle of a load, each whole', async () => {
    for (let round = 0; round < 4; round++) {
      // Also where the log turns, and the trees are in the middle of a segment, many times a second.
      const store = start(round % 2 === 0 ? {} : { limits: { rowsMax: 300, segmentBytes: 64 * 1024 } });
      expect(await store.opened).toBe('opened');
      void store.ask({ do: 'load', prefix: `${round}`, inFlight: 64 }).catch(() => undefined);
      while (store.acknowledged.length < 2_000) await sleep(5);
      await store.kill();
    }
    const reopened = await open();
    const acknowledged = processes.flatMap((one) => one.acknowledged);
    expect(acknowledged.length).toBeGreaterThanOrEqual(8_000);
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

  describe('on a disk of 64 MiB', () => {
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
      const script = `mount -t tmpfs -o size=64m tmpfs "$0" && head -c ${fillBytes} /dev/zero > "$0/filler" && exec "$@"`;
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
      const kept: string[] = [];
      for (let at = 1; at <= 8; at++) {
        const { failure } = await store.ask({ do: 'put', key: `big${at}`, value: big });
        if (failure === undefined) kept.push(`big${at}`);
        else expect(failure).toBe('StoreFullError');
      }
      expect(kept.length).toBeGreaterThan(1);
      expect(kept.length).toBeLessThan(8);
      for (const key of kept) expect((await store.ask({ do: 'get', key })).value).toBe(big);
      expect((await store.ask({ do: 'put', key: 'small', value: '1' })).value).toBe(kept.length + 1);
      expect(await store.ask({ do: 'look' })).toMatchObject({ value: { keys: [...kept, 'small'] } });
    });

    it('is not opened at all where the disk is all but full, and says so in one line', async () => {
      expect(await onSmallDisk(63.5 * MEBIBYTE).opened).toMatch(/^the disk of .+ too few to open a store on it$/);
    });
  });
});
