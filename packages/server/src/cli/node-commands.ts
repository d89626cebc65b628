import type { Command } from 'commander';
import { settingsOfScope } from '../config/settings.ts';
import type { Dependencies } from './dependencies.ts';
import { addSettings, examples } from './options.ts';

export function addNodeCommands(root: Command, dependencies: Dependencies): void {
  const demo = root
    .command('demo')
    .summary('start several regions on this machine')
    .description(
      'Starts one node in each of several regions on this machine, with the real round-trip times between them. Ctrl-C stops it; a second start finds its data.',
    );
  addSettings(demo, settingsOfScope('demo'))
    .option('--no-wan', 'let the regions talk at the speed of this machine')
    .option('--engine <ENGINE>', 'what each region stands on: lmdb, or postgres', 'lmdb')
    .option('--verbose', 'show all that the nodes log, not only warnings')
    .addHelpText(
      'after',
      examples('meridian demo', 'meridian demo --regions us-east,eu-west --base-port 9001 --data-dir /tmp/two'),
    )
    .action(async (flags) => (await import('./demo/demo.ts')).demo(flags, dependencies));

  const serve = root
    .command('serve')
    .summary('run one node')
    .description('Runs one node of a cluster file until SIGTERM or Ctrl-C.');
  addSettings(serve, settingsOfScope('node'))
    .addHelpText(
      'after',
      examples(
        'meridian serve --cluster cluster.yaml --node us-1',
        'MERIDIAN_LOG_LEVEL=debug meridian serve --node eu-1',
      ),
    )
    .action(async (flags) => (await import('./commands/serve.ts')).serve(flags, dependencies));

  root
    .command('secret')
    .argument('[FILE]', 'where to write it', 'cluster.secret')
    .summary('make a secret for a cluster')
    .description('Writes a new random secret, readable by this user only. A file that is there already stays as it is.')
    .addHelpText('after', examples('meridian secret', 'meridian secret /etc/meridian/shop.secret'))
    .action(async (file: string) => (await import('./commands/secret.ts')).secret(file, dependencies));
}
