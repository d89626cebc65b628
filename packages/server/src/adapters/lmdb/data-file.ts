import { closeSync, constants, fstatSync, fsync, ftruncate, openSync } from 'node:fs';
import { access, open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StoreOpenError } from '../../ports/store.ts';

/** LMDB's own names for its files in the store's directory. */
const DATA_FILE = 'data.mdb';
const LOCK_FILE = 'lock.mdb';

/** Where LMDB's `MDB_meta` lies in each of the first two pages, and its fields in it (mdb.c, data version 2). */
const META_AT = 24;
const FIELDS = { magic: 0, pageBytes: 24, lastPage: 120, transaction: 128 } as const;
const META_BYTES = META_AT + 144;
const MAGIC = 0xbeefc0de;
const PAGE_BYTES_MIN = 512;
const PAGE_BYTES_MAX = 65_536;

/** How much longer than needed the file is made at a time: it has no pages there, and takes no room. */
const AHEAD_BYTES = 32 * 1024 * 1024;

/**
 * Keeps the data file as long as its head says. LMDB counts pages that a transaction took at the end and gave back, and does
 * not write them: the file would end before them, and look as one does that misses a part.
 */
export class DataFileLength {
  readonly #fd: number;
  #bytes: number;

  constructor(path: string) {
    this.#fd = openSync(join(path, DATA_FILE), 'r+');
    this.#bytes = fstatSync(this.#fd).size;
  }

  /** Durable when it resolves. Only while LMDB writes nothing: the file must not be cut off. */
  async reach(bytes: number): Promise<void> {
    if (bytes <= this.#bytes) return;
    const { size } = fstatSync(this.#fd);
    const target = Math.max(size, bytes + AHEAD_BYTES);
    await promisify(ftruncate)(this.#fd, target);
    await promisify(fsync)(this.#fd);
    this.#bytes = target;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/**
 * Looks at the files before LMDB does: what it cannot open, or misses a part, ends the process instead of failing.
 * Says whether there is anything in the data file.
 * @throws StoreOpenError UNREADABLE, NOT_WRITABLE
 */
export async function checkDataFile(path: string): Promise<boolean> {
  for (const name of [DATA_FILE, LOCK_FILE]) await checkAccess(path, name);
  const handle = await open(join(path, DATA_FILE), 'r').catch(() => undefined);
  if (!handle) return false;
  try {
    const { size } = await handle.stat();
    if (size === 0) return false;
    const first = await readMeta(handle, 0);
    const pageBytes = first?.pageBytes ?? 0;
    const isPageSize = pageBytes >= PAGE_BYTES_MIN && pageBytes <= PAGE_BYTES_MAX;
    const second = isPageSize ? await readMeta(handle, pageBytes) : undefined;
    if (!first || !second) throw unreadable(path, `${DATA_FILE} is not a database`);
    const { lastPage } = first.transaction > second.transaction ? first : second;
    const bytesNeeded = (lastPage + 1) * pageBytes;
    if (size < bytesNeeded)
      throw unreadable(path, `${DATA_FILE} has ${size} bytes of the ${bytesNeeded} it should have`);
    return true;
  } finally {
    await handle.close();
  }
}

async function checkAccess(path: string, name: string): Promise<void> {
  try {
    await access(join(path, name), constants.R_OK | constants.W_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    throw new StoreOpenError('NOT_WRITABLE', `${join(path, name)} cannot be read and written (${code})`, error);
  }
}

interface Meta {
  readonly pageBytes: number;
  readonly lastPage: number;
  readonly transaction: number;
}

interface Readable {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
}

async function readMeta(handle: Readable, at: number): Promise<Meta | undefined> {
  const page = Buffer.alloc(META_BYTES);
  const { bytesRead } = await handle.read(page, 0, META_BYTES, at);
  if (bytesRead < META_BYTES || page.readUInt32LE(META_AT + FIELDS.magic) !== MAGIC) return undefined;
  return {
    pageBytes: page.readUInt32LE(META_AT + FIELDS.pageBytes),
    lastPage: Number(page.readBigUInt64LE(META_AT + FIELDS.lastPage)),
    transaction: Number(page.readBigUInt64LE(META_AT + FIELDS.transaction)),
  };
}

function unreadable(path: string, why: string): StoreOpenError {
  return new StoreOpenError('UNREADABLE', `the store at ${path} cannot be opened: ${why}`);
}
