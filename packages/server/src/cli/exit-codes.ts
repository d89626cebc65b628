import { MeridianRequestError, MeridianUnreachableError } from '@meridian/client/errors';
import { SettingError } from '../config/setting-error.ts';

export const EXIT = { done: 0, failed: 1, usage: 2, notFound: 3, conflict: 4, unreachable: 5 } as const;

export const EXIT_CODES_HELP = `Exit codes:
  0  done
  1  the request failed
  2  wrong usage or setting
  3  not found
  4  conflict, or a condition that does not hold
  5  the node cannot be reached`;

/** A command that ends without success. What it had to say is its message; an empty one says nothing. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
  readonly exitCode: number;

  constructor(exitCode: number, message = '') {
    super(message);
    this.exitCode = exitCode;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandFailure) return error.exitCode;
  if (error instanceof SettingError) return EXIT.usage;
  if (error instanceof MeridianUnreachableError) return EXIT.unreachable;
  if (!(error instanceof MeridianRequestError)) return EXIT.failed;
  if (error.status === 404) return EXIT.notFound;
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

function figuresText(error: MeridianRequestError): string {
  const { required, reached, missingRegions } = error.figures;
  if (typeof required !== 'number' || typeof reached !== 'number') return '';
  if (error.detail.includes(String(required))) return '';
  const missing = Array.isArray(missingRegions) ? `, missing ${missingRegions.join(' and ')}` : '';
  return `: required ${required}, reached ${reached}${missing}`;
}
