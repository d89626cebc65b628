/** How the connection is kept from others, in the words of libpq. */
export interface PostgresTls {
  readonly mode: 'disable' | 'require' | 'verify-ca' | 'verify-full';
  /** Paths of PEM files: who may have signed the server's certificate; this node's own certificate and key. */
  readonly rootCertificate?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
}

/** Where a database is, and how this process uses it. */
export interface PostgresSettings {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password?: string | undefined;
  /** Read at each connection, so that a password can be changed without a restart. */
  readonly passwordFile?: string | undefined;
  readonly tls: PostgresTls;
  /** The PostgreSQL schema of the tables. */
  readonly schema: string;
  /** Connections for reads; those that write take one more. */
  readonly poolSize: number;
  readonly statementTimeoutMs: number;
}

/** For messages: no user, no password. */
export function placeOf({ host, port, database }: PostgresSettings): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}/${database}`;
}

/**
 * A node that stops in the middle of a turn (SIGSTOP, a machine that hangs) has the store to itself for so long; then the
 * server ends its session, and others go on. Far above what a turn takes, below what a request waits.
 */
export const IDLE_IN_TRANSACTION_MS = 3_000;
/** How long a turn waits for the store: a little more than a stalled node may hold it. */
export const LOCK_TIMEOUT_MS = 4_000;
/** A session whose client takes no more bytes is ended too; there the server does not look at its own timeouts. */
export const UNSENT_BYTES_MS = 4_000;
export const CONNECT_TIMEOUT_MS = 3_000;
/** How much longer than the server's own statement timeout a client waits before it gives up the connection. */
export const ANSWER_GRACE_MS = 1_000;
/** How long a server may take to hear that a connection ends. */
export const GOODBYE_MS = 2_000;
export const KEEP_ALIVE_MS = 10_000;
export const POOL_IDLE_MS = 60_000;
/** No new try of a turn or a read begins after this long. */
export const RETRY_MS = 5_000;
export const OPEN_MS = 10_000;
/** Pauses between tries: the first and the longest. */
export const PAUSE_MS_MIN = 10;
export const PAUSE_MS_MAX = 500;
/**
 * So many turns stay on record, so that one whose answer was lost can be found out: at two thousand a second, for twice as
 * long as that is tried.
 */
export const TURNS_KEPT = 20_000;
