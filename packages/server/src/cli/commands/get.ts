import { parseExact } from '@meridian/client/exact-json';
import type { ReadEntry, Receipt, ValueSeen } from '@meridian/client/types';
import type { Dependencies } from '../dependencies.ts';
import { bareTag } from '../entity-tag.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { bytesText } from '../output/figures.ts';
import { printable } from '../output/printable.ts';
import { printReceipt } from '../receipt.ts';
import { type ClientFlags, print, printLine, styles, withClient } from '../session.ts';

export async function get(key: string, flags: ClientFlags, dependencies: Dependencies): Promise<void> {
  if (!flags.json && dependencies.stdout.isTTY !== true) return getRaw(key, flags, dependencies);
  const { entry, receipt } = await withClient(
    flags,
    dependencies,
    async (client, receipts) => ({ entry: await client.get(key), receipt: receipts[0] }),
    parseExact,
  );
  if (!entry) return failNotFound(key, receipt, flags, dependencies);
  if (flags.json) {
    const { head, ...shown } = entry;
    await printLine(dependencies.stdout, JSON.stringify({ ...shown, etag: bareTag(head), receipt }));
    return;
  }
  await printForEyes(entry, dependencies);
  await printReceipt(receipt, flags, dependencies);
}

/** The winner's own bytes, nothing added. */
async function getRaw(key: string, flags: ClientFlags, dependencies: Dependencies): Promise<void> {
  const { raw, receipt } = await withClient(flags, dependencies, async (client, receipts) => ({
    raw: await client.getRaw(key),
    receipt: receipts[0],
  }));
  if (!raw) return failNotFound(key, receipt, flags, dependencies);
  await print(dependencies.stdout, raw.bytes);
  await printReceipt(receipt, flags, dependencies);
}

/** How it was found out that there is nothing is worth as much as how a value was. */
async function failNotFound(
  key: string,
  receipt: Receipt | undefined,
  flags: ClientFlags,
  dependencies: Dependencies,
): Promise<never> {
  await printReceipt(receipt, flags, dependencies);
  throw new CommandFailure(EXIT.notFound, `${JSON.stringify(key)} is not found`, { code: 'KEY_NOT_FOUND', receipt });
}

async function printForEyes(entry: ReadEntry, dependencies: Dependencies): Promise<void> {
  const { stdout } = dependencies;
  const { out } = styles(dependencies);
  if (!entry.siblings || entry.siblings.length < 2) {
    await printLine(stdout, readable(entry));
    if (entry.expiresAt) await printLine(stdout, out('dim', `expires ${entry.expiresAt}`));
    return;
  }
  await printLine(
    stdout,
    out('yellow', `${entry.siblings.length} concurrent values`) + out('dim', ', the first is the winner'),
  );
  for (const [at, sibling] of entry.siblings.entries()) {
    const origin = out('dim', `written in ${sibling.region ?? 'a region that is gone'}, ${sibling.time}`);
    await printLine(stdout, `${out(at === 0 ? 'green' : 'yellow', at === 0 ? '●' : '○')} ${origin}`);
    await printLine(stdout, readable(sibling).replaceAll(/^/gm, '  '));
  }
  await printLine(stdout, out('dim', 'A write with the context of --json replaces them all.'));
}

/** JSON laid out, text as it is, and of other bytes what they are. */
function readable(value: ValueSeen): string {
  if (value.encoding !== 'base64') return printable(JSON.stringify(value.value, null, 2));
  const bytes = Buffer.from(String(value.value), 'base64');
  const type = value.contentType ?? 'application/octet-stream';
  if (!type.startsWith('text/')) return `<${bytesText(bytes.length)} of ${type}: pipe the output to get them>`;
  return printable(bytes.toString('utf8')).replace(/\n$/, '');
}
