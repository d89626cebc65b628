import { createReadStream, type Stats, statSync, type WriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MeridianClient } from '@meridian/client/client';
import { SettingError } from '../../config/setting-error.ts';
import type { Dependencies } from '../dependencies.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { countText, durationText, plural } from '../output/figures.ts';
import { type ClientFlags, print, printLine, withClient } from '../session.ts';
import { type Chunk, chunksOf } from '../transfer/chunks.ts';
import { linesOf } from '../transfer/lines.ts';
import { openForWriting } from '../transfer/open-for-writing.ts';
import { type Progress, startProgress } from '../transfer/progress.ts';
import { rowText } from '../transfer/row.ts';
import { sendChunk } from '../transfer/send-chunk.ts';

interface ImportFlags extends ClientFlags {
  readonly prefix?: string;
  readonly errors?: string;
  readonly inFlight?: string;
}

interface Source {
  /** Once. */
  readonly open: () => AsyncIterable<Uint8Array | string>;
  readonly bytes: number | undefined;
  readonly file?: Stats;
}

/** The first failures are shown; the rest is for the file of errors. */
const FAILURES_SHOWN_MAX = 5;

/** Rows that could not be written. */
class Failures {
  readonly #file: WriteStream | undefined;
  readonly #dependencies: Dependencies;
  count = 0;

  constructor(file: WriteStream | undefined, dependencies: Dependencies) {
    this.#file = file;
    this.#dependencies = dependencies;
  }

  async add(line: number, code: string, detail: string, row: string | undefined): Promise<void> {
    this.count++;
    if (this.#file) await print(this.#file, `${JSON.stringify({ line, code, detail, row })}\n`);
    if (this.count > FAILURES_SHOWN_MAX) return;
    await printLine(this.#dependencies.stderr, `line ${line}: ${detail} (${code})`);
    if (this.count < FAILURES_SHOWN_MAX || this.#file) return;
    await printLine(this.#dependencies.stderr, 'further rows that fail are only counted; --errors FILE keeps them');
  }

  async close(): Promise<void> {
    if (!this.#file) return;
    this.#file.end();
    await finished(this.#file);
  }
}

export async function importRows(
  file: string | undefined,
  flags: ImportFlags,
  dependencies: Dependencies,
): Promise<void> {
  const inFlightMax = inFlightOf(flags);
  const source = await sourceOf(file, dependencies);
  const errorsFile = flags.errors === undefined ? undefined : await openErrors(flags.errors, source, dependencies);
  const failures = new Failures(errorsFile, dependencies);
  const progress = startProgress(dependencies, 'import', source.bytes);
  const startedMs = performance.now();
  const tally = { written: 0 };
  let isWhole = false;
  try {
    await withClient(flags, dependencies, (client) =>
      sendAll(client, source, { inFlightMax, prefix: flags.prefix ?? '', progress, failures, tally }),
    );
    isWhole = true;
  } finally {
    progress.stop();
    await failures.close();
    // Of an import that was broken off too: what is written stays written.
    if (isWhole || tally.written > 0)
      await printSummary(tally.written, failures.count, performance.now() - startedMs, flags, dependencies);
  }
  if (failures.count > 0) throw new CommandFailure(EXIT.failed);
}

/** @throws SettingError where it is the file that is imported: it would be empty before its first row is read */
async function openErrors(errors: string, { file }: Source, { folder }: Dependencies): Promise<WriteStream> {
  const path = resolve(folder, errors);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found && file?.isFile() && found.ino === file.ino && found.dev === file.dev)
    throw new SettingError('--errors', 'is the file that is imported');
  return openForWriting(path, errors);
}

interface Sending {
  readonly inFlightMax: number;
  readonly prefix: string;
  readonly progress: Progress;
  readonly failures: Failures;
  /** Rows that were acknowledged. */
  readonly tally: { written: number };
}

/**
 * Sends the chunks, several at once. A chunk with a key that is on its way already waits for all that are: the last row
 * of a key must win.
 */
async function sendAll(
  client: MeridianClient,
  source: Source,
  { inFlightMax, prefix, progress, failures, tally }: Sending,
): Promise<void> {
  const inFlight = new Map<Promise<void>, Chunk>();
  let broken: { error: unknown } | undefined;
  const send = async (chunk: Chunk) => {
    const failed = await sendChunk(client, chunk.rows, sleep);
    for (const { row, code, detail } of failed) await failures.add(row.line, code, detail, rowText(row));
    tally.written += chunk.rows.length - failed.length;
    progress.update(chunk.end, tally.written);
  };
  const start = (chunk: Chunk) => {
    const sent: Promise<void> = send(chunk)
      .catch((error: unknown) => {
        broken ??= { error };
      })
      .finally(() => inFlight.delete(sent));
    inFlight.set(sent, chunk);
  };
  const chunks = chunksOf(linesOf(source.open()), prefix, ({ line, problem, text }) =>
    failures.add(line, 'INVALID_ROW', problem, text),
  );
  for await (const chunk of chunks) {
    const onTheirWay = new Set([...inFlight.values()].flatMap(({ rows }) => rows.map(({ key }) => key)));
    if (chunk.rows.some(({ key }) => onTheirWay.has(key))) await Promise.all(inFlight.keys());
    while (inFlight.size >= inFlightMax) await Promise.race(inFlight.keys());
    if (broken) break;
    start(chunk);
  }
  await Promise.all(inFlight.keys());
  if (broken) throw broken.error;
}

async function sourceOf(file: string | undefined, { folder, stdin }: Dependencies): Promise<Source> {
  if (file === undefined || file === '-') return { open: () => stdin, bytes: undefined };
  const path = resolve(folder, file);
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new SettingError(file, error.code === 'ENOENT' ? 'there is no such file' : `cannot be read (${error.code})`);
  });
  if (found.isDirectory()) throw new SettingError(file, 'is a folder');
  return {
    open: () => createReadStream(path, { highWaterMark: 256 * 1024 }),
    bytes: found.isFile() ? found.size : undefined,
    file: found,
  };
}

async function printSummary(
  written: number,
  failed: number,
  tookMs: number,
  flags: ImportFlags,
  dependencies: Dependencies,
): Promise<void> {
  const perSecond = Math.round((written * 1_000) / Math.max(1, tookMs));
  if (flags.json) {
    await printLine(dependencies.stdout, JSON.stringify({ written, failed, tookMs: Math.round(tookMs), perSecond }));
    return;
  }
  const failures = failed > 0 ? `, ${countText(failed)} failed${flags.errors ? ` (see ${flags.errors})` : ''}` : '';
  await printLine(
    dependencies.stderr,
    `imported ${plural(written, 'row')} in ${durationText(Math.round(tookMs))}, ${countText(perSecond)}/s${failures}`,
  );
}

function inFlightOf({ inFlight = '4' }: ImportFlags): number {
  if (!/^([1-9]|[1-5]\d|6[0-4])$/.test(inFlight))
    throw new SettingError('--in-flight', `expected a whole number from 1 to 64, found '${inFlight}'`);
  return Number(inFlight);
}
