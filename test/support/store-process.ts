import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { TURN_LIMITS, type TurnLimits } from '@meridian/server/adapters/lmdb/logged-database';

const CHILD = fileURLToPath(new URL('./store-child.ts', import.meta.url));

export type StoreCommand =
  | { readonly do: 'put'; readonly key: string; readonly value: string }
  | { readonly do: 'get'; readonly key: string }
  | { readonly do: 'look' }
  | { readonly do: 'load'; readonly prefix: string; readonly inFlight: number }
  | { readonly do: 'fill'; readonly path: string; readonly leaveBytes: number }
  | { readonly do: 'remove'; readonly path: string };

export interface StoreAnswer {
  /** What the command gave, or the name of its failure. */
  readonly value?: unknown;
  readonly failure?: string;
  readonly message?: string;
  readonly tookMs: number;
}

export interface StoreProcessOptions {
  readonly path: string;
  readonly reserveBytes?: number;
  readonly limits?: TurnLimits;
  /** A command and its arguments that run the process, e.g. a tracer. */
  readonly under?: readonly string[];
}

/** A process of its own with an LMDB store open in it, so that it can be traced, starved and killed. */
export class StoreProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #waiting = new Map<number, (answer: StoreAnswer) => void>();
  readonly #acknowledged: string[] = [];
  readonly #exit: Promise<number | null>;
  readonly #opened: Promise<string>;
  #errors = '';
  #count = 0;

  constructor({ path, reserveBytes = 0, limits = TURN_LIMITS, under = [] }: StoreProcessOptions) {
    const self = [process.execPath, CHILD, path, ...[reserveBytes, limits.rowsMax, limits.segmentBytes].map(String)];
    const [program = '', ...args] = [...under, ...self];
    // One thread for all writes: a tracer counts the calls of each thread.
    const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
    this.#child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.on('data', (text) => {
      this.#errors += text;
    });
    this.#exit = new Promise((resolve) => this.#child.on('close', resolve));
    this.#opened = new Promise((resolve, reject) => {
      createInterface(this.#child.stdout).on('line', (line) => this.#take(line, resolve));
      void this.#exit.then((code) => reject(new Error(`the store process ended with ${code}: ${this.#errors}`)));
    });
  }

  /** `opened`, or the one line that says why not. */
  get opened(): Promise<string> {
    return this.#opened;
  }

  /** Keys whose writes by `load` were acknowledged, as far as this process was told. */
  get acknowledged(): readonly string[] {
    return this.#acknowledged;
  }

  ask(command: StoreCommand): Promise<StoreAnswer> {
    const id = ++this.#count;
    const answer = new Promise<StoreAnswer>((resolve, reject) => {
      this.#waiting.set(id, resolve);
      void this.#exit.then((code) => reject(new Error(`the store process ended with ${code}: ${this.#errors}`)));
    });
    this.#child.stdin.write(`${JSON.stringify({ id, ...command })}\n`);
    return answer;
  }

  /** SIGKILL: no goodbye of any kind. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }

  /** Closes the store and waits for the process to end. Does nothing where it ended already. */
  async stop(): Promise<void> {
    this.#child.stdin.end();
    await this.#exit;
  }

  #take(line: string, open: (text: string) => void): void {
    const told = JSON.parse(line) as { opened?: string; wrote?: string; id?: number; answer?: StoreAnswer };
    if (told.opened !== undefined) open(told.opened);
    if (told.wrote !== undefined) this.#acknowledged.push(told.wrote);
    if (told.id !== undefined && told.answer) {
      this.#waiting.get(told.id)?.(told.answer);
      this.#waiting.delete(told.id);
    }
  }
}
