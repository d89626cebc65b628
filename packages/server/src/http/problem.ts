import { ERRORS, type ErrorCode, MeridianError } from '@meridian/core/wire/errors';

export const PROBLEM_TYPE = 'application/problem+json';

/** Seconds that a client should wait where the advice of the table is `later`. */
export const RETRY_AFTER_SECONDS = 1;

/** Fields of RFC 9457 and ours; a figure of one of these names would hide them. */
const RESERVED = new Set(['type', 'title', 'status', 'code', 'detail', 'requestId']);

/** A name for the kind of error that never changes; docs/reference/errors.md explains each. */
export function problemTypeOf(code: ErrorCode): string {
  return `urn:meridian:error:${code}`;
}

/** The body of a failed answer (RFC 9457), as JSON text. Shows the error's own detail and figures, nothing else. */
export function renderProblem(error: MeridianError, requestId: string): string {
  const kind = ERRORS[error.code];
  const problem: Record<string, unknown> = {
    type: problemTypeOf(error.code),
    title: kind.title,
    status: kind.status,
    code: error.code,
    detail: error.message,
  };
  for (const [name, figure] of Object.entries(error.figures)) if (!RESERVED.has(name)) problem[name] = figure;
  problem.requestId = requestId;
  return JSON.stringify(problem);
}

/** The error that clients see for anything thrown: what is not from the table becomes `INTERNAL`, and keeps its text to itself. */
export function publicError(thrown: unknown): MeridianError {
  if (thrown instanceof MeridianError) return thrown;
  return new MeridianError(
    'INTERNAL',
    'The node failed in a way that it did not foresee. Its log has more under this request id.',
  );
}
