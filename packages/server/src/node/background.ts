import type { Log } from '../ports/log.ts';

/** Work that nobody waits for: where it fails, the log says so. */
export function inBackground(log: Log, what: string, work: Promise<unknown>): void {
  work.catch((error: unknown) => log.warn({ what, reason: (error as Error).message }, 'background work failed'));
}
