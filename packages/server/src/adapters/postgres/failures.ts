import { DatabaseError } from 'pg';

/**
 * What a failure says about what was asked for.
 * - `undone`: the server undid it, and the session can be used again
 * - `lost`: the session is of no use any more; what it was told last may or may not have been done
 * - `full`: undone for want of disk
 * - `refused`: to ask again would bring the same answer
 */
export type FailureKind = 'undone' | 'lost' | 'full' | 'refused';

/** A failure in words that name no key, no value and no password: the driver's own errors may quote them. */
export class PostgresFailure extends Error {
  override readonly name = 'PostgresFailure';
  readonly kind: FailureKind;
  /** SQLSTATE, or a system's error code. */
  readonly code: string | undefined;
  /** Whether the server said so itself. */
  readonly isAnswer: boolean;

  constructor(kind: FailureKind, message: string, code?: string, isAnswer = false) {
    super(message);
    this.kind = kind;
    this.code = code;
    this.isAnswer = isAnswer;
  }
}

/** The session leads to a copy that may lag behind: it can neither be written nor trusted to know what was committed. */
export function standbyFailure(): PostgresFailure {
  return new PostgresFailure('lost', 'the server is a standby');
}

export function failureOf(error: unknown): PostgresFailure {
  if (error instanceof PostgresFailure) return error;
  if (error instanceof DatabaseError) return serverFailure(error);
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = code === undefined ? oneLine(String(message)) : (SYSTEM_REASONS.get(code) ?? code);
  return new PostgresFailure(isOurs(error) ? 'refused' : 'lost', reason, code);
}

/** A fault of this program, which no new connection mends. */
function isOurs(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
}

function serverFailure({ code = '', message }: DatabaseError): PostgresFailure {
  const isQuiet = QUIET_CLASSES.has(code.slice(0, 2));
  const text = isQuiet ? `SQLSTATE ${code}` : `${oneLine(message)} (SQLSTATE ${code})`;
  return new PostgresFailure(kindOf(code), text, code, true);
}

function kindOf(code: string): FailureKind {
  if (code === '53100') return 'full';
  if (UNDONE.has(code)) return 'undone';
  if (LOST.has(code) || LOST_CLASSES.has(code.slice(0, 2))) return 'lost';
  return 'refused';
}

/** Serialization failure, deadlock, lock not had in time, statement cancelled. */
const UNDONE: ReadonlySet<string> = new Set(['40001', '40P01', '55P03', '57014']);

/**
 * Read-only (a former primary, or an operator's switch), a transaction that was ended or is not there, a prepared
 * statement that is gone or whose tables changed, a completion that is not known.
 */
const LOST: ReadonlySet<string> = new Set(['25006', '25P01', '25P02', '25P03', '25P04', '26000', '0A000', '40003']);

/** Connection exceptions, a shortage of resources, an operator at work, trouble of the machine, an internal error. */
const LOST_CLASSES: ReadonlySet<string> = new Set(['08', '53', '57', '58', 'XX']);

/** Of wrong data and broken constraints PostgreSQL's messages quote values. */
const QUIET_CLASSES: ReadonlySet<string> = new Set(['21', '22', '23']);

/** At the opening these are told at once: neither credentials, a database nor a privilege come by waiting. */
const HOPELESS_CLASSES: ReadonlySet<string> = new Set(['28', '3D', '42']);

export function isHopeless({ kind, code = '' }: PostgresFailure): boolean {
  return kind === 'refused' && HOPELESS_CLASSES.has(code.slice(0, 2));
}

const SYSTEM_REASONS: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'connection refused'],
  ['ECONNRESET', 'connection reset'],
  ['EPIPE', 'connection closed'],
  ['ETIMEDOUT', 'connection timed out'],
  ['ENOTFOUND', 'unknown host'],
  ['EAI_AGAIN', 'the name of the host cannot be looked up'],
  ['EHOSTUNREACH', 'no route to the host'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', "the server's certificate is for another host"],
  ['CERT_HAS_EXPIRED', "the server's certificate has expired"],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', "the server's certificate is signed by nobody trusted"],
  ['SELF_SIGNED_CERT_IN_CHAIN', "the server's certificate is signed by nobody trusted"],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', "the server's certificate is signed by nobody trusted"],
]);

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
