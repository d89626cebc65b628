import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const EXECUTABLE = fileURLToPath(new URL('../../bin/meridian', import.meta.url));

export interface MeridianOptions {
  /** Where it runs; settings files are looked for there. */
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
}

const running = new Set<ChildProcessByStdio<null, Readable, Readable>>();
// Whatever ends a test, nothing that it started lives on. The nodes of a demo end by themselves when it does.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
process.once('SIGTERM', () => process.exit(143));

/** One run of `bin/meridian`, with all it says kept. */
export class MeridianProcess {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<Ended>;
  readonly #watchers = new Set<() => void>();
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  end: Ended | undefined;

  constructor(args: readonly string[], { folder, env = {} }: MeridianOptions) {
    this.#child = spawn(EXECUTABLE, args, {
      cwd: folder,
      env: { ...withoutSettings(process.env), NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(this.#child);
    this.#keep(this.#child.stdout, this.stdout);
    this.#keep(this.#child.stderr, this.stderr);
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        running.delete(this.#child);
        this.end = { code, signal };
        resolve(this.end);
        this.#tell();
      });
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get ended(): Promise<Ended> {
    return this.#ended;
  }

  /** Events of a node's log, in their order. */
  events(name?: string): readonly Record<string, unknown>[] {
    return [...this.stdout, ...this.stderr]
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ msg }) => name === undefined || msg === name);
  }

  /** Resolves once `isThere` holds of what was said; fails where the process ends before. */
  async said(what: string, isThere: () => boolean, withinMs = 30_000): Promise<void> {
    if (isThere()) return;
    await new Promise<void>((resolve, reject) => {
      const over = (finish: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        finish();
      };
      const fail = (why: string) => over(() => reject(new Error(`${why} before ${what}:\n${this.tail()}`)));
      const look = () => {
        if (isThere()) over(resolve);
        else if (this.end) fail(`the process ended (${JSON.stringify(this.end)})`);
      };
      const timer = setTimeout(() => fail(`${withinMs} ms passed`), withinMs);
      this.#watchers.add(look);
      look();
    });
  }

  /** The last of what it said, for messages. */
  tail(): string {
    return [...this.stdout.slice(-20), ...this.stderr.slice(-20)].join('\n');
  }

  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, and the end of it. */
  stop(): Promise<Ended> {
    this.signal('SIGTERM');
    return this.#ended;
  }

  /** SIGKILL: no goodbye of any kind. */
  kill(): Promise<Ended> {
    this.signal('SIGKILL');
    return this.#ended;
  }

  #keep(stream: Readable, lines: string[]): void {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      this.#tell();
    });
  }

  #tell(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

/** Runs a command to its end. */
export async function runMeridian(
  args: readonly string[],
  options: MeridianOptions,
): Promise<Ended & { stdout: string[]; stderr: string[] }> {
  const process = new MeridianProcess(args, options);
  const ended = await process.ended;
  return { ...ended, stdout: process.stdout, stderr: process.stderr };
}

function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('MERIDIAN_')));
}
