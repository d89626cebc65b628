import type { Dependencies } from '../dependencies.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { type ClientFlags, printLine, withClient } from '../session.ts';

interface DeleteFlags extends ClientFlags {
  readonly context?: string;
}

export async function remove(keys: readonly string[], flags: DeleteFlags, dependencies: Dependencies): Promise<void> {
  if (flags.context !== undefined && keys.length > 1)
    throw new CommandFailure(EXIT.usage, '--context belongs to one key');
  const missing: string[] = [];
  await withClient(flags, dependencies, async (client) => {
    const options = flags.context === undefined ? {} : { context: flags.context };
    for (const key of keys) {
      const deleted = await client.delete(key, options);
      if (!deleted) missing.push(key);
      if (flags.json) await printLine(dependencies.stdout, JSON.stringify({ key, deleted }));
      else if (deleted && dependencies.stdout.isTTY) await printLine(dependencies.stdout, `deleted ${key}`);
    }
  });
  if (missing.length === 0) return;
  const names = missing.map((key) => JSON.stringify(key)).join(', ');
  throw new CommandFailure(EXIT.notFound, flags.json ? '' : `not found: ${names}`);
}
