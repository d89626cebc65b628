import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { SettingError } from './setting-error.ts';

/** Shorter secrets can be guessed. */
export const SECRET_BYTES_MIN = 16;
const SECRET_BYTES_NEW = 32;

export interface Secret {
  /** What the file holds, without white space around it. */
  readonly bytes: Uint8Array;
  /** Lines worth a warning: others on this machine can read the file. */
  readonly warnings: readonly string[];
}

/** @throws SettingError where the file is missing, unreadable or holds too little. */
export function readSecret(path: string): Secret {
  const text = read(path).trim();
  const bytes = new TextEncoder().encode(text);
  if (bytes.length < SECRET_BYTES_MIN) {
    throw new SettingError(
      path,
      `the secret has ${bytes.length} bytes, at least ${SECRET_BYTES_MIN} are needed; 'meridian secret FILE' makes one`,
    );
  }
  const mode = statSync(path).mode & 0o777;
  const isShared = process.platform !== 'win32' && (mode & 0o077) !== 0;
  const warnings = isShared ? [`${path} can be read by others on this machine: chmod 600 it`] : [];
  return { bytes, warnings };
}

/**
 * Writes a new secret that only this user can read.
 * @throws SettingError where there is a file already: nodes may run on it.
 */
export function makeSecret(path: string): void {
  const secret = `${randomBytes(SECRET_BYTES_NEW).toString('base64url')}\n`;
  try {
    writeFileSync(path, secret, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new SettingError(
      path,
      code === 'EEXIST' ? 'is there already, and stays as it is' : `cannot be written (${code})`,
    );
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const problem =
      code === 'ENOENT' ? "there is no such secret file; 'meridian secret FILE' makes one" : `cannot be read (${code})`;
    throw new SettingError(path, problem);
  }
}
