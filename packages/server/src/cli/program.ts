import { Command, CommanderError } from 'commander';
import type { Dependencies } from './dependencies.ts';
import { CommandFailure, EXIT, EXIT_CODES_HELP, exitCodeOf, failureText } from './exit-codes.ts';
import { addKeyCommands } from './key-commands.ts';
import { addNodeCommands } from './node-commands.ts';
import { addOperatorCommands } from './operator-commands.ts';
import { failureOf, watchOutput } from './output/broken-outputs.ts';
import { styleFor } from './output/style.ts';

const INTRODUCTION = `Meridian, a geo-distributed key-value store.

Settings are taken from flags, then MERIDIAN_* variables, then meridian.yaml.`;

const EPILOGUE = `
First steps:
  $ meridian demo                        three regions on this machine
  $ meridian put cart:7 '{"items":3}'    writes at the node on port 8001
  $ meridian get cart:7 --endpoint http://127.0.0.1:8003
  $ meridian status                      regions, liveness, lag

${EXIT_CODES_HELP}`;

/** The command line. Commands load what they need when they run, so that help is quick. */
export function program(dependencies: Dependencies, isJson = false): Command {
  const root = new Command('meridian')
    .description(INTRODUCTION)
    .version(dependencies.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print help about a command')
    .addHelpText('after', EPILOGUE)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void dependencies.stdout.write(text),
      writeErr: (text) => void dependencies.stderr.write(text),
      outputError: (text, write) => write(failureText(new CommandFailure(EXIT.usage, usageLine(text)), isJson)),
      getOutHelpWidth: () => Math.min(100, dependencies.stdout.columns ?? 80),
      getErrHelpWidth: () => Math.min(100, dependencies.stderr.columns ?? 80),
      getOutHasColors: () => styleFor(dependencies.stdout, dependencies.env)('bold', '') !== '',
      getErrHasColors: () => styleFor(dependencies.stderr, dependencies.env)('bold', '') !== '',
    })
    .configureHelp({
      minWidthToWrap: 20,
      styleTitle: (text) => styleFor(dependencies.stdout, dependencies.env)('bold', text),
      styleCommandText: (text) => styleFor(dependencies.stdout, dependencies.env)('cyan', text),
      styleSubcommandText: (text) => styleFor(dependencies.stdout, dependencies.env)('cyan', text),
      styleOptionText: (text) => styleFor(dependencies.stdout, dependencies.env)('cyan', text),
    });
  addNodeCommands(root, dependencies);
  addKeyCommands(root, dependencies);
  addOperatorCommands(root, dependencies);
  return root;
}

/**
 * Runs one command line, `argv` without the executable and the script. Resolves with the exit code; what went wrong
 * stands in one line on stderr by then.
 */
export async function run(argv: readonly string[], dependencies: Dependencies): Promise<number> {
  const { stdout, stderr } = dependencies;
  for (const output of [stdout, stderr]) watchOutput(output);
  const isJson = asksForJson(argv);
  try {
    await program(dependencies, isJson).parseAsync([...argv], { from: 'user' });
    const broken = await failureOf(stdout);
    if (broken) throw new CommandFailure(EXIT.failed, `the output cannot be written (${broken.code})`);
    return EXIT.done;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    stderr.write(failureText(error, isJson));
    if (isTracing(dependencies) && error instanceof Error) stderr.write(`${error.stack}\n`);
    return exitCodeOf(error);
  }
}

/** Asked of the words themselves: a command line that is wrong elsewhere is told as JSON too. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json');
}

/** What commander says of a wrong command line, in one line. */
function usageLine(text: string): string {
  return text
    .trimEnd()
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ');
}

function isTracing({ env }: Dependencies): boolean {
  return env.MERIDIAN_LOG_LEVEL === 'debug' || env.MERIDIAN_LOG_LEVEL === 'trace';
}
