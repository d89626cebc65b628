import { forHistory, isObservation, type Model, type State } from './model.ts';
import type { Operation } from './operation.ts';
import { Search } from './search.ts';
import type { Progress, Violated } from './verdict.ts';

/** Answers in a stretch. */
export const STRETCH_LENGTHS = [15, 50, 200, 800, 3_000];
const STEPS_MAX = 3_000_000;

/**
 * Looks for a violation in stretches that end at the answer which the furthest attempt could not explain. A stretch asks for
 * less than the whole history: the key may hold anything at its beginning, what was under way there has happened or not, and what nobody
 * answered may happen more than once. So a stretch that no order explains proves that there is none for the whole.
 */
export function violationInStretch(
  history: readonly Operation[],
  model: Model,
  { stuck, steps }: Pick<Progress, 'stuck'> & { readonly steps: number },
  lengths: readonly number[] = STRETCH_LENGTHS,
): Violated | undefined {
  if (!forHistory(model, []).states) return undefined;
  const end = stuck[0]?.returnedAt ?? Number.POSITIVE_INFINITY;
  const answered = history.filter(({ returnedAt }) => returnedAt <= end);
  const calls = answered.map(({ calledAt }) => calledAt).sort((one, other) => one - other);
  let spent = steps;
  for (const length of lengths) {
    const from = calls.at(-length) ?? calls[0] ?? 0;
    const stretch = history.flatMap((operation) => within(operation, from, end));
    const verdict = new Search(stretch, model, {
      stepsMax: STEPS_MAX,
      isLenient: true,
      initial: ({ states, initial }) => (from === calls[0] ? [initial] : (states as readonly State[])),
    }).run();
    spent += verdict.steps;
    if (verdict.verdict === 'violated')
      return { ...verdict, placed: verdict.placed + history.length - stretch.length, steps: spent };
    if (length > calls.length || verdict.verdict === 'undecided') return undefined;
  }
  return undefined;
}

/** An operation as the stretch knows it: whole, or open where it reaches out of it, or not at all. */
function within(operation: Operation, from: number, end: number): readonly Operation[] {
  const { calledAt, returnedAt, outcome } = operation;
  if (outcome === 'open') return calledAt <= end ? [operation] : [];
  if (returnedAt < from || calledAt > end) return [];
  if (calledAt >= from && returnedAt <= end) return [operation];
  return isObservation(operation) || outcome === 'failed'
    ? []
    : [{ ...operation, outcome: 'open', returnedAt: Number.POSITIVE_INFINITY }];
}
