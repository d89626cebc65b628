import { type HistoryEvent, OBSERVATIONS } from './event.ts';

/**
 * - `ok`: it took effect.
 * - `refused`: it took no effect, because its condition did not hold at some moment of it.
 * - `failed`: it took no effect, and tells nothing.
 * - `open`: it may have taken effect at any time since, or may yet, or never.
 */
export type Outcome = 'ok' | 'refused' | 'failed' | 'open';

/** The two events of an operation as one. */
export interface Operation {
  /** Its place in the order of invocations. */
  readonly id: number;
  readonly process: number;
  readonly f: string;
  readonly key: string;
  readonly input: unknown;
  readonly output: unknown;
  readonly outcome: Outcome;
  /** Places of its events in the history. `returnedAt` of an open one is `Infinity`. */
  readonly calledAt: number;
  readonly returnedAt: number;
  readonly calledMs: number;
  readonly returnedMs: number;
  readonly error?: string | undefined;
  /** The tag of the answer. */
  readonly tag?: string | undefined;
  /** The tag that the request named. */
  readonly conditionTag?: string | undefined;
  readonly session?: string | undefined;
  readonly at?: string | undefined;
}

/** Puts invocations and completions together, in the order of invocations. An invocation without an end stays open. */
export function operationsOf(events: readonly HistoryEvent[]): readonly Operation[] {
  const pending = new Map<number, number>();
  const operations: Operation[] = [];
  for (const [at, event] of events.entries()) {
    if (event.type === 'invoke') {
      pending.set(event.process, operations.length);
      operations.push(openOperation(operations.length, at, event));
      continue;
    }
    const id = pending.get(event.process);
    pending.delete(event.process);
    const operation = id === undefined ? undefined : operations[id];
    if (operation) operations[operation.id] = completed(operation, at, event);
  }
  return operations;
}

/** Operations by key, each in the order of invocations. */
export function byKey(operations: readonly Operation[]): ReadonlyMap<string, readonly Operation[]> {
  return Map.groupBy(operations, ({ key }) => key);
}

function openOperation(id: number, at: number, event: HistoryEvent): Operation {
  return {
    id,
    process: event.process,
    f: event.f,
    key: event.key,
    input: event.value,
    output: null,
    outcome: 'open',
    calledAt: at,
    returnedAt: Number.POSITIVE_INFINITY,
    calledMs: event.time,
    returnedMs: Number.POSITIVE_INFINITY,
    conditionTag: event.tag,
    session: event.session,
    at: event.at,
  };
}

function completed(operation: Operation, at: number, { type, value, time, error, tag }: HistoryEvent): Operation {
  if (type === 'info') return { ...operation, error };
  const outcome = type === 'ok' ? 'ok' : error !== undefined && OBSERVATIONS.has(error) ? 'refused' : 'failed';
  return { ...operation, outcome, output: value, returnedAt: at, returnedMs: time, error, tag };
}
