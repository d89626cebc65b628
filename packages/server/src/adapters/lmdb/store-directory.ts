import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StoreOpenError } from '../../ports/store.ts';

/**
 * Makes the directory of a store where there is none. Gives the topmost directory that was made; `undefined` for none.
 * @throws StoreOpenError NOT_A_DIRECTORY, NO_SPACE, NOT_WRITABLE
 */
export async function makeDirectory(path: string): Promise<string | undefined> {
  try {
    const made = await makeAll(path);
    if (!(await stat(path)).isDirectory()) throw Object.assign(new Error('not a directory'), { code: 'ENOTDIR' });
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return made;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR' || code === 'EEXIST') {
      throw new StoreOpenError('NOT_A_DIRECTORY', `${path} is not a directory, so it cannot hold a store`, error);
    }
    if (code === 'ENOSPC') throw new StoreOpenError('NO_SPACE', `the disk of ${path} is full`, error);
    throw new StoreOpenError('NOT_WRITABLE', `the directory ${path} cannot be read and written (${code})`, error);
  }
}

/** One by one: Node's own way to make them all goes on for ever where the system takes none, as under `/proc`. */
async function makeAll(path: string): Promise<string | undefined> {
  if (await make(path, 'ENOENT')) return path;
  if (await isThere(path)) return undefined;
  const made = await makeAll(dirname(path));
  return (await make(path)) ? (made ?? path) : made;
}

/** Whether it was made: not where something is there already, or for this reason. */
async function make(path: string, reason?: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || code === reason) return false;
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
