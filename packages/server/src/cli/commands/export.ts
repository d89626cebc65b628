import { realpathSync, renameSync, rmSync, statSync, type WriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import type { MeridianClient } from '@meridian/client/client';
import type { ListedKey } from '@meridian/client/types';
import { SettingError } from '../../config/setting-error.ts';
import type { Dependencies, Output } from '../dependencies.ts';
import { isOpen } from '../output/broken-outputs.ts';
import { countText, durationText, plural } from '../output/figures.ts';
import { type ClientFlags, print, printLine, withClient } from '../session.ts';
import { beforeSignalEnds } from '../stop-signals.ts';
import { openForWriting } from '../transfer/open-for-writing.ts';
import { type Progress, startProgress } from '../transfer/progress.ts';
import { parseValueTexts } from '../transfer/value-texts.ts';

interface ExportFlags extends ClientFlags {
  readonly prefix?: string;
}

interface Exported {
  rows: number;
  conflicts: number;
}

const PAGE_SIZE = 500;

export async function exportRows(
  file: string | undefined,
  flags: ExportFlags,
  dependencies: Dependencies,
): Promise<void> {
  const isFile = file !== undefined && file !== '-';
  const startedMs = performance.now();
  const exported = await withClient(
    flags,
    dependencies,
    (client) =>
      isFile
        ? toFile(client, resolve(dependencies.folder, file), file, flags, dependencies)
        : writeRows(client, dependencies.stdout, flags, dependencies),
    parseValueTexts,
  );
  // A reader that has gone away has read enough, and not what the summary would say.
  if (!isFile && !isOpen(dependencies.stdout)) return;
  const tookMs = Math.round(performance.now() - startedMs);
  if (flags.json && isFile) {
    await printLine(dependencies.stdout, JSON.stringify({ ...exported, tookMs }));
    return;
  }
  const perSecond = countText((exported.rows * 1_000) / Math.max(1, tookMs));
  const conflicts =
    exported.conflicts > 0 ? `; ${plural(exported.conflicts, 'conflict')}, of which the winner was written` : '';
  const place = isFile ? ` to ${file}` : '';
  await printLine(
    dependencies.stderr,
    `exported ${plural(exported.rows, 'row')}${place} in ${durationText(tookMs)}, ${perSecond}/s${conflicts}`,
  );
}

/** The file appears under its name once it is whole and on disk: an export that was broken off is never taken for one. */
async function toFile(
  client: MeridianClient,
  path: string,
  shown: string,
  flags: ExportFlags,
  dependencies: Dependencies,
): Promise<Exported> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw new SettingError(shown, 'is a folder');
  // A pipe or a device takes what it is given as it comes; a file renamed to it would stand in its place.
  if (found && !found.isFile()) return writeTo(await openForWriting(path, shown), client, flags, dependencies);
  // The file a link leads to, not the link.
  const target = found ? realpathSync(path) : path;
  const partial = `${target}.partial`;
  const stream = await openForWriting(partial, shown);
  const release = beforeSignalEnds(dependencies.signals, () => rmSync(partial, { force: true }));
  try {
    const exported = await writeTo(stream, client, flags, dependencies);
    const handle = await open(partial, 'r+');
    await handle.sync();
    await handle.close();
    renameSync(partial, target);
    return exported;
  } catch (error) {
    stream.destroy();
    rmSync(partial, { force: true });
    throw error;
  } finally {
    release();
  }
}

async function writeTo(
  stream: WriteStream,
  client: MeridianClient,
  flags: ExportFlags,
  dependencies: Dependencies,
): Promise<Exported> {
  const exported = await writeRows(client, stream, flags, dependencies);
  // Tells of a write that failed, too.
  stream.end();
  await finished(stream);
  return exported;
}

async function writeRows(
  client: MeridianClient,
  output: Output,
  flags: ExportFlags,
  dependencies: Dependencies,
): Promise<Exported> {
  const progress: Progress = startProgress(dependencies, 'export', undefined);
  const exported: Exported = { rows: 0, conflicts: 0 };
  const range = { ...(flags.prefix === undefined ? {} : { prefix: flags.prefix }), pageSize: PAGE_SIZE, values: true };
  let cursor: string | undefined;
  try {
    do {
      const page = await client.listPage(range, cursor);
      const rows = page.items.flatMap((item) => rowText(item) ?? []);
      exported.rows += rows.length;
      exported.conflicts += page.items.filter((item) => item.conflict).length;
      if (rows.length > 0) await print(output, `${rows.join('\n')}\n`);
      progress.update(0, exported.rows);
      cursor = isOpen(output) ? page.cursor : undefined;
    } while (cursor !== undefined);
  } finally {
    progress.stop();
  }
  return exported;
}

/** The row that import takes, with the value as it came; nothing where it expires before it could be written. */
function rowText({ key, value, encoding, contentType, expiresAt }: ListedKey): string | undefined {
  const ttl = expiresAt ? Math.ceil((Date.parse(expiresAt) - Date.now()) / 1_000) : undefined;
  if (ttl !== undefined && ttl < 1) return undefined;
  const rest = JSON.stringify({ ttl, ...(encoding ? { encoding, contentType } : {}) });
  // Between the parts of a JSON value a line end is a blank; here it would end the row.
  const text = (value as string).trim().replace(/[\r\n]/g, ' ');
  return `{"key":${JSON.stringify(key)},"value":${text}${rest === '{}' ? '}' : `,${rest.slice(1)}`}`;
}
