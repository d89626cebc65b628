import { Command, CommanderError } from 'commander';
import type { Dependencies } from './dependencies.ts';
import { EXIT, EXIT_CODES_HELP, exitCodeOf, lineOf } from './exit-codes.ts';
import { addKeyCommands } from './key-commands.ts';
import { addNodeCommands } from './node-commands.ts';
import { addOperatorCommands } from './operator-commands.ts';
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
export function program(dependencies: Dependencies): Command {
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
      outputError: (text, write) =>
        write(
          `meridian: ${text
            .trimEnd()
            .replace(/^error: /, '')
            .replaceAll(/\s*\n\s*/g, ' ')}\n`,
        ),
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
  ignoreClosedPipe(dependencies);
  try {
    await program(dependencies).parseAsync([...argv], { from: 'user' });
    return EXIT.done;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    const line = lineOf(error);
    if (line !== '') dependencies.stderr.write(`meridian: ${line}\n`);
    if (isTracing(dependencies) && error instanceof Error) dependencies.stderr.write(`${error.stack}\n`);
    return exitCodeOf(error);
  }
}

/** `meridian list | head` closes the pipe; that is no failure. */
function ignoreClosedPipe({ stdout, stderr }: Dependencies): void {
  for (const output of [stdout, stderr]) {
    output.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}

function isTracing({ env }: Dependencies): boolean {
  return env.MERIDIAN_LOG_LEVEL === 'debug' || env.MERIDIAN_LOG_LEVEL === 'trace';
}
