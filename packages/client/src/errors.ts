import { ERRORS, type Figures, isErrorCode, type RetryAdvice } from '@meridian/core/wire/errors';

/** What a server answered instead of what was asked for: its problem document (RFC 9457), typed. */
export class MeridianRequestError extends Error {
  override readonly name = 'MeridianRequestError';
  readonly status: number;
  /** From the table in docs/reference/errors.md; a server of another version may have others. */
  readonly code: string;
  readonly detail: string;
  /** What the error counts, e.g. `required`, `reached` and `missingRegions` of QUORUM_UNAVAILABLE. */
  readonly figures: Figures;

  constructor(status: number, code: string, detail: string, figures: Figures = {}) {
    super(`${code}: ${detail}`);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.figures = figures;
  }

  /** What to do about it: repeat it as it is, repeat it later, change the request, look at the outcome first, give up. */
  get retry(): RetryAdvice {
    return adviceFor(this.status, this.code);
  }
}

/** No answer came: the server could not be reached, or the time ran out. A write may have happened all the same, unless `wasSent` is false. */
export class MeridianUnreachableError extends Error {
  override readonly name = 'MeridianUnreachableError';
  readonly endpoint: string;
  readonly isTimeout: boolean;
  /** `false` where the request surely never left. */
  readonly wasSent: boolean;

  constructor(endpoint: string, reason: string, options: { isTimeout: boolean; wasSent: boolean; cause?: unknown }) {
    super(`${endpoint} does not answer: ${reason}`, { cause: options.cause });
    this.endpoint = endpoint;
    this.isTimeout = options.isTimeout;
    this.wasSent = options.wasSent;
  }
}

/** What answers is some other server. `how` says what gave it away, where that helps. */
export function foreign(endpoint: string, status = 200, how = ''): MeridianRequestError {
  const detail = `${endpoint} answers as no node of Meridian does${how && `: ${how}`}`;
  return new MeridianRequestError(status, 'NOT_MERIDIAN', detail);
}

/** The advice of the error table for what a server answered; statuses decide where the code is not known here. */
export function adviceFor(status: number, code: string): RetryAdvice {
  if (isErrorCode(code)) return ERRORS[code].retry;
  if (status === 408) return 'retry';
  if (status === 429 || status === 503 || status === 507) return 'later';
  return status >= 500 ? 'check' : 'fix';
}

const STANDARD_MEMBERS = new Set(['type', 'title', 'status', 'code', 'detail', 'instance', 'requestId']);

/** Reads a problem document; of an answer that is none (a proxy's page), the status is what is known. */
export function problemOf({
  status,
  bytes,
}: {
  readonly status: number;
  readonly bytes: Uint8Array;
}): MeridianRequestError {
  const problem = parseObject(new TextDecoder().decode(bytes));
  if (!problem) return new MeridianRequestError(status, `HTTP_${status}`, `the server answered with status ${status}`);
  const code = typeof problem.code === 'string' ? problem.code : `HTTP_${status}`;
  const told = problem.detail ?? problem.title;
  const detail = typeof told === 'string' ? told : `the server answered with status ${status}`;
  const figures = Object.fromEntries(Object.entries(problem).filter(([name]) => !STANDARD_MEMBERS.has(name)));
  return new MeridianRequestError(status, code, detail, figures as Figures);
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
