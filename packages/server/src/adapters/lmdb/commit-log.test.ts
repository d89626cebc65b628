import { constants } from 'node:fs';
import { copyFile, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FlushChanges, StoreState } from '../flush.ts';
import { CommitLog } from './commit-log.ts';
import { type LogEntry, LogEntryWriter, SECTOR_BYTES, stateAfter } from './log-entry.ts';

const SEGMENT_BYTES = 32 * 1024;
const SALT = 0xfeed_beef;
const FIRST = 'commits-0.log';
const SECOND = 'commits-1.log';
const START: StoreState = {
  id: 'us-1.a' as StoreId,
  sequence: 0 as Sequence,
  positions: new Map(),
  notes: new Map(),
};

describe('a commit log', () => {
  let folder: string;
  const writer = new LogEntryWriter(SALT);

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'meridian-log-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const changesOf = (sequence: number, recordBytes = 20): FlushChanges => ({
    before: { ...START, sequence: (sequence - 1) as Sequence },
    after: { ...START, sequence: sequence as Sequence },
    rows: [
      {
        key: `n.1\0k${sequence}` as RecordKey,
        sequence: sequence as Sequence,
        record: new Uint8Array(recordBytes).fill(sequence),
        replaces: 0 as Sequence,
      },
    ],
    removed: [],
  });
  const append = async (log: CommitLog, from: number, to: number, recordBytes?: number) => {
    for (let number = from; number <= to; number++)
      await log.append(writer.encode(log.number + 1, changesOf(number, recordBytes)));
  };
  const numbers = (entries: readonly LogEntry[]) => entries.map(({ number }) => number);
  const reopened = async (after = 0): Promise<readonly LogEntry[]> => {
    const { log, entries } = await CommitLog.open(folder, after, SALT);
    await log.close();
    return entries;
  };
  const overwrite = async (file: string, at: number, bytes: Uint8Array) => {
    const handle = await open(join(folder, file), constants.O_RDWR);
    await handle.write(bytes, 0, bytes.length, at);
    await handle.close();
  };

  it('gives back what was appended, rows, removals and the rest of the state', async () => {
    const log = await CommitLog.create(folder, SEGMENT_BYTES, SALT);
    const before: StoreState = {
      ...START,
      positions: new Map([['eu-1.b' as StoreId, { cursor: 1 as Sequence, applied: 1 as Sequence, isFilled: true }]]),
    };
    const after: StoreState = {
      id: 'us-1.c' as StoreId,
      sequence: 2 as Sequence,
      positions: new Map([['ap-1.d' as StoreId, { cursor: 9 as Sequence, applied: 8 as Sequence, isFilled: false }]]),
      notes: new Map([['layout', 'text \u20ac']]),
    };
    const rows = [
      { key: 'n.1\0\u20ac' as RecordKey, sequence: 1 as Sequence, record: new Uint8Array(), replaces: 0 as Sequence },
      { key: 'n.1\0b' as RecordKey, sequence: 2 as Sequence, record: Uint8Array.of(1, 2), replaces: 0 as Sequence },
    ];
    const removed = [{ key: 'n.1\0gone' as RecordKey, replaces: 7 as Sequence }];
    await log.append(writer.encode(1, { before, after, rows, removed }));
    await log.close();
    const [entry] = await reopened();
    expect(entry?.rows.map(({ key, sequence, record }) => [key, sequence, [...record]])).toEqual([
      ['n.1\0\u20ac', 1, []],
      ['n.1\0b', 2, [1, 2]],
    ]);
    expect(entry?.removed).toEqual(['n.1\0gone']);
    expect(stateAfter(before, entry as LogEntry)).toEqual(after);
  });

  it('goes on where it ended, and gives only what the trees lack', async () => {
    const log = await CommitLog.create(folder, SEGMENT_BYTES, SALT);
    await append(log, 1, 3);
    await log.close();
    expect(numbers(await reopened())).toEqual([1, 2, 3]);
    const next = (await CommitLog.open(folder, 3, SALT)).log;
    expect(next.number).toBe(3);
    await append(next, 4, 5);
    await next.close();
    expect(numbers(await reopened(3))).toEqual([4, 5]);
  });

  it('reads both segments in order, and nothing of what a segment held before its last turn', async () => {
    const log = await CommitLog.create(folder, SEGMENT_BYTES, SALT);
    await append(log, 1, 6);
    log.turn();
    await append(log, 7, 8);
    log.turn();
    await append(log, 9, 10);
    await log.close();
    expect(numbers(await reopened(6))).toEqual([7, 8, 9, 10]);
  });

  it('ends before an append that was cut short', async () => {
    const log = await CommitLog.create(folder, SEGMENT_BYTES, SALT);
    await append(log, 1, 2);
    const cut = writer.encode(3, changesOf(3, 2_000));
    await overwrite(FIRST, log.used, cut.subarray(0, SECTOR_BYTES));
    await log.close();
    expect(numbers(await reopened())).toEqual([1, 2]);
  });

  it.each([
    [FIRST, 2],
    [SECOND, 0],
  ])(
    'takes back what is in %s behind its %i entries: a sync that failed may have left more on the disk than is read',
    async (file, entries) => {
      const log = await CommitLog.create(folder, SEGMENT_BYTES, SALT);
      await append(log, 1, 2);
      await log.close();
      const sector = writer.encode(3, changesOf(3)).length;
      const at = entries * sector;
      await overwrite(file, at, writer.encode(3, changesOf(3, 2_000)).subarray(0, SECTOR_BYTES));
      expect(numbers(await reopened())).toEqual([1, 2]);
      const bytes = await readFile(join(folder, file));
      expect(bytes.subarray(at, at + SECTOR_BYTES)).toEqual(Buffer.alloc(SECTOR_BYTES));
      expect(numbers(await reopened())).toEqual([1, 2]);
    },
  );

  it.each([0, 8, 30, SECTOR_BYTES + 8])(
    'refuses to open where byte %i changed, and whole commits follow',
    async (at) => {
      const log = await CommitLog.create(folder, SEGMENT_BYTES, SALT);
      await append(log, 1, 4);
      await log.close();
      const bytes = await readFile(join(folder, FIRST));
      await overwrite(FIRST, at, Uint8Array.of((bytes[at] as number) ^ 1));
      await expect(CommitLog.open(folder, 0, SALT)).rejects.toMatchObject({ problem: 'UNREADABLE' });
    },
  );

  it('refuses to open where a whole segment was put back to an older state', async () => {
    const log = await CommitLog.create(folder, SEGMENT_BYTES, SALT);
    await append(log, 1, 2);
    await copyFile(join(folder, FIRST), join(folder, 'older'));
    await append(log, 3, 4);
    log.turn();
    await append(log, 5, 6);
    await log.close();
    await copyFile(join(folder, 'older'), join(folder, FIRST));
    await expect(CommitLog.open(folder, 0, SALT)).rejects.toMatchObject({
      problem: 'UNREADABLE',
      message: expect.stringContaining('lacks commit 3') as string,
    });
  });

  it.each([FIRST, SECOND])('refuses to open without %s', async (file) => {
    await (await CommitLog.create(folder, SEGMENT_BYTES, SALT)).close();
    await rm(join(folder, file));
    await expect(CommitLog.open(folder, 0, SALT)).rejects.toMatchObject({ problem: 'UNREADABLE' });
  });

  it('takes a commit that is larger than a segment, and gives its room back later', async () => {
    const log = await CommitLog.create(folder, SEGMENT_BYTES, SALT);
    await append(log, 1, 1, 10 * SEGMENT_BYTES);
    expect(log.bytesOnDisk).toBeGreaterThan(10 * SEGMENT_BYTES);
    log.turn();
    await append(log, 2, 2);
    await log.trim(SEGMENT_BYTES);
    expect(log.bytesOnDisk).toBe(2 * SEGMENT_BYTES);
    await log.close();
    expect(numbers(await reopened(1))).toEqual([2]);
  });

  it.each([4, 99])('takes entry %i that lies inside a value for no commit', async (number) => {
    const log = await CommitLog.create(folder, SEGMENT_BYTES, SALT);
    // A writer of values knows the format, and not the salt.
    const forged = Buffer.from(new LogEntryWriter(0).encode(number, changesOf(number)));
    const large = changesOf(1, 4 * SECTOR_BYTES);
    const whole = writer.encode(1, large);
    const at = whole.indexOf(Buffer.from(large.rows[0]?.record as Uint8Array));
    for (let sector = SECTOR_BYTES; sector + forged.length <= 4 * SECTOR_BYTES; sector += SECTOR_BYTES)
      large.rows[0]?.record.set(forged, sector - at);
    await log.append(writer.encode(1, large));
    log.turn();
    await append(log, 2, 2);
    log.turn();
    await append(log, 3, 3);
    await log.close();
    expect((await readFile(join(folder, FIRST))).indexOf(forged)).toBe(SECTOR_BYTES);
    expect(numbers(await reopened(2))).toEqual([3]);
  });

  it('says of a file that it cannot read what is wrong with it', async () => {
    await (await CommitLog.create(folder, SEGMENT_BYTES, SALT)).close();
    await rm(join(folder, SECOND));
    await mkdir(join(folder, SECOND));
    await expect(CommitLog.open(folder, 0, SALT)).rejects.toMatchObject({
      problem: 'NOT_WRITABLE',
      message: expect.stringMatching(/commits-1\.log cannot be read and written \(EISDIR\)$/) as string,
    });
  });

  it('finds nothing in files of any bytes that are no log', async () => {
    await (await CommitLog.create(folder, SEGMENT_BYTES, SALT)).close();
    const noise = Buffer.alloc(SEGMENT_BYTES, 'MML1');
    await writeFile(join(folder, FIRST), noise);
    expect(await reopened()).toEqual([]);
  });
});
