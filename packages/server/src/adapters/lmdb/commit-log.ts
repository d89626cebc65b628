import { constants, fdatasync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { StoreOpenError } from '../../ports/store.ts';
import { decodeEntry, type LogEntry, SECTOR_BYTES, toSectors } from './log-entry.ts';
import { SegmentReader } from './segment-reader.ts';

const SEGMENT_FILES = ['commits-0.log', 'commits-1.log'] as const;
/**
 * What a segment takes before the other one's turn comes: some 8,000 small commits one by one, or 40,000 rows in batches.
 * Its room is written with zeros beforehand, because a sync that must also record a file's new length takes twice the time.
 */
export const SEGMENT_BYTES = 8 * 1024 * 1024;
/** Longer entries are handed to a thread of the pool: the copy into the page cache would hold up the event loop. */
const INLINE_BYTES_MAX = 256 * 1024;

interface Segment {
  readonly handle: FileHandle;
  end: number;
  bytes: number;
}

/** What was found in the log when it was opened. */
export interface FoundLog {
  readonly log: CommitLog;
  /** In order, numbered without a gap. */
  readonly entries: readonly LogEntry[];
}

/**
 * The commits that the trees do not hold yet, as they came: an append and one sync make a commit durable, where the trees
 * would take some eighty scattered pages and two syncs. Two files take turns; one is written over from its start once all
 * in it has reached the trees.
 */
export class CommitLog {
  /** Of the entries to be appended: what carries another one is none of them. */
  readonly salt: number;
  /** Neither file is ever shorter: one that is has lost what stood there. */
  readonly bytesMin: number;
  readonly #segments: readonly [Segment, Segment];
  #active: 0 | 1 = 0;
  #number: number;
  /** Whether behind the end there is an entry whose sync failed: it must not be found by the next opening. */
  #hasDoubtfulTail = false;

  private constructor(segments: readonly [Segment, Segment], number: number, salt: number, bytesMin: number) {
    this.salt = salt;
    this.bytesMin = bytesMin;
    this.#segments = segments;
    this.#number = number;
  }

  /**
   * For a store that is just being made; what a crash in the making left is written over.
   * @throws StoreOpenError UNREADABLE where a log with commits in it is there: its trees are gone. NO_SPACE, NOT_WRITABLE
   */
  static async create(path: string, segmentBytes: number, salt: number): Promise<CommitLog> {
    const segments: Segment[] = [];
    try {
      for (const file of SEGMENT_FILES) await refuseCommits(path, file);
      for (const file of SEGMENT_FILES) {
        const handle = await open(join(path, file), constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, 0o600);
        segments.push({ handle, end: 0, bytes: segmentBytes });
        await fillWithZeros(handle, segmentBytes);
      }
      return new CommitLog(segments as [Segment, Segment], 0, salt, segmentBytes);
    } catch (error) {
      for (const { handle } of segments) await handle.close();
      throw notMade(path, error);
    }
  }

  /**
   * Reads what the trees may lack: all above entry `after`. Where `bytesMin` is not known, the files as they are count as whole.
   * @throws StoreOpenError UNREADABLE where an entry in the middle is damaged, or a file is cut short or gone: acknowledged
   * writes would be lost
   */
  static async open(path: string, after: number, salt: number, bytesMin?: number): Promise<FoundLog> {
    const segments: Segment[] = [];
    try {
      const found: LogEntry[] = [];
      const ends: (readonly [FileHandle, number])[] = [];
      for (const file of SEGMENT_FILES) {
        const handle = await openSegment(path, file);
        const { size } = await handle.stat();
        segments.push({ handle, end: 0, bytes: size });
        if (size < (bytesMin ?? 0)) throw damaged(path, `${file} has ${size} bytes of the ${bytesMin} it should have`);
        const { entries, end } = entriesIn(new SegmentReader(handle.fd, size, salt), after, join(path, file));
        found.push(...entries);
        if (end !== undefined && end < size) ends.push([handle, end]);
      }
      const entries = found.sort((left, right) => left.number - right.number);
      entries.forEach(({ number }, at) => {
        if (number !== after + at + 1) throw damaged(path, `its log lacks commit ${after + at + 1}`);
      });
      for (const [handle, end] of ends) await takeBack(handle, end);
      const last = entries.at(-1)?.number ?? after;
      const shortest = Math.min(...segments.map(({ bytes }) => bytes));
      return { log: new CommitLog(segments as [Segment, Segment], last, salt, bytesMin ?? shortest), entries };
    } catch (error) {
      for (const { handle } of segments) await handle.close();
      throw error instanceof StoreOpenError
        ? error
        : damaged(path, `its log cannot be read and written (${messageOf(error)})`, error);
    }
  }

  /** The same files for entries of another salt. Only while none is needed of those that are there. */
  withSalt(salt: number): CommitLog {
    return new CommitLog(this.#segments, this.#number, salt, this.bytesMin);
  }

  /** The number of the last durable entry. */
  get number(): number {
    return this.#number;
  }

  /** Bytes of the active segment that are taken, and its room. */
  get used(): number {
    return (this.#segments[this.#active] as Segment).end;
  }

  get bytesOnDisk(): number {
    return this.#segments[0].bytes + this.#segments[1].bytes;
  }

  /** Whether the next opening might take a commit for durable whose append failed. */
  get hasDoubtfulTail(): boolean {
    return this.#hasDoubtfulTail;
  }

  /**
   * Durable when it resolves; `entry` carries the next number. After a failure the next append takes the same place.
   * @throws what the system failed with
   */
  async append(entry: Buffer): Promise<void> {
    const segment = this.#segments[this.#active] as Segment;
    try {
      await this.#write(segment, entry);
    } catch (error) {
      await this.#cutOff(segment);
      throw error;
    }
    this.#hasDoubtfulTail = false;
    this.#number += 1;
    segment.end += entry.length;
    segment.bytes = Math.max(segment.bytes, segment.end);
  }

  async #write({ handle, end }: Segment, entry: Buffer): Promise<void> {
    if (entry.length <= INLINE_BYTES_MAX) writeWhole(handle.fd, entry, end);
    else await writeAll(handle, entry, end);
    await synced(handle.fd);
  }

  /** Nothing of a failed entry may be found later: its first sector is taken back, or the next commit goes over it. */
  async #cutOff(segment: Segment): Promise<void> {
    try {
      writeWhole(segment.handle.fd, Buffer.alloc(SECTOR_BYTES), segment.end);
      await synced(segment.handle.fd);
      this.#hasDoubtfulTail = false;
    } catch {
      this.#hasDoubtfulTail = true;
    }
  }

  /**
   * Takes back what is in doubt, before a turn: in the other segment the next commit would not be written over it, but take
   * its number, and an opening could find both.
   * @throws where that fails
   */
  async settle(): Promise<void> {
    if (!this.#hasDoubtfulTail) return;
    await this.#cutOff(this.#segments[this.#active] as Segment);
    if (this.#hasDoubtfulTail) throw new Error('a failed commit could not be taken back');
  }

  /** Goes on in the other segment, from its start. Only once all that is in it has reached the trees, and nothing is in doubt. */
  turn(): void {
    this.#active = this.#active === 0 ? 1 : 0;
    (this.#segments[this.#active] as Segment).end = 0;
  }

  /** Gives back the room that commits larger than a segment took. Only of the segment that is not active. */
  async trim(segmentBytes: number): Promise<void> {
    const idle = this.#segments[this.#active === 0 ? 1 : 0] as Segment;
    const bytes = Math.max(segmentBytes, this.bytesMin);
    if (idle.bytes <= bytes * 2) return;
    await idle.handle.truncate(bytes);
    idle.bytes = bytes;
  }

  async close(): Promise<void> {
    for (const { handle } of this.#segments) await handle.close();
  }
}

async function openSegment(path: string, file: string): Promise<FileHandle> {
  try {
    return await open(join(path, file), constants.O_RDWR);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT')
      throw new StoreOpenError('NOT_WRITABLE', `${join(path, file)} cannot be read and written (${code})`, error);
    throw new StoreOpenError(
      'UNREADABLE',
      `the store at ${path} cannot be opened: its log ${file} is not there`,
      error,
    );
  }
}

/**
 * The entries above `after` of one segment. It ends at the first that is not whole: the last append may have been cut
 * short, and was then never acknowledged. But a whole one behind it shows that what is damaged was once whole.
 */
function entriesIn(segment: SegmentReader, after: number, file: string): EntriesOfSegment {
  const entries: LogEntry[] = [];
  let at = 0;
  let last = 0;
  for (let entry = segment.entryAt(at); entry !== undefined; entry = segment.entryAt(at)) {
    if (at > 0 && entry.number !== last + 1) break;
    // The trees take whole segments: where they hold the first entry they hold all of them.
    if (entry.number <= after) return { entries: [], end: undefined };
    entries.push(decodeEntry(entry.bytes));
    last = entry.number;
    at += toSectors(entry.bytes.length);
  }
  for (const behind of segment.entriesFrom(at)) {
    if (behind.number > Math.max(last, after)) throw damaged(file, `a commit before ${behind.number} is damaged`);
  }
  return { entries, end: at };
}

interface EntriesOfSegment {
  readonly entries: readonly LogEntry[];
  /** Where the next would begin; `undefined` where the trees hold them all. */
  readonly end: number | undefined;
}

/**
 * The disk may hold a failed commit where nothing is read: the system takes pages for clean whose sync failed. A power loss
 * would bring it back, beside another one of its number.
 */
async function takeBack(handle: FileHandle, at: number): Promise<void> {
  await writeAll(handle, Buffer.alloc(SECTOR_BYTES), at);
  await handle.sync();
}

function damaged(where: string, why: string, cause?: unknown): StoreOpenError {
  return new StoreOpenError('UNREADABLE', `the store cannot be opened: ${where}: ${why}`, cause);
}

/** A store in the making has no commits: those that are found belong to trees that were taken away, and to nothing else. */
async function refuseCommits(path: string, file: string): Promise<void> {
  const handle = await open(join(path, file), 'r').catch(() => undefined);
  if (!handle) return;
  try {
    const { size } = await handle.stat();
    if (!new SegmentReader(handle.fd, size, undefined).entryAt(0)) return;
    throw damaged(path, `${file} has commits, but data.mdb, which they belong to, is not there or empty`);
  } finally {
    await handle.close();
  }
}

function notMade(path: string, error: unknown): StoreOpenError {
  if (error instanceof StoreOpenError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new StoreOpenError('NO_SPACE', `the disk of ${path} has too little room for the log of a store`, error);
  return new StoreOpenError('NOT_WRITABLE', `no log can be made at ${path} (${messageOf(error)})`, error);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function writeWhole(fd: number, bytes: Buffer, at: number): void {
  for (let written = 0; written < bytes.length; ) {
    written += writeSync(fd, bytes, written, bytes.length - written, at + written);
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += (await handle.write(bytes, written, bytes.length - written, at + written)).bytesWritten;
  }
}

function synced(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

async function fillWithZeros(handle: FileHandle, bytes: number): Promise<void> {
  const zeros = Buffer.alloc(1024 * 1024);
  for (let at = 0; at < bytes; at += zeros.length)
    await writeAll(handle, zeros.subarray(0, Math.min(zeros.length, bytes - at)), at);
  await handle.sync();
}
