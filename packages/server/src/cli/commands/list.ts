import { parseExact } from '@meridian/client/exact-json';
import type { ListedKey, Receipt } from '@meridian/client/types';
import { SettingError } from '../../config/setting-error.ts';
import type { Dependencies } from '../dependencies.ts';
import { isOpen } from '../output/broken-outputs.ts';
import { printable, shownKey } from '../output/printable.ts';
import { printReceipt } from '../receipt.ts';
import { type ClientFlags, print, printLine, styles, withClient } from '../session.ts';

interface ListFlags extends ClientFlags {
  readonly prefix?: string;
  readonly start?: string;
  readonly end?: string;
  readonly limit?: string;
  readonly values?: boolean;
}

const PAGE_SIZE = 1_000;

export async function list(flags: ListFlags, dependencies: Dependencies): Promise<void> {
  const limit = limitOf(flags);
  const { prefix, start, end } = flags;
  const range = {
    ...(prefix === undefined ? {} : { prefix }),
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
    pageSize: Math.min(limit, PAGE_SIZE),
    values: flags.values ?? false,
  };
  await withClient(
    flags,
    dependencies,
    async (client, receipts) => {
      let left = limit;
      let told = 0;
      for await (const item of client.list(range)) {
        if (!isOpen(dependencies.stdout)) return;
        await print(dependencies.stdout, `${lineFor(item, flags, dependencies)}\n`);
        for (; told < receipts.length; told++) await tell(receipts[told], flags, dependencies);
        if (--left === 0) return;
      }
      // Of a page without keys.
      for (; told < receipts.length; told++) await tell(receipts[told], flags, dependencies);
    },
    parseExact,
  );
}

/** One for each page: no key's line of JSON is the place for it. */
async function tell(receipt: Receipt | undefined, flags: ListFlags, dependencies: Dependencies): Promise<void> {
  if (flags.json) await printLine(dependencies.stderr, JSON.stringify({ receipt }));
  else await printReceipt(receipt, flags, dependencies);
}

function lineFor(item: ListedKey, flags: ListFlags, dependencies: Dependencies): string {
  if (flags.json) return JSON.stringify(item);
  const { out } = styles(dependencies);
  const isTerminal = dependencies.stdout.isTTY === true;
  const key = isTerminal ? shownKey(item.key) : item.key;
  if (!flags.values) return key;
  const json = JSON.stringify(item.value);
  const text = isTerminal ? printable(json) : json;
  const value = item.encoding === 'base64' ? out('dim', `<${item.contentType ?? 'bytes'}>`) : text;
  return `${out('cyan', key)}\t${value}${item.conflict ? out('yellow', '  (conflict)') : ''}`;
}

function limitOf({ limit }: ListFlags): number {
  if (limit === undefined) return Number.POSITIVE_INFINITY;
  if (!/^[1-9]\d{0,14}$/.test(limit))
    throw new SettingError('--limit', `expected a whole number above 0, found '${limit}'`);
  return Number(limit);
}
