import { type Command, InvalidArgumentError } from 'commander';
import type { Dependencies } from './dependencies.ts';
import { addClientOptions, addSettings, examples } from './options.ts';

export function addOperatorCommands(root: Command, dependencies: Dependencies): void {
  addClientOptions(
    root
      .command('status')
      .summary('show regions, liveness, round trips and lag')
      .description('Shows the cluster as one node sees it.'),
  )
    .option('--watch [SECONDS]', 'show it again and again, every second where not said', seconds)
    .option('--nodes', 'show each node')
    .option('--ring <KEY>', 'show where a key stands, and why')
    .addHelpText(
      'after',
      examples(
        'meridian status',
        'meridian status --watch',
        'meridian status --endpoint http://127.0.0.1:8002 --json',
        'meridian status --ring cart:7',
      ),
    )
    .action(async (flags) => (await import('./commands/status.ts')).status(flags, dependencies));
  addSettings(root.commands.find((command) => command.name() === 'status') as Command, ['namespace']);

  const wan = root
    .command('wan')
    .summary('cut, restore and slow the links between regions (for experiments)')
    .description(
      'Acts on the emulated links of every node; the nodes must run with --wan-lab, as those of the demo do.',
    )
    .addHelpText(
      'after',
      examples(
        'meridian wan split us-east eu-central',
        'meridian wan split ap-northeast',
        'meridian wan rtt us-east eu-central 250',
        'meridian wan loss 0.05',
        'meridian wan heal',
      ),
    );
  const command = (name: string, summary: string) =>
    addClientOptions(wan.command(name).summary(summary).description(summary)).option(
      '--cluster <FILE>',
      'find the nodes in this cluster file, not at the endpoint',
    );

  command('split', 'cut the link between two regions, or all links of one')
    .argument('<REGION>')
    .argument('[OTHER]', 'all other regions where not said')
    .action(async (one: string, other: string | undefined, flags) =>
      (await import('./commands/wan.ts')).split(one, other, flags, dependencies),
    );
  command('heal', 'restore all links').action(async (flags) =>
    (await import('./commands/wan.ts')).heal(flags, dependencies),
  );
  command('rtt', 'set the round trip between two regions')
    .argument('<REGION>')
    .argument('<OTHER>')
    .argument('<MS>', 'there and back', number(0, 10_000))
    .action(async (one: string, other: string, ms: number, flags) =>
      (await import('./commands/wan.ts')).rtt(one, other, ms, flags, dependencies),
    );
  command('loss', 'lose a share of what is sent between regions')
    .argument('<SHARE>', '0 to 0.9', number(0, 0.9))
    .action(async (share: number, flags) => (await import('./commands/wan.ts')).loss(share, flags, dependencies));
  command('status', 'show the links between the regions').action(async (flags) =>
    (await import('./commands/wan.ts')).wanStatus(flags, dependencies),
  );
}

function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`Expected a number from ${min} to ${max}.`);
    return value;
  };
}

const seconds = number(0.1, 3_600);
