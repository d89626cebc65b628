import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreOpenError } from '../../ports/store.ts';

const LOCK_FILE = 'owner.lock';
const SQLITE_BUSY = 5;

/**
 * Keeps other processes out: LMDB itself lets several write to one store. The lock is that of SQLite on an empty file
 * of its own, which the system frees when the process ends, in whatever way.
 * @throws StoreOpenError IN_USE, NOT_WRITABLE
 */
export function lockStore(path: string): StoreLock {
  const file = join(path, LOCK_FILE);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    const { errcode, message } = error as Error & { readonly errcode?: number };
    if (errcode === SQLITE_BUSY)
      throw new StoreOpenError('IN_USE', `the store at ${path} is in use by another process`, error);
    throw new StoreOpenError('NOT_WRITABLE', `${file} cannot be locked (${message})`, error);
  }
  const held = database;
  return { free: () => held.close() };
}

export interface StoreLock {
  free(): void;
}
