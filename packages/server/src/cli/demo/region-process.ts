import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, rmSync, type WriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface RegionProcessOptions {
  readonly node: string;
  /** Where its log and the file with its process id go. */
  readonly folder: string;
  /** The executable and its arguments. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onLine: (line: string) => void;
  /** It ended without having been told to; it is started again after `RESTART_MS`. */
  readonly onDeath: (how: string) => void;
  readonly onRestart: (pid: number | undefined) => void;
}

export const RESTART_MS = 3_000;
/** How long a node may take to stop before it is killed. */
const STOP_MS = 10_000;

/**
 * One node in a process of its own, kept running until `stop`. It ends with this process, however that ends: it sees the
 * channel between them close. It has a process group of its own, so that a Ctrl-C reaches it through here only.
 */
export class RegionProcess {
  readonly #options: RegionProcessOptions;
  readonly #log: WriteStream;
  readonly #pidFile: string;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #isStopping = false;
  #lastLines: readonly string[] = [];
  deaths = 0;

  constructor(options: RegionProcessOptions) {
    this.#options = options;
    this.#log = createWriteStream(join(options.folder, `${options.node}.log`), { flags: 'a' });
    // A log that cannot be written must not end the regions.
    this.#log.on('error', () => {});
    this.#pidFile = join(options.folder, `${options.node}.pid`);
  }

  get node(): string {
    return this.#options.node;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** What it said last, for a start that fails. */
  get lastLine(): string {
    return this.#lastLines.at(-1) ?? '';
  }

  start(): void {
    const [executable = '', ...args] = this.#options.command;
    const child = spawn(executable, args, {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...this.#options.env },
      detached: true,
    });
    this.#child = child;
    if (child.pid !== undefined) writeFileSync(this.#pidFile, `${child.pid}\n`);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#take(line));
    }
    // `close` comes once its output has been read too; `error` where it could not even start.
    let isOver = false;
    const over = (how: string) => {
      if (isOver) return;
      isOver = true;
      this.#ended(how);
    };
    child.once('error', (error) => over(error.message));
    child.once('close', (code, signal) => over(signal === null ? `exit code ${code}` : signal));
  }

  #take(line: string): void {
    this.#log.write(`${line}\n`);
    if (line.trim() !== '') this.#lastLines = [...this.#lastLines.slice(-4), line];
    this.#options.onLine(line);
  }

  #ended(how: string): void {
    this.#child = undefined;
    rmSync(this.#pidFile, { force: true });
    if (this.#isStopping) return;
    this.deaths++;
    this.#options.onDeath(how);
    this.#restart = setTimeout(() => {
      this.start();
      this.#options.onRestart(this.pid);
    }, RESTART_MS);
  }

  /** Asks it to stop, kills it when it does not. Resolves once it is gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child) {
      const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
      child.kill('SIGTERM');
      // A process that is paused takes no SIGTERM before it goes on.
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await gone;
      clearTimeout(killer);
    }
    this.#log.end();
  }

  kill(): void {
    this.#isStopping = true;
    clearTimeout(this.#restart);
    this.#child?.kill('SIGKILL');
  }
}
