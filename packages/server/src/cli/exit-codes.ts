import { MeridianRequestError, MeridianUnreachableError } from '@meridian/client/errors';
import type { Receipt } from '@meridian/client/types';
import { SettingError } from '../config/setting-error.ts';

export const EXIT = { done: 0, failed: 1, usage: 2, notFound: 3, conflict: 4, unreachable: 5 } as const;

export const EXIT_CODES_HELP = `Exit codes:
  0  done
  1  the request failed
  2  wrong usage or setting
  3  not found
  4  conflict, or a condition that does not hold
  5  the node cannot be reached`;

/** What a program is told beside the message. */
export interface FailureFigures {
  /** From the error table, where one fits. */
  readonly code?: string;
  readonly receipt?: Receipt | undefined;
}

/** A command that ends without success. What it had to say is its message; an empty one says nothing. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly exitCode: number;
  readonly figures: FailureFigures;

  constructor(exitCode: number, message = '', figures: FailureFigures = {}) {
    super(message);
    this.exitCode = exitCode;
    this.figures = figures;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandFailure) return error.exitCode;
  if (error instanceof SettingError) return EXIT.usage;
  if (error instanceof MeridianUnreachableError) return EXIT.unreachable;
  if (!(error instanceof MeridianRequestError)) return EXIT.failed;
  // A path that is not there says nothing of the key: the endpoint is not a node's, or the node has no such part.
  if (error.status === 404) return error.code.endsWith('_NOT_FOUND') ? EXIT.notFound : EXIT.failed;
  // A script that reads and tries again on a conflict would do so for ever: this condition can never hold.
  if (error.code === 'CONDITION_NEEDS_STRONG_NAMESPACE') return EXIT.failed;
  return error.status === 409 || error.status === 412 ? EXIT.conflict : EXIT.failed;
}

/** One line for stderr. */
export function lineOf(error: unknown): string {
  if (error instanceof MeridianRequestError) return `${error.detail}${figuresText(error)} (${error.code})`;
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n')[0] ?? '';
}

/** What stderr is told: a line for eyes, or one of JSON; nothing where the failure has nothing to say. */
export function failureText(error: unknown, isJson: boolean): string {
  const line = lineOf(error);
  if (line === '') return '';
  return isJson
    ? `${JSON.stringify({ error: line, ...programFigures(error), exitCode: exitCodeOf(error) })}\n`
    : `meridian: ${line}\n`;
}

function programFigures(error: unknown): object {
  if (error instanceof MeridianRequestError) return { ...error.figures, code: error.code, status: error.status };
  return error instanceof CommandFailure ? error.figures : {};
}

function figuresText(error: MeridianRequestError): string {
  const { required, reached, missingRegions } = error.figures;
  if (typeof required !== 'number' || typeof reached !== 'number') return '';
  if (error.detail.includes(String(required))) return '';
  const missing = Array.isArray(missingRegions) ? `, missing ${missingRegions.join(' and ')}` : '';
  return `: required ${required}, reached ${reached}${missing}`;
}
