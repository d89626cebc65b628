import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { MeridianClient } from '@meridian/client/client';
import type { Written } from '@meridian/client/types';
import { SettingError } from '../../config/setting-error.ts';
import type { Dependencies } from '../dependencies.ts';
import { bareTag, type ConditionFlags, conditionsOf } from '../entity-tag.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { printReceipt } from '../receipt.ts';
import { type ClientFlags, printLine, withClient } from '../session.ts';

interface PutFlags extends ClientFlags, ConditionFlags {
  readonly file?: string;
  readonly type?: string;
  readonly ttl?: string;
  readonly create?: boolean;
}

export async function put(
  key: string,
  value: string | undefined,
  flags: PutFlags,
  dependencies: Dependencies,
): Promise<void> {
  checkType(flags);
  const bytes = await bytesOf(value, flags, dependencies);
  const written = await withClient(flags, dependencies, (client) => write(client, key, bytes, flags, value));
  if (flags.json) {
    const { head, isNew } = written;
    await printLine(dependencies.stdout, JSON.stringify({ key, created: isNew, ...head, etag: bareTag(head) }));
    return;
  }
  if (dependencies.stdout.isTTY) await printLine(dependencies.stdout, written.isNew ? 'created' : 'replaced');
  await printReceipt(written.head.receipt, flags, dependencies);
}

async function write(
  client: MeridianClient,
  key: string,
  bytes: Uint8Array,
  flags: PutFlags,
  argument: string | undefined,
): Promise<Written> {
  if (flags.create && flags.ifMatch !== undefined)
    throw new CommandFailure(EXIT.usage, '--create wants no value there, --if-match a certain one: give one of them');
  const options = { ...ttlOf(flags), ...conditionsOf(flags) };
  const value = keptAs(bytes, flags, argument);
  if ('json' in value)
    return flags.create ? client.createText(key, value.json, options) : client.putText(key, value.json, options);
  return flags.create
    ? client.createRaw(key, bytes, value.type, options)
    : client.putRaw(key, bytes, value.type, options);
}

/** What the bytes are kept as: the text of a JSON value, or bytes of a media type. */
function keptAs(
  bytes: Uint8Array,
  { file, type }: PutFlags,
  argument: string | undefined,
): { readonly json: string } | { readonly type: string } {
  const isJson = type === undefined || type === 'application/json';
  const json = isJson ? jsonText(bytes) : undefined;
  if (json !== undefined) return { json };
  if (type === 'application/json') throw new CommandFailure(EXIT.usage, 'the value is not JSON, as --type says');
  if (type !== undefined) return { type };
  const isFile = file !== undefined || argument === '-';
  return { type: isFile && !isText(bytes) ? 'application/octet-stream' : 'text/plain;charset=utf-8' };
}

async function bytesOf(
  value: string | undefined,
  flags: PutFlags,
  { folder, stdin }: Dependencies,
): Promise<Uint8Array> {
  if ((value === undefined) === (flags.file === undefined)) {
    throw new CommandFailure(EXIT.usage, 'say what to write: VALUE, - for stdin, or --file FILE');
  }
  if (flags.file !== undefined) return readBytes(resolve(folder, flags.file), flags.file);
  return value === '-' ? readAll(stdin) : new TextEncoder().encode(value);
}

async function readBytes(path: string, shown: string): Promise<Uint8Array> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new SettingError(shown, error.code === 'ENOENT' ? 'there is no such file' : `cannot be read (${error.code})`);
  });
}

async function readAll(stream: Readable): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Uint8Array));
  return Buffer.concat(chunks);
}

/** The text of a JSON value, as it was written; `undefined` where the bytes are none. */
function jsonText(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    JSON.parse(text);
    return text.trim();
  } catch {
    return undefined;
  }
}

function isText(bytes: Uint8Array): boolean {
  try {
    return !new TextDecoder('utf-8', { fatal: true }).decode(bytes).includes('\0');
  } catch {
    return false;
  }
}

/** One that no header can carry would never be sent, and look as if the node did not answer. */
function checkType({ type }: PutFlags): void {
  if (type !== undefined && !/^[\x20-\x7e]+$/.test(type))
    throw new SettingError('--type', `expected a media type such as image/png, found ${JSON.stringify(type)}`);
}

function ttlOf({ ttl }: PutFlags): { ttlSeconds?: number } {
  if (ttl === undefined) return {};
  if (!/^[1-9]\d{0,9}$/.test(ttl)) throw new SettingError('--ttl', `expected whole seconds above 0, found '${ttl}'`);
  return { ttlSeconds: Number(ttl) };
}
