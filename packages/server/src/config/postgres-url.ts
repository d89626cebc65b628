/** A PostgreSQL database as its URL names it. Figures are in milliseconds and connections; files are named, not read. */
export interface PostgresUrl {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly tls: {
    readonly mode: TlsMode;
    readonly rootCertificate?: string | undefined;
    readonly certificate?: string | undefined;
    readonly key?: string | undefined;
  };
  readonly schema: string;
  readonly poolSize: number;
  readonly statementTimeoutMs: number;
}

export type TlsMode = 'disable' | 'require' | 'verify-ca' | 'verify-full';

const TLS_MODES: readonly TlsMode[] = ['disable', 'require', 'verify-ca', 'verify-full'];
const PORT_DEFAULT = 5432;
const POOL_DEFAULT = 8;
const POOL_MAX = 1_000;
const STATEMENT_TIMEOUT_MS_DEFAULT = 5_000;
const STATEMENT_TIMEOUT_MS_MIN = 100;
const STATEMENT_TIMEOUT_MS_MAX = 600_000;
const SCHEMA_DEFAULT = 'meridian';
const SCHEMA = /^[a-z_][a-z0-9_]{0,62}$/;
const PARAMETERS: ReadonlySet<string> = new Set([
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'pool',
  'statement_timeout',
  'schema',
  'password_file',
]);

/**
 * `postgres://user:password@host:port/database?sslmode=...&schema=...`. Without `sslmode`, a server on this machine is
 * spoken to in the clear, any other over TLS. A password comes from the URL, else from `password_file`, else from
 * PGPASSWORD in `environment`.
 * @throws Error with one line that says what is wrong, and holds no password
 */
export function parsePostgresUrl(
  text: string,
  environment: { readonly PGPASSWORD?: string | undefined } = {},
): PostgresUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'postgres:' && url?.protocol !== 'postgresql:') {
    throw new Error('expected postgres://USER:PASSWORD@HOST:PORT/DATABASE; signs that end a part are written as %XX');
  }
  const parameters = parametersOf(url);
  const { host, port, database } = addressOf(url);
  const user = decoded(url.username, 'the user');
  if (user === '') throw new Error('the URL names no user: postgres://USER@HOST/DATABASE');
  return {
    host,
    port,
    database,
    user,
    ...passwordOf(url, parameters, environment),
    tls: tlsOf(parameters, host),
    schema: schemaOf(parameters),
    poolSize: integerOf(parameters, 'pool', POOL_DEFAULT, 1, POOL_MAX),
    statementTimeoutMs: integerOf(
      parameters,
      'statement_timeout',
      STATEMENT_TIMEOUT_MS_DEFAULT,
      STATEMENT_TIMEOUT_MS_MIN,
      STATEMENT_TIMEOUT_MS_MAX,
    ),
  };
}

/** Where the database is, for messages: no user, no password, no parameters. @throws as `parsePostgresUrl` */
export function describeDatabase(text: string): string {
  const { host, port, database } = parsePostgresUrl(text);
  return `${host.includes(':') ? `[${host}]` : host}:${port}/${database}`;
}

function addressOf(url: URL): { host: string; port: number; database: string } {
  const host = decoded(url.hostname, 'the host').replace(/^\[(.*)\]$/, '$1');
  if (host === '') throw new Error('the URL names no host: postgres://USER@HOST/DATABASE');
  const database = decoded(url.pathname.slice(1), 'the database');
  if (database === '' || database.includes('/')) {
    throw new Error('the URL names no database: postgres://USER@HOST/DATABASE');
  }
  return { host, port: url.port === '' ? PORT_DEFAULT : Number(url.port), database };
}

function parametersOf(url: URL): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (!PARAMETERS.has(name)) {
      throw new Error(`unknown parameter ${JSON.stringify(name)}: expected one of ${[...PARAMETERS].join(', ')}`);
    }
    if (parameters.has(name)) throw new Error(`${name} is given twice`);
    if (value === '') throw new Error(`${name} is empty`);
    parameters.set(name, value);
  }
  return parameters;
}

function passwordOf(
  url: URL,
  parameters: ReadonlyMap<string, string>,
  { PGPASSWORD }: { readonly PGPASSWORD?: string | undefined },
): { password?: string; passwordFile?: string } {
  const passwordFile = parameters.get('password_file');
  if (url.password !== '') {
    if (passwordFile !== undefined) throw new Error('a password and a password_file are given: one of them is enough');
    return { password: decoded(url.password, 'the password') };
  }
  if (passwordFile !== undefined) return { passwordFile };
  return PGPASSWORD === undefined || PGPASSWORD === '' ? {} : { password: PGPASSWORD };
}

function tlsOf(parameters: ReadonlyMap<string, string>, host: string): PostgresUrl['tls'] {
  const given = parameters.get('sslmode') ?? (isLoopback(host) ? 'disable' : 'require');
  const mode = TLS_MODES.find((candidate) => candidate === given);
  if (mode === undefined) throw new Error(`sslmode is ${JSON.stringify(given)}: expected ${TLS_MODES.join(', ')}`);
  const rootCertificate = parameters.get('sslrootcert');
  const certificate = parameters.get('sslcert');
  const key = parameters.get('sslkey');
  if ((certificate === undefined) !== (key === undefined)) throw new Error('sslcert and sslkey go together');
  if (mode === 'disable' && (rootCertificate ?? certificate) !== undefined) {
    throw new Error('certificates are given, but sslmode is disable');
  }
  if (mode === 'verify-ca' && rootCertificate === undefined) throw new Error('sslmode=verify-ca needs sslrootcert');
  return { mode, rootCertificate, certificate, key };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function schemaOf(parameters: ReadonlyMap<string, string>): string {
  const schema = parameters.get('schema') ?? SCHEMA_DEFAULT;
  if (!SCHEMA.test(schema) || schema.startsWith('pg_')) {
    throw new Error(
      `schema is ${JSON.stringify(schema)}: expected lower-case letters, digits and _, at most 63, not pg_`,
    );
  }
  return schema;
}

function integerOf(
  parameters: ReadonlyMap<string, string>,
  name: string,
  otherwise: number,
  min: number,
  max: number,
): number {
  const given = parameters.get(name);
  if (given === undefined) return otherwise;
  const value = /^\d{1,9}$/.test(given) ? Number(given) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new Error(`${name} is ${JSON.stringify(given)}: expected a whole number from ${min} to ${max}`);
}

function decoded(part: string, what: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Error(`${what} in the URL has a % that is followed by no two hexadecimal digits`);
  }
}
