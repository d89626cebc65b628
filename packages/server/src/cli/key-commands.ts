import type { Command } from 'commander';
import type { Dependencies } from './dependencies.ts';
import { addConditionOptions, addExplainOption, addKeyOptions, addReceiptOption, examples } from './options.ts';

export function addKeyCommands(root: Command, dependencies: Dependencies): void {
  addExplainOption(
    addKeyOptions(
      root
        .command('get')
        .argument('<KEY>')
        .summary('print a value')
        .description('Prints the value of a key: as it was written where the output is piped, readable on a terminal.'),
    ),
  )
    .option('--json', 'print value, siblings, context, entity tag, region and time as JSON')
    .addHelpText(
      'after',
      examples(
        'meridian get cart:7',
        'meridian get photo:1 > photo.png',
        'meridian get cart:7 --consistency quorum --receipt --json',
        'meridian get cart:7 --consistency strong --explain',
      ),
    )
    .action(async (key: string, flags) => (await import('./commands/get.ts')).get(key, flags, dependencies));

  addConditionOptions(
    addExplainOption(
      addKeyOptions(
        root
          .command('put')
          .argument('<KEY>')
          .argument('[VALUE]', 'the value; - reads it from stdin')
          .summary('write a value')
          .description(
            'Writes a value. VALUE is kept as JSON where it is JSON, else as text; of a file the bytes are kept.',
          ),
      ),
    ),
  )
    .option('--file <FILE>', 'take the value from a file')
    .option('--type <TYPE>', 'media type; the value is then kept byte for byte under it')
    .option('--ttl <SECONDS>', 'let the value expire')
    .option('--context <CONTEXT>', 'replace exactly what this context has seen')
    .option('--create', 'fail where the key has a live value (exit code 4)')
    .option('--json', 'print the outcome as JSON')
    .addHelpText(
      'after',
      examples(
        `meridian put cart:7 '{"items":3}'`,
        'meridian put note hello',
        'meridian put photo:1 --file photo.png --type image/png',
        'date | meridian put now - --ttl 60',
        'meridian put balance 90 --namespace bank --if-match "$tag"',
      ),
    )
    .action(async (key: string, value: string | undefined, flags) =>
      (await import('./commands/put.ts')).put(key, value, flags, dependencies),
    );

  addConditionOptions(
    addExplainOption(
      addKeyOptions(
        root
          .command('delete')
          .alias('del')
          .argument('<KEY...>')
          .summary('delete keys')
          .description('Deletes keys. Exit code 3 where one of them had no live value.'),
      ),
    ),
  )
    .option('--context <CONTEXT>', 'delete exactly what this context has seen (one key only)')
    .option('--json', 'print the outcome as JSON lines')
    .addHelpText('after', examples('meridian delete cart:7', 'meridian delete a b c'))
    .action(async (keys: string[], flags) => (await import('./commands/delete.ts')).remove(keys, flags, dependencies));

  addReceiptOption(
    addKeyOptions(
      root
        .command('list')
        .alias('ls')
        .summary('list keys')
        .description('Lists keys in the order of their UTF-8 bytes.'),
    ),
  )
    .option('--prefix <TEXT>', 'only keys that begin so')
    .option('--start <KEY>', 'from this key on')
    .option('--end <KEY>', 'up to this key, without it')
    .option('--limit <COUNT>', 'at most so many')
    .option('--values', 'print values too')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      examples(
        'meridian list --prefix cart: --limit 20',
        'meridian list --values',
        'meridian list --json | jq -r .key',
      ),
    )
    .action(async (flags) => (await import('./commands/list.ts')).list(flags, dependencies));

  addKeyOptions(
    root
      .command('import')
      .argument('[FILE]', 'newline-delimited JSON; - or nothing reads stdin')
      .summary('write many keys from newline-delimited JSON')
      .description(
        'Writes rows {"key","value","ttl"?}; values that are not JSON as {"key","value":base64,"encoding":"base64","contentType"?}.',
      ),
  )
    .option('--prefix <TEXT>', 'put this before every key')
    .option('--errors <FILE>', 'write rows that failed there, with the reason')
    .option('--in-flight <COUNT>', 'batches on their way at once', '4')
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      `${examples(
        'meridian import cities.ndjson --namespace places',
        'zcat dump.ndjson.gz | meridian import --errors failed.ndjson',
      )}\n\nRows that fail are counted, the others are written; exit code 1 tells of any.`,
    )
    .action(async (file: string | undefined, flags) =>
      (await import('./commands/import.ts')).importRows(file, flags, dependencies),
    );

  addKeyOptions(
    root
      .command('export')
      .argument('[FILE]', '- or nothing writes to stdout')
      .summary('read all keys as newline-delimited JSON')
      .description(
        'Writes rows that import takes. A file appears under its name once it is whole. Of concurrent values the winner is written.',
      ),
  )
    .option('--prefix <TEXT>', 'only keys that begin so')
    .option('--json', 'print the summary as JSON (with a FILE)')
    .addHelpText(
      'after',
      examples('meridian export backup.ndjson', 'meridian export --prefix cart: | gzip > carts.ndjson.gz'),
    )
    .action(async (file: string | undefined, flags) =>
      (await import('./commands/export.ts')).exportRows(file, flags, dependencies),
    );
}
