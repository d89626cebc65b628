import type { Operation, Outcome } from './operation.ts';

/** What a random history is made from; a source of choices, so that a test can shrink what it finds. */
export interface Choices {
  /** A whole number from 0 to below `bound`. */
  below(bound: number): number;
}

export interface Shape {
  readonly operations: number;
  /** How many values there are; `Infinity` gives each write a value of its own. */
  readonly values: number;
  /** How far, in operations, the ends of an interval may lie from the moment at which the operation takes effect. */
  readonly reach: number;
  /** Of so many operations one is never answered. */
  readonly openEvery: number;
}

const KINDS = ['read', 'write', 'cas', 'create', 'delete', 'cas-delete'] as const;
type Kind = (typeof KINDS)[number];

/**
 * A history that is linearizable because it was made so: operations take effect one after the other, each at its moment, and then
 * their intervals are widened around it. Unanswered ones have taken effect, or not, at a moment after their call.
 */
export function linearizableHistory(choices: Choices, shape: Shape): readonly Operation[] {
  let state: unknown = null;
  let written = 0;
  const newValue = () => (shape.values === Number.POSITIVE_INFINITY ? `v${written++}` : choices.below(shape.values));
  const anyValue = () => {
    const bound = shape.values === Number.POSITIVE_INFINITY ? written + 1 : shape.values;
    return shape.values === Number.POSITIVE_INFINITY ? `v${choices.below(bound)}` : choices.below(bound);
  };
  const operations: Operation[] = [];
  for (let moment = 0; moment < shape.operations; moment++) {
    const kind = KINDS[choices.below(KINDS.length)] as Kind;
    const expected = choices.below(2) === 0 ? state : anyValue();
    const input = inputOf(kind, expected, newValue);
    const after = effectOf(kind, state, input);
    const isOpen = choices.below(shape.openEvery) === 0;
    const happens = !isOpen || choices.below(2) === 0;
    const outcome: Outcome = isOpen ? 'open' : after === undefined ? 'refused' : 'ok';
    operations.push(
      operationAt(moment, { kind, input, output: kind === 'read' ? state : null, outcome }, choices, shape),
    );
    if (happens && after !== undefined) state = after;
  }
  return inCallOrder(operations);
}

/** Numbers operations by their calls, as a recorder would, and turns the ends of their intervals into places of events. */
export function inCallOrder(operations: readonly Operation[]): readonly Operation[] {
  return [...operations]
    .sort((one, other) => one.calledAt - other.calledAt)
    .map((operation, id) => ({ ...operation, id, process: id }));
}

function inputOf(kind: Kind, expected: unknown, newValue: () => unknown): unknown {
  if (kind === 'write' || kind === 'create') return newValue();
  if (kind === 'cas') return [expected, newValue()];
  return kind === 'cas-delete' ? expected : null;
}

/** By plain semantics, not by the model that is under test. `undefined` where the condition does not hold. */
function effectOf(kind: Kind, state: unknown, input: unknown): unknown {
  switch (kind) {
    case 'read':
      return state;
    case 'write':
      return input;
    case 'create':
      return state === null ? input : undefined;
    case 'delete':
      return state === null ? undefined : null;
    case 'cas': {
      const [expected, value] = input as readonly [unknown, unknown];
      return expected === state ? value : undefined;
    }
    case 'cas-delete':
      return input === state ? null : undefined;
  }
}

interface Told {
  readonly kind: Kind;
  readonly input: unknown;
  readonly output: unknown;
  readonly outcome: Outcome;
}

/** Ends are drawn so that no two of all operations fall together. */
function operationAt(
  moment: number,
  { kind, input, output, outcome }: Told,
  choices: Choices,
  shape: Shape,
): Operation {
  const GRAIN = 1_000;
  const before = choices.below(shape.reach * GRAIN + 1) / GRAIN;
  const after = choices.below(shape.reach * GRAIN + 1) / GRAIN;
  const tie = moment / (shape.operations * GRAIN * 10);
  const calledAt = moment - before - tie - 0.0001;
  const returnedAt = outcome === 'open' ? Number.POSITIVE_INFINITY : moment + after + tie + 0.0001;
  return {
    id: moment,
    process: moment,
    f: kind,
    key: 'k',
    input,
    output,
    outcome,
    calledAt,
    returnedAt,
    calledMs: calledAt,
    returnedMs: returnedAt,
  };
}
