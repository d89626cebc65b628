import type { Model, State, Step } from './model.ts';
import type { Operation } from './operation.ts';

/** Tries every order, remembering nothing: too slow for more than a handful of operations, and too plain to be wrong. */
export function isLinearizableByBruteForce(operations: readonly Operation[], model: Model): boolean {
  const steps = operations.flatMap((operation) => {
    const step = model.step(operation);
    return step ? [{ operation, step }] : [];
  });
  return fits(steps, model.initial);
}

type Waiting = readonly { readonly operation: Operation; readonly step: Step }[];

function fits(waiting: Waiting, state: State): boolean {
  if (waiting.every(({ operation }) => operation.outcome === 'open')) return true;
  return waiting.some(({ operation, step }) => {
    const isTooEarly = waiting.some((other) => other.operation.returnedAt < operation.calledAt);
    const next = isTooEarly ? undefined : step(state);
    const rest = waiting.filter((other) => other.operation !== operation);
    return next !== undefined && fits(rest, next);
  });
}
