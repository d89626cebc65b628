import { resolve } from 'node:path';
import { HELP, type Options, readOptions } from './options.ts';
import { tableLines, violationsOf } from './report.ts';
import { type Counts, type MixResult, runMix } from './run-mix.ts';

const EXIT = { held: 0, violated: 1, usage: 2, interrupted: 130 } as const;
const FINDINGS_SHOWN = 5;
const NAME_PAD = 16;
/** Between two lines of progress, where there is no terminal to rewrite one on. */
const PROGRESS_LINE_MS = 10_000;

const startedMs = performance.now();

async function run(options: Options): Promise<number> {
  const results: MixResult[] = [];
  for (const mix of options.mixes) {
    const folder = resolve(options.keep, mix.name);
    const result = await runMix({
      ...options,
      mix,
      keep: folder,
      say: (text) => say(`${mix.name.padEnd(NAME_PAD)} ${text}`),
      progress: progressOf(mix.name),
    });
    results.push(result);
    report(result, folder);
  }
  console.log(['', ...tableLines(results)].join('\n'));
  const violations = results.flatMap(violationsOf);
  console.log(
    `\n${options.regions} regions, ${options.shape}, ${options.seconds} s each, seed ${options.seed}: ${violations.length} violations; histories in ${resolve(options.keep)}`,
  );
  if (options.isRehearsal)
    console.log('A rehearsal: conditions were dropped on purpose, and violations show that the checks find it.');
  return violations.length === 0 ? EXIT.held : EXIT.violated;
}

function report(result: MixResult, folder: string): void {
  if (result.notPossible !== undefined) {
    say(`${result.mix.padEnd(NAME_PAD)} not run: ${result.notPossible}`);
    return;
  }
  const violations = violationsOf(result);
  const { ok, fail, info } = result.counts;
  say(`${result.mix.padEnd(NAME_PAD)} ${ok + fail + info} operations, ${violations.length} violations`);
  for (const { check, key, text } of violations.slice(0, FINDINGS_SHOWN)) console.log(`[${check}] ${key}\n${text}`);
  if (violations.length > FINDINGS_SHOWN) console.log(`and ${violations.length - FINDINGS_SHOWN} more in ${folder}`);
}

function progressOf(name: string): (counts: Counts, leftMs: number) => void {
  let saidMs = 0;
  return ({ ok, fail, info }, leftMs) => {
    const text = `${name.padEnd(NAME_PAD)} ${Math.max(0, Math.ceil(leftMs / 1_000))} s left: ${ok} ok, ${fail} fail, ${info} info`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
    else if (performance.now() - saidMs > PROGRESS_LINE_MS) {
      saidMs = performance.now();
      say(text);
    }
  };
}

function say(text: string): void {
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1).padStart(6);
  process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${seconds}  ${text}\n`);
}

function optionsOrExit(): Options {
  try {
    const options = readOptions(process.argv.slice(2));
    if (options) return options;
    console.log(HELP);
    return process.exit(EXIT.held);
  } catch (error) {
    console.error(`chaos: ${(error as Error).message}`);
    return process.exit(EXIT.usage);
  }
}

// What was started is killed when this process exits, however it does (see `support/meridian-process.ts`).
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(EXIT.interrupted));
const code = await run(optionsOrExit()).catch((error: unknown) => {
  console.error(`chaos: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return EXIT.violated;
});
process.exit(code);
