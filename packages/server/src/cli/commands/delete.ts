import type { MeridianClient } from '@meridian/client/client';
import type { Dependencies } from '../dependencies.ts';
import { type ConditionFlags, conditionsOf } from '../entity-tag.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { shownKey } from '../output/printable.ts';
import { printReceipt } from '../receipt.ts';
import { type ClientFlags, printLine, withClient } from '../session.ts';

interface DeleteFlags extends ClientFlags, ConditionFlags {}

export async function remove(keys: readonly string[], flags: DeleteFlags, dependencies: Dependencies): Promise<void> {
  ensureOneKey(keys, flags);
  const missing: string[] = [];
  await withClient(flags, dependencies, async (client) => {
    for (const key of keys) if (!(await removeOne(client, key, flags, dependencies))) missing.push(key);
  });
  if (missing.length === 0) return;
  const names = missing.map((key) => JSON.stringify(key)).join(', ');
  throw new CommandFailure(EXIT.notFound, flags.json ? '' : `not found: ${names}`);
}

function ensureOneKey(keys: readonly string[], { context, ifMatch, idempotencyKey }: DeleteFlags): void {
  if (keys.length === 1) return;
  const flags = { '--context': context, '--if-match': ifMatch, '--idempotency-key': idempotencyKey };
  const given = Object.entries(flags).find(([, value]) => value !== undefined);
  if (given) throw new CommandFailure(EXIT.usage, `${given[0]} belongs to one key`);
}

/** Whether there was something to delete. */
async function removeOne(
  client: MeridianClient,
  key: string,
  flags: DeleteFlags,
  dependencies: Dependencies,
): Promise<boolean> {
  const { existed, head } = await client.delete(key, conditionsOf(flags));
  const { receipt } = head;
  if (flags.json) await printLine(dependencies.stdout, JSON.stringify({ key, deleted: existed, receipt }));
  else if (existed && dependencies.stdout.isTTY) await printLine(dependencies.stdout, `deleted ${shownKey(key)}`);
  await printReceipt(receipt, flags, dependencies);
  return existed;
}
