import { type Model, valueWrittenBy } from './model.ts';
import type { Operation } from './operation.ts';
import { Search } from './search.ts';
import { violationInStretch } from './stretches.ts';
import type { Verdict } from './verdict.ts';

export interface CheckOptions {
  /** Places tried before the search gives up and says so. */
  readonly stepsMax?: number;
}

const STEPS_MAX = 30_000_000;
/** Histories that are in order take a few dozen steps for each operation, and seldom more than this in all. */
const STEPS_AT_ONCE = 1_000_000;

/**
 * Whether the operations of one key can be put into one order that respects real time (what had returned before another was
 * called comes before it) and that the model agrees to. Open operations may stand anywhere after their call, or nowhere.
 *
 * The search is that of Wing and Gong (*Testing and verifying concurrent objects*, 1993) on Lowe's linked list with a memory
 * of configurations (*Testing for linearizability*, 2017), with three cuts, each of which loses no order that matters:
 * 1. An answered observation that fits here is placed here: wherever it stands later, it can stand here.
 * 2. An open operation is placed only where what follows needs it: placed for nothing, it could as well stand nowhere.
 *    Of several that would do the same, the one called first is taken.
 * 3. A configuration is not entered where another with the same answered operations and the same state was seen that had
 *    used up no other open operations: whatever follows from the one follows from the other.
 *
 * Where no order is found soon, the stretch before the answer that nothing explained is looked at alone (`stretches.ts`): a
 * violation shows there in a fraction of the time that it takes to go through all that might have been before it.
 */
export function checkLinearizable(
  operations: readonly Operation[],
  model: Model,
  { stepsMax = STEPS_MAX }: CheckOptions = {},
): Verdict {
  const history = relaxed(operations);
  for (let limit = Math.min(stepsMax, STEPS_AT_ONCE); ; limit = Math.min(stepsMax, limit * 6)) {
    const verdict = new Search(history, model, { stepsMax: limit }).run();
    if (verdict.verdict !== 'undecided') return verdict;
    const violated = violationInStretch(history, model, verdict);
    if (violated || limit === stepsMax) return violated ?? verdict;
  }
}

/**
 * A relaxed read promises a value that was there at some time before, not that it still was when the read began: it may be
 * placed anywhere from the first write of that value on. That no value was there is true of every key once.
 */
function relaxed(operations: readonly Operation[]): readonly Operation[] {
  if (!operations.some(({ f }) => f === 'relaxed-read')) return operations;
  const writtenAt = new Map<string, number>();
  for (const operation of operations) {
    const text = JSON.stringify(valueWrittenBy(operation));
    if (operation.outcome !== 'failed' && !writtenAt.has(text)) writtenAt.set(text, operation.calledAt);
  }
  return operations.flatMap((operation) => {
    if (operation.f !== 'relaxed-read' || operation.outcome !== 'ok') return [operation];
    if (operation.output === null) return [];
    const calledAt = writtenAt.get(JSON.stringify(operation.output));
    // Between two events of the history, so that no two ends fall together.
    return [calledAt === undefined ? operation : { ...operation, calledAt: calledAt + 0.5 }];
  });
}
