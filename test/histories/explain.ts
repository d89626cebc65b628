import type { Operation } from './operation.ts';
import type { Linearizable, Verdict } from './verdict.ts';

const OPEN_SHOWN = 12;
const STUCK_SHOWN = 12;

/** What the history of one key shows, for people: where an order ends, and which answers cannot follow. */
export function explain(key: string, verdict: Exclude<Verdict, Linearizable>): readonly string[] {
  const { placed, tail, state, stuck, open, steps } = verdict;
  const head =
    verdict.verdict === 'violated'
      ? `${key}: not linearizable`
      : `${key}: undecided after ${steps} steps; the furthest attempt:`;
  return [
    head,
    `  ${placed} operations fit in an order that ends with`,
    ...tail.map((operation) => `    ${showOperation(operation)}`),
    `  and leaves the key ${state === 'absent' ? 'absent' : `with ${state}`}. None of these can come next:`,
    ...listed(stuck, STUCK_SHOWN),
    ...(open.length === 0
      ? []
      : ['  Not answered, so free to take effect or not, and of no help:', ...listed(open, OPEN_SHOWN)]),
  ];
}

function listed(operations: readonly Operation[], shown: number): readonly string[] {
  const more = operations.length - shown;
  return [
    ...operations.slice(0, shown).map((operation) => `    ${showOperation(operation)}`),
    ...(more > 0 ? [`    and ${more} more`] : []),
  ];
}

/** One operation on one line. */
export function showOperation(operation: Operation): string {
  const { process, f, input, output, outcome, calledMs, returnedMs, error, at } = operation;
  const came =
    outcome === 'ok' ? showOutput(f, output) : outcome === 'open' ? `unknown${because(error)}` : `no${because(error)}`;
  const until = outcome === 'open' ? '' : `${returnedMs}`;
  return `${f}${input === null ? '' : ` ${short(input)}`} -> ${came}   (process ${process}${at === undefined ? '' : ` at ${at}`}, ${calledMs}..${until} ms)`;
}

function showOutput(f: string, output: unknown): string {
  if (output !== null) return short(output);
  return f === 'read' || f === 'relaxed-read' ? 'absent' : 'ok';
}

function because(error: string | undefined): string {
  return error === undefined ? '' : ` (${error})`;
}

function short(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
