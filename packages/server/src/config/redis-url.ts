import { SettingError } from './setting-error.ts';
import { bytes, integer, matching, type SettingKind } from './setting-kinds.ts';

/** Which Redis, and how it is used as a cache. */
export interface RedisSettings {
  /** One; of a cluster some, from which the others are found. */
  readonly servers: readonly { readonly host: string; readonly port: number }[];
  readonly isCluster: boolean;
  readonly isTls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** A file that holds the password, in place of one in the URL. */
  readonly passwordFile: string | undefined;
  readonly database: number;
  /** How long an entry is served at the most. */
  readonly ttlMs: number;
  /** Larger records are not kept. */
  readonly valueBytesMax: number;
  /** A read waits so long for the cache at the most. */
  readonly timeoutMs: number;
  /** Before the name of each key that is kept. */
  readonly prefix: string;
}

const PORT = 6379;
const FORM =
  'redis://[user:password@]host[:port][/database], rediss:// with TLS, or redis+cluster://host:port,host:port';
const PARAMETERS = ['ttl', 'value_bytes_max', 'timeout', 'prefix', 'password_file'];

const SCHEMES: Readonly<Record<string, { readonly isTls: boolean; readonly isCluster: boolean }>> = {
  redis: { isTls: false, isCluster: false },
  rediss: { isTls: true, isCluster: false },
  'redis+cluster': { isTls: false, isCluster: true },
  'rediss+cluster': { isTls: true, isCluster: true },
};

const TTL_MS = duration(1_000, 3_600_000);
const TIMEOUT_MS = duration(1, 1_000);
const VALUE_BYTES_MAX = bytes(1, 1024 * 1024);
const PREFIX = matching(/^[A-Za-z0-9_.:/-]{1,64}$/, '1 to 64 of the characters A-Z a-z 0-9 _ . : / -');

/**
 * `redis://[user:password@]host[:port][/database]?ttl=60s&value_bytes_max=64KiB&timeout=20ms&prefix=meridian:`, with
 * `rediss` for TLS; `redis+cluster://[user:password@]host:port,host:port` for a cluster (`rediss+cluster` with TLS).
 * @throws SettingError, one line without the password. `where` names the setting.
 */
export function parseRedisUrl(url: string, where: string): RedisSettings {
  // No @ further on: it would be that of a password with a / or ? in it, and what is found wrong there is quoted.
  const [, scheme, login, hosts, path, query] =
    /^([a-z+]+):\/\/(?:([^/?#]*)@)?([^@/?#]*)(?:\/([^@?#]*))?(?:\?([^@#]*))?$/.exec(url) ?? [];
  const kind = SCHEMES[scheme ?? ''];
  if (!kind || !hosts) throw new SettingError(where, `expected ${FORM}`);
  const servers = hosts.split(',').map((host) => parseServer(host, where));
  if (servers.length > 1 && !kind.isCluster)
    throw new SettingError(where, `several servers are a cluster: write ${scheme}+cluster://`);
  const database = parse('a database', matching(/^\d{0,5}$/, 'a number after the /'), path ?? '', where);
  if (kind.isCluster && Number(database) > 0) throw new SettingError(where, 'a cluster has no database but 0');
  const parameters = parseQuery(query ?? '', where);
  return {
    servers,
    ...kind,
    ...parseLogin(login, parameters.passwordFile, where),
    database: Number(database),
    ...parameters,
  };
}

function parseServer(text: string, where: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (!host) throw new SettingError(where, `expected ${FORM}`);
  return { host, port: parse('a port', integer(1, 65_535), port ?? String(PORT), where) };
}

function parseLogin(
  login: string | undefined,
  passwordFile: string | undefined,
  where: string,
): Pick<RedisSettings, 'user' | 'password'> {
  if (login === undefined) return { user: undefined, password: undefined };
  const colon = passwordFile === undefined ? login.indexOf(':') : login.length;
  if (colon < 0) throw new SettingError(where, 'expected user:password before the @, or :password alone');
  if (passwordFile !== undefined && login.includes(':'))
    throw new SettingError(where, 'a password and a password_file are given: one of them is enough');
  try {
    const user = decodeURIComponent(login.slice(0, colon));
    const password = passwordFile === undefined ? decodeURIComponent(login.slice(colon + 1)) : undefined;
    return { user: user === '' ? undefined : user, password };
  } catch {
    throw new SettingError(where, 'user and password must be percent-encoded');
  }
}

function parseQuery(
  query: string,
  where: string,
): Pick<RedisSettings, 'ttlMs' | 'valueBytesMax' | 'timeoutMs' | 'prefix' | 'passwordFile'> {
  const given = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!PARAMETERS.includes(name))
      throw new SettingError(where, `there is no parameter '${name}'; there are ${PARAMETERS.join(', ')}`);
    if (given.has(name)) throw new SettingError(where, `the parameter '${name}' stands twice`);
    given.set(name, value);
  }
  return {
    ttlMs: parse('ttl', TTL_MS, given.get('ttl') ?? '60s', where),
    valueBytesMax: parse('value_bytes_max', VALUE_BYTES_MAX, given.get('value_bytes_max') ?? '64KiB', where),
    timeoutMs: parse('timeout', TIMEOUT_MS, given.get('timeout') ?? '20ms', where),
    prefix: parse('prefix', PREFIX, given.get('prefix') ?? 'meridian:', where),
    passwordFile: given.get('password_file'),
  };
}

function parse<Value>(name: string, kind: SettingKind<Value>, text: string, where: string): Value {
  const value = kind.parse(text);
  if (value === undefined) throw new SettingError(where, `${name}: expected ${kind.expected}, found '${text}'`);
  return value;
}

/** With its unit: `500ms`, `60s`. */
function duration(minMs: number, maxMs: number): SettingKind<number> {
  return {
    expected: `a time like 500ms or 60s, from ${minMs} to ${maxMs} ms`,
    parse: (given) => {
      const [, digits, unit] = /^(\d{1,9})(ms|s)$/.exec(given) ?? [];
      const ms = Number(digits) * (unit === 's' ? 1_000 : 1);
      return ms >= minMs && ms <= maxMs ? ms : undefined;
    },
  };
}
