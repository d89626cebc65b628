import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CommandFailure, EXIT } from '../exit-codes.ts';

/**
 * Holds a folder for this process: one demo runs on it at a time. The lock is the operating system's, so it goes with
 * the process, however that ends.
 */
export function lockFolder(folder: string): () => void {
  const database = new DatabaseSync(join(folder, 'demo.lock'), { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch {
    database.close();
    throw new CommandFailure(
      EXIT.usage,
      `${folder}: another demo runs on it: end that one, or choose another --data-dir`,
    );
  }
  return () => database.close();
}
