import { EventEmitter } from 'node:events';
import { PassThrough, Readable, Writable } from 'node:stream';
import type { Dependencies, Output } from './dependencies.ts';
import { run } from './program.ts';

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Setting {
  readonly folder?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array;
  readonly isTerminal?: boolean;
  readonly serve?: Dependencies['serve'];
  readonly signals?: EventEmitter;
  /** In place of one that gathers what is said. */
  readonly stdout?: Output;
}

/** An output that fails with `code` at each write, and that can be written to again all the same, as `process.stdout` can. */
export function failingOutput(code: string): Output {
  const error = Object.assign(new Error(code), { code });
  return new Writable({ autoDestroy: false, write: (_chunk, _encoding, done) => done(error) });
}

/** Runs one command line in this process, and gathers what it says. */
export async function runCommand(args: readonly string[], setting: Setting = {}): Promise<Outcome> {
  const streams = { out: new PassThrough(), err: new PassThrough() };
  const said = { out: '', err: '' };
  for (const name of ['out', 'err'] as const) {
    if (setting.isTerminal) Object.assign(streams[name], { isTTY: name === 'out', columns: 80 });
    streams[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  }
  const code = await run(args, {
    serve: setting.serve ?? (() => Promise.reject(new Error('nothing is served here'))),
    stdout: setting.stdout ?? (streams.out as Output),
    stderr: streams.err as Output,
    stdin: Readable.from(setting.stdin === undefined ? [] : [Buffer.from(setting.stdin)]),
    env: { NO_COLOR: '1', ...setting.env },
    folder: setting.folder ?? '/nonexistent',
    version: '0.1.0',
    self: [],
    signals: setting.signals ?? new EventEmitter(),
  });
  await new Promise((resolve) => setImmediate(resolve));
  return { code, ...said };
}
