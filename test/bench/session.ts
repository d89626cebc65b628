import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..', '..');
const FOLDER = join(ROOT, '.meridian');
/** A demo gives its nodes 10 s to stop. */
const STOP_MS = 12_000;

/**
 * What a run holds of the machine: processes, and one folder. Processes are ended by their ids, the folder is removed,
 * whether the run ends by itself, by Ctrl-C or by its deadline. The folder is in the checkout and not in the system's
 * place for temporary files, which may be memory: a sync costs nothing there.
 */
export class Session {
  readonly folder: string;
  readonly #running = new Set<ChildProcess>();
  #isClosed = false;

  constructor() {
    mkdirSync(FOLDER, { recursive: true });
    this.folder = mkdtempSync(join(FOLDER, 'bench-'));
  }

  /** Starts a process in a group of its own, so that a Ctrl-C reaches it through here only. */
  start(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    if (this.#isClosed) throw new Error('the run is over');
    const child = spawn(command, args, { env: environment(), ...options, detached: true });
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
    child.once('error', () => this.#running.delete(child));
    return child;
  }

  /** Asks a process to stop, kills it when it does not. Resolves once it is gone. */
  async stop(child: ChildProcess): Promise<void> {
    if (!this.#running.has(child)) return;
    const gone = new Promise<void>((resolve) => {
      child.once('close', () => resolve());
    });
    child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await gone;
    clearTimeout(killer);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#running].map((child) => this.stop(child)));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What is measured must not depend on settings in the environment. */
export function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MERIDIAN_')));
}
