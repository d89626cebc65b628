import type { Figure } from '../figure.ts';
import type { LoadGenerator } from '../load.ts';
import type { Options } from '../options.ts';
import type { Session } from '../session.ts';

export interface PartContext {
  readonly session: Session;
  readonly options: Options;
  readonly load: LoadGenerator;
  /** Tells what is being done, for who waits. */
  readonly say: (text: string) => void;
}

/** Starts what it measures, and stops it. @throws Error where a figure would say nothing */
export type Part = (context: PartContext) => Promise<readonly Figure[]>;
