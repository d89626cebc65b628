import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreOpenError } from '../../ports/store.ts';

const LOCK_FILE = 'owner.lock';
const SQLITE_BUSY = 5;

/**
 * Keeps other processes out: LMDB itself lets several write to one store. The lock is that of SQLite on an empty file
 * of its own, which the system frees when the process ends, in whatever way.
 * @throws StoreOpenError IN_USE
 */
export function lockStore(path: string): StoreLock {
  const database = new DatabaseSync(join(path, LOCK_FILE), { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
    throw new StoreOpenError('IN_USE', `the store at ${path} is in use by another process`, error);
  }
  return { free: () => database.close() };
}

export interface StoreLock {
  free(): void;
}
