import { closeSync, openSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { MeridianClient } from '@meridian/client/client';
import type { Level, Receipt } from '@meridian/client/types';
import { readSettings } from '../config/read-settings.ts';
import { SettingError } from '../config/setting-error.ts';
import type { SettingName, Settings } from '../config/settings.ts';
import type { Dependencies, Output } from './dependencies.ts';
import { isOpen } from './output/broken-outputs.ts';
import { type Style, styleFor } from './output/style.ts';

/** Flags that client commands share, as commander gives them. */
export interface ClientFlags {
  readonly endpoint?: string;
  readonly namespace?: string;
  readonly consistency?: string;
  readonly timeoutMs?: string;
  /** A file that keeps the session's token from command to command. */
  readonly session?: string;
  readonly receipt?: boolean;
  /** Draws the receipt. */
  readonly explain?: boolean;
  readonly json?: boolean;
}

export function settingsFor<Name extends SettingName>(
  wanted: readonly Name[],
  flags: object,
  { env, folder }: Dependencies,
): Settings<Name> {
  return readSettings(wanted, { flags, env, folder });
}

type Parse = (text: string) => unknown;

/**
 * Runs one command's requests with a client as flags and settings ask for it, and keeps the session's token where a file is
 * named. `receipts` gathers those of its answers, where any were asked for.
 */
export async function withClient<Result>(
  flags: ClientFlags,
  dependencies: Dependencies,
  work: (client: MeridianClient, receipts: readonly Receipt[]) => Promise<Result>,
  parse?: Parse,
): Promise<Result> {
  const file = flags.session === undefined ? undefined : resolve(dependencies.folder, flags.session);
  const { consistency, ...settings } = settingsFor(
    ['endpoint', 'namespace', 'consistency', 'timeoutMs'],
    flags,
    dependencies,
  );
  const token = file === undefined ? undefined : tokenIn(file);
  const receipts: Receipt[] = [];
  const client = new MeridianClient({
    ...settings,
    ...levelOf(file !== undefined && flags.consistency === undefined ? 'session' : consistency),
    receipt: (flags.receipt || flags.explain) === true && ((receipt) => receipts.push(receipt)),
    session: token || true,
    ...(parse ? { parse } : {}),
  });
  // What a refusal has shown (a key that exists) is part of the session too.
  return await work(client, receipts).finally(() => keepToken(file, client.session));
}

/** Only a level that somebody has named is asked for: a namespace may promise more than any default would. */
function levelOf(consistency: Level | undefined): { readonly consistency?: Level } {
  return consistency === undefined ? {} : { consistency };
}

/** Opens the file for writing, too: that it takes no token must be known before something is written under the session. */
function tokenIn(file: string): string {
  let token: string;
  try {
    const descriptor = openSync(file, 'a+', 0o600);
    token = readFileSync(descriptor, 'utf8').trim();
    closeSync(descriptor);
  } catch (error) {
    throw new SettingError(file, `cannot keep a session token (${(error as NodeJS.ErrnoException).code})`);
  }
  if (!/^[\w-]*$/.test(token)) throw new SettingError(file, 'holds no session token');
  return token;
}

function keepToken(file: string | undefined, token: string | undefined): void {
  if (file === undefined || token === undefined) return;
  const text = `${token}\n`;
  if (!replaced(file, text)) writeFileSync(file, text, { mode: 0o600 });
}

/**
 * Writes the text beside the file, then puts it in its place: a crash leaves the old token or the new one. Says whether it
 * could; a device, somebody else's file and a folder that takes no new files are left to be written as they stand.
 */
function replaced(file: string, text: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  if (!found?.isFile() || found.uid !== process.geteuid?.()) return false;
  // The file a link leads to, not the link.
  const target = realpathSync(file);
  const beside = `${target}.${process.pid}.partial`;
  try {
    // Never into what stands there: in a folder of many users it could lead anywhere.
    writeFileSync(beside, text, { mode: found.mode, flush: true, flag: 'wx' });
    renameSync(beside, target);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') rmSync(beside, { force: true });
    return false;
  }
}

/** A client of one node, for commands that speak with all of them. */
export function clientAt(endpoint: string, flags: ClientFlags, dependencies: Dependencies): MeridianClient {
  return new MeridianClient({ endpoint, session: false, ...settingsFor(['timeoutMs'], flags, dependencies) });
}

export function endpointOf(flags: ClientFlags, dependencies: Dependencies): string {
  return settingsFor(['endpoint'], flags, dependencies).endpoint;
}

export function styles({ stdout, stderr, env }: Dependencies): { out: Style; err: Style } {
  return { out: styleFor(stdout, env), err: styleFor(stderr, env) };
}

/** Writes, and waits until it is taken, so that a slow reader bounds what is held in memory. */
export async function print(output: Output, text: string | Uint8Array): Promise<void> {
  if (!isOpen(output) || output.write(text) || !isOpen(output)) return;
  await new Promise<void>((resolveWait) => {
    const done = () => {
      for (const event of ['drain', 'close', 'error']) output.off(event, done);
      resolveWait();
    };
    for (const event of ['drain', 'close', 'error']) output.on(event, done);
  });
}

export function printLine(output: Output, line = ''): Promise<void> {
  return print(output, `${line}\n`);
}
