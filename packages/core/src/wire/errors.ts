/** What a client does with an error: `retry` it as it is, `later` after the pause named, `fix` the request, `check` the outcome first. */
export type RetryAdvice = 'retry' | 'later' | 'fix' | 'check' | 'never';

export interface ErrorKind {
  readonly status: number;
  readonly title: string;
  readonly retry: RetryAdvice;
}

const kind = (status: number, title: string, retry: RetryAdvice): ErrorKind => ({ status, title, retry });

/** The one table of errors. `docs/reference/errors.md` is tested against it. */
export const ERRORS = {
  INVALID_REQUEST: kind(400, 'The request is malformed', 'fix'),
  INVALID_KEY: kind(400, 'The key is empty, too long, a dot segment or not UTF-8', 'fix'),
  INVALID_BODY: kind(400, 'The body is not what this call takes', 'fix'),
  INVALID_PARAMETER: kind(400, 'A query parameter or header has an impossible value', 'fix'),
  INVALID_CONTEXT: kind(400, 'The context was not issued by this cluster for this key', 'fix'),
  INVALID_SESSION: kind(400, 'The session token was not issued by this cluster', 'fix'),
  INVALID_CURSOR: kind(400, 'The cursor was not issued by this cluster for this listing', 'fix'),
  INVALID_NAMESPACE: kind(400, 'The namespace is named or defined in an impossible way', 'fix'),
  FORBIDDEN: kind(403, 'The request needs a right that it does not carry', 'fix'),
  KEY_NOT_FOUND: kind(404, 'The key has no live value', 'fix'),
  NAMESPACE_NOT_FOUND: kind(404, 'There is no namespace of this name', 'fix'),
  LEDGER_ENTRY_NOT_FOUND: kind(404, 'The ledger holds no such value', 'fix'),
  NO_SUCH_PATH: kind(404, 'There is nothing at this path', 'fix'),
  METHOD_NOT_ALLOWED: kind(405, 'This path does not take this method', 'fix'),
  NOT_ACCEPTABLE: kind(406, 'The answer cannot be given in an accepted media type', 'fix'),
  REQUEST_TIMEOUT: kind(408, 'The request did not arrive in time', 'retry'),
  KEY_EXISTS: kind(409, 'The key has a live value already', 'fix'),
  CONDITION_NEEDS_STRONG_NAMESPACE: kind(409, 'Conditional writes are exact only in namespaces of mode strong', 'fix'),
  NAMESPACE_CONFLICT: kind(409, 'The namespace cannot be changed in this way', 'fix'),
  CONDITION_FAILED: kind(412, 'The condition of the request does not hold', 'check'),
  VALUE_TOO_LARGE: kind(413, 'The body is larger than this server takes', 'fix'),
  UNSUPPORTED_MEDIA_TYPE: kind(415, 'This call does not take a body of this type', 'fix'),
  EXPECTATION_FAILED: kind(417, 'The expectation of the request cannot be met', 'fix'),
  IDEMPOTENCY_KEY_REUSED: kind(422, 'The idempotency key was used for another request', 'fix'),
  RATE_LIMITED: kind(429, 'Too many requests at once', 'later'),
  HEADERS_TOO_LARGE: kind(431, 'The headers are larger than this server takes', 'fix'),
  INTERNAL: kind(500, 'The server failed; the log of the node has more under the request id', 'check'),
  NOT_BUILT: kind(501, 'This is not built yet', 'never'),
  QUORUM_UNAVAILABLE: kind(503, 'Too few replicas can be reached; nothing was written', 'later'),
  REPLICA_UNAVAILABLE: kind(503, 'No replica that may answer can be reached', 'later'),
  SESSION_NOT_COVERED: kind(503, 'No reachable replica holds all that this session has seen', 'later'),
  SHUTTING_DOWN: kind(503, 'The node is stopping', 'retry'),
  STORE_UNAVAILABLE: kind(503, 'The store does not answer; nothing was written', 'later'),
  OUTCOME_UNKNOWN: kind(504, 'The time ran out after the write may have taken effect', 'check'),
  STORE_FULL: kind(507, 'The disk is full; nothing was written', 'later'),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;
export type Figures = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** A failure with a name from the table. `detail` and `figures` are shown to clients: no secret, path or stack goes in. */
export class MeridianError extends Error {
  override readonly name = 'MeridianError';
  readonly code: ErrorCode;
  readonly figures: Figures;

  constructor(code: ErrorCode, detail: string, figures: Figures = {}) {
    super(detail);
    this.code = code;
    this.figures = figures;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}
