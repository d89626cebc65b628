import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import type { ClientConfig } from 'pg';
import { PostgresFailure } from './failures.ts';
import {
  ANSWER_GRACE_MS,
  CONNECT_TIMEOUT_MS,
  KEEP_ALIVE_MS,
  type PostgresSettings,
  type PostgresTls,
} from './settings.ts';

const BYTEA = 17;
const BIGINT = 20;

/** All that a connection of this store is made with. @throws PostgresFailure where a certificate cannot be read */
export function clientConfig(settings: PostgresSettings): ClientConfig {
  const { host, port, database, user, tls, statementTimeoutMs } = settings;
  return {
    host,
    port,
    database,
    user,
    // Always a function: without one the driver would look for a password in files of its own choice.
    password: () => passwordOf(settings),
    ssl: tlsOptions(tls),
    pipeline: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: statementTimeoutMs + ANSWER_GRACE_MS,
    application_name: 'meridian',
    types: { getTypeParser },
  };
}

async function passwordOf({ password, passwordFile }: PostgresSettings): Promise<string> {
  if (passwordFile === undefined) return password ?? '';
  try {
    return (await readFile(passwordFile, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw unreadable('the password file', passwordFile, error);
  }
}

function tlsOptions(tls: PostgresTls): false | ConnectionOptions {
  if (tls.mode === 'disable') return false;
  const files = {
    ...(tls.rootCertificate === undefined ? {} : { ca: pem('the root certificate', tls.rootCertificate) }),
    ...(tls.certificate === undefined ? {} : { cert: pem('the certificate', tls.certificate) }),
    ...(tls.key === undefined ? {} : { key: pem('the key', tls.key) }),
  };
  if (tls.mode === 'verify-full') return files;
  // As libpq has it: who names a root certificate wants it checked.
  if (tls.mode === 'verify-ca' || tls.rootCertificate !== undefined) {
    return { ...files, checkServerIdentity: () => undefined };
  }
  return { ...files, rejectUnauthorized: false };
}

function pem(what: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw unreadable(what, path, error);
  }
}

function unreadable(what: string, path: string, error: unknown): PostgresFailure {
  const { code = 'unknown' } = error as NodeJS.ErrnoException;
  return new PostgresFailure('refused', `${what} ${path} cannot be read (${code})`, code);
}

/**
 * Results come as text: the driver's binary mode takes bytes for UTF-8. Bytes are in hexadecimal then, which is decoded
 * at some 500 MB/s.
 */
function getTypeParser(type: number): (value: never) => unknown {
  return PARSERS.get(type) ?? asIs;
}

const asIs = (value: string) => value;

const PARSERS: ReadonlyMap<number, (value: string) => unknown> = new Map<number, (value: string) => unknown>([
  [BYTEA, (value) => bytesOf(value)],
  [BIGINT, Number],
]);

function bytesOf(text: string): Uint8Array {
  if (!text.startsWith('\\x')) throw new TypeError('bytes came in another format than hexadecimal');
  return Buffer.from(text.slice(2), 'hex');
}
