import { availableParallelism } from 'node:os';
import type { Figure } from './figure.ts';
import { isMet } from './figure.ts';
import { loadGenerator } from './load.ts';
import { HELP, type Options, type PartName, readOptions } from './options.ts';
import { catchUpPart } from './parts/catch-up.ts';
import { getPart } from './parts/get.ts';
import { lagPart } from './parts/lag.ts';
import { memoryPart } from './parts/memory.ts';
import type { Part } from './parts/part.ts';
import { postgresPart } from './parts/postgres.ts';
import { putPart } from './parts/put.ts';
import { regionsPart } from './parts/regions.ts';
import { roundsPart } from './parts/rounds.ts';
import { strongPart } from './parts/strong.ts';
import { reportLines } from './report.ts';
import { Session } from './session.ts';

const RUN_MS_MAX = 15 * 60_000;
const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;
const PART: Readonly<Record<PartName, Part>> = {
  get: getPart,
  put: putPart,
  regions: regionsPart,
  strong: strongPart,
  rounds: roundsPart,
  lag: lagPart,
  'catch-up': catchUpPart,
  memory: memoryPart,
  postgres: postgresPart,
};

async function run(options: Options, session: Session): Promise<number> {
  const startedMs = performance.now();
  const load = loadGenerator(session);
  const figures: Figure[] = [];
  const failures: string[] = [];
  for (const name of options.parts) {
    const say = (text: string): void => console.error(`${seconds(startedMs)}  ${text}`);
    try {
      figures.push(...(await PART[name]({ session, options, load, say })));
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      say(`${name} failed`);
    }
  }
  const machine = `Node ${process.version}, ${availableParallelism()} cores, load by ${load.name}`;
  if (options.isJson)
    console.log(JSON.stringify({ machine, figures: figures.map(withVerdict), failures }, undefined, 2));
  else {
    const shape = `medians of ${options.rounds} rounds of ${options.loadSeconds} s, sides interleaved`;
    console.log(['', `${machine}; ${shape}; took ${seconds(startedMs)}`, '', ...reportLines(figures)].join('\n'));
    for (const failure of failures) console.log(`not measured: ${failure}`);
  }
  return failures.length === 0 ? EXIT.done : EXIT.failed;
}

function withVerdict(one: Figure): Figure & { readonly isMet: boolean | undefined } {
  return { ...one, isMet: isMet(one) };
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1_000).toFixed(0).padStart(3)} s`;
}

/** Resolves with an exit code at the first signal, or when the run has taken too long. */
function interrupted(): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(EXIT.interrupted));
    setTimeout(() => {
      console.error(`given up after ${RUN_MS_MAX / 60_000} minutes`);
      resolve(EXIT.failed);
    }, RUN_MS_MAX).unref();
  });
}

function optionsOrExit(): Options {
  try {
    const options = readOptions(process.argv.slice(2));
    if (options) return options;
    console.log(HELP);
    return process.exit(EXIT.done);
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    return process.exit(EXIT.usage);
  }
}

const options = optionsOrExit();
const session = new Session();
const code = await Promise.race([run(options, session), interrupted()]).catch((error: unknown) => {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  return EXIT.failed;
});
await session.close();
process.exit(code);
