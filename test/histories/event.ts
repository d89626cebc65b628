/** What a client did, and what it was told: the two ends of an operation are two events. */
export type EventType = 'invoke' | 'ok' | 'fail' | 'info';

/**
 * One line of a history.
 * - `invoke`: the request is about to be sent. `value` is what goes in.
 * - `ok`: it took effect, somewhen between its invocation and here. `value` is what came out.
 * - `fail`: it took no effect, and never will. With one of `OBSERVATIONS` as its `error` it is also an observation: at some
 *   moment in between, its condition did not hold.
 * - `info`: nobody knows whether it took effect, or may yet. Its process never does anything again.
 */
export interface HistoryEvent {
  /** A single thread of work: it has one operation at a time. */
  readonly process: number;
  readonly type: EventType;
  readonly f: string;
  readonly key: string;
  /** JSON. Of reads, `null` is the absence of a value. */
  readonly value: unknown;
  /** Milliseconds since the history began, by one clock that only goes forward. The order of the lines counts, not this. */
  readonly time: number;
  /** Of `fail` and `info`: the code of the problem. */
  readonly error?: string;
  /** The entity tag that came with the answer, or was named by the request. */
  readonly tag?: string;
  /** The session that the operation belonged to. It may outlive its process. */
  readonly session?: string;
  /** The region that was asked. */
  readonly at?: string;
}

/** Refusals that tell something of the key: the condition of the request did not hold. */
export const OBSERVATIONS: ReadonlySet<string> = new Set(['CONDITION_FAILED', 'KEY_EXISTS', 'KEY_NOT_FOUND']);

const TYPES: ReadonlySet<string> = new Set(['invoke', 'ok', 'fail', 'info']);
const FIELDS: ReadonlySet<string> = new Set([
  'process',
  'type',
  'f',
  'key',
  'value',
  'time',
  'error',
  'tag',
  'session',
  'at',
]);
const OPTIONAL_TEXTS = ['error', 'tag', 'session', 'at'] as const;

/** A history that says something impossible of itself. The message begins with the number of the line, from 1. */
export class HistoryProblem extends Error {
  override readonly name = 'HistoryProblem';
}

/** One line, without its end. */
export function lineOf({ process, type, f, key, value, time, ...more }: HistoryEvent): string {
  return JSON.stringify({ process, type, f, key, value: value ?? null, time, ...more });
}

/** @throws HistoryProblem where the text is no event, whatever stands around it */
export function eventOf(text: string): HistoryEvent {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new HistoryProblem('is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new HistoryProblem('is no object');
  const event = parsed as Partial<HistoryEvent> & Record<string, unknown>;
  const unknown = Object.keys(event).find((field) => !FIELDS.has(field));
  if (unknown !== undefined) throw new HistoryProblem(`has a field ${JSON.stringify(unknown)} that nobody knows`);
  if (!Number.isSafeInteger(event.process) || Number(event.process) < 0)
    throw new HistoryProblem('names no process: a whole number from 0');
  if (!TYPES.has(String(event.type))) throw new HistoryProblem(`has no type: one of ${[...TYPES].join(', ')}`);
  for (const field of ['f', 'key'] as const) {
    if (typeof event[field] !== 'string' || event[field] === '') throw new HistoryProblem(`has no text as ${field}`);
  }
  if (!('value' in event)) throw new HistoryProblem('has no value');
  if (!Number.isFinite(event.time) || Number(event.time) < 0) throw new HistoryProblem('has no time: milliseconds');
  for (const field of OPTIONAL_TEXTS) {
    if (field in event && typeof event[field] !== 'string') throw new HistoryProblem(`has no text as ${field}`);
  }
  return parsed as HistoryEvent;
}
