import { parseExact } from '@meridian/client/exact-json';
import type { ReadEntry, ValueSeen } from '@meridian/client/types';
import type { Dependencies } from '../dependencies.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { bytesText } from '../output/figures.ts';
import { printable } from '../output/printable.ts';
import { printReceipt } from '../receipt-line.ts';
import { type ClientFlags, print, printLine, styles, withClient } from '../session.ts';

export async function get(key: string, flags: ClientFlags, dependencies: Dependencies): Promise<void> {
  if (!flags.json && dependencies.stdout.isTTY !== true) return getRaw(key, flags, dependencies);
  const entry = await withClient(flags, dependencies, (client) => client.get(key), parseExact);
  if (!entry) throw notFound(key);
  const { head, ...shown } = entry;
  if (flags.json) {
    const receipt = head.receipt ? { receipt: head.receipt } : {};
    await printLine(dependencies.stdout, JSON.stringify({ ...shown, ...receipt }));
    return;
  }
  await printForEyes(entry, dependencies);
  await printReceipt(head, dependencies);
}

/** The winner's own bytes, nothing added. */
async function getRaw(key: string, flags: ClientFlags, dependencies: Dependencies): Promise<void> {
  const raw = await withClient(flags, dependencies, (client) => client.getRaw(key));
  if (!raw) throw notFound(key);
  await print(dependencies.stdout, raw.bytes);
  await printReceipt(raw.head, dependencies);
}

function notFound(key: string): CommandFailure {
  return new CommandFailure(EXIT.notFound, `${JSON.stringify(key)} is not found`);
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
  if (value.encoding !== 'base64') return JSON.stringify(value.value, null, 2);
  const bytes = Buffer.from(String(value.value), 'base64');
  const type = value.contentType ?? 'application/octet-stream';
  if (!type.startsWith('text/')) return `<${bytesText(bytes.length)} of ${type}: pipe the output to get them>`;
  return printable(bytes.toString('utf8')).replace(/\n$/, '');
}
