import type { MeridianClient } from '@meridian/client/client';
import { adviceFor, MeridianRequestError, MeridianUnreachableError } from '@meridian/client/errors';
import type { NumberedRow } from './chunks.ts';

export interface FailedRow {
  readonly row: NumberedRow;
  readonly code: string;
  readonly detail: string;
}

interface Attempt {
  readonly failed: readonly FailedRow[];
  /** Rows worth another try, and why the last one failed. */
  readonly again: readonly FailedRow[];
}

const ATTEMPTS_MAX = 6;
const FIRST_PAUSE_MS = 200;
const PAUSE_MS_MAX = 5_000;

/**
 * Writes the rows of a chunk, and tries again those that failed for the moment. Writing a row twice leaves what writing
 * it once does, so a batch without an answer is tried again too. Throws only where no row could be sent at all.
 */
export async function sendChunk(
  client: MeridianClient,
  rows: readonly NumberedRow[],
  pause: (ms: number) => Promise<void>,
): Promise<readonly FailedRow[]> {
  const failed: FailedRow[] = [];
  let left = rows;
  for (let attempt = 1; ; attempt++) {
    const outcome = await attemptRows(client, left).catch((error: unknown) => {
      if (attempt < ATTEMPTS_MAX && isForTheMoment(error)) return undefined;
      throw error;
    });
    if (outcome) {
      failed.push(...outcome.failed);
      if (outcome.again.length === 0) return failed;
      if (attempt === ATTEMPTS_MAX) return [...failed, ...outcome.again];
      left = outcome.again.map(({ row }) => row);
    }
    await pause(Math.min(PAUSE_MS_MAX, FIRST_PAUSE_MS * 2 ** (attempt - 1)));
  }
}

async function attemptRows(client: MeridianClient, rows: readonly NumberedRow[]): Promise<Attempt> {
  const results = await client.batchTexts(rows.map((row) => row.operation)).catch((error: unknown) => {
    // The whole batch was refused for what one of its rows is: find out which.
    if (error instanceof MeridianRequestError && isOfARow(error)) return error;
    throw error;
  });
  if (results instanceof MeridianRequestError) return refused(client, rows, results);
  if (results.length !== rows.length)
    throw new MeridianRequestError(200, 'NOT_MERIDIAN', 'the answer to a batch has another length');
  const bad = rows.flatMap((row, at) => {
    const { status = 500, code = `HTTP_${status}`, detail = 'no reason was given' } = results[at] ?? {};
    return status < 400 ? [] : [{ row, code, detail, isForTheMoment: isWorthAnother(status, code) }];
  });
  return { failed: bad.filter((one) => !one.isForTheMoment), again: bad.filter((one) => one.isForTheMoment) };
}

async function refused(
  client: MeridianClient,
  rows: readonly NumberedRow[],
  error: MeridianRequestError,
): Promise<Attempt> {
  const [first, ...others] = rows;
  if (!first) return { failed: [], again: [] };
  if (others.length === 0) return { failed: [{ row: first, code: error.code, detail: error.detail }], again: [] };
  const half = Math.ceil(rows.length / 2);
  const left = await attemptRows(client, rows.slice(0, half));
  const right = await attemptRows(client, rows.slice(half));
  return { failed: [...left.failed, ...right.failed], again: [...left.again, ...right.again] };
}

/** What is not there, or no node, is not so for any of the rows. */
function isOfARow({ retry, status, code }: MeridianRequestError): boolean {
  return retry === 'fix' && status !== 404 && code !== 'NOT_MERIDIAN';
}

function isForTheMoment(error: unknown): boolean {
  if (error instanceof MeridianUnreachableError) return true;
  return error instanceof MeridianRequestError && isWorthAnother(error.status, error.code);
}

function isWorthAnother(status: number, code: string): boolean {
  const advice = adviceFor(status, code);
  return advice === 'retry' || advice === 'later' || code === 'OUTCOME_UNKNOWN';
}
