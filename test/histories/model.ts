import type { Operation } from './operation.ts';

/** A state of one key, as text, so that equal states are equal texts. */
export type State = string;

/**
 * The state after an operation that takes its place here with the outcome it had; `undefined` where it cannot have had
 * that outcome here. Of an open operation: the state where it takes effect.
 */
export type Step = (state: State) => State | undefined;

export interface Model {
  readonly name: string;
  readonly initial: State;
  /** `undefined` for an operation that says nothing and changes nothing. @throws Error for one that the model does not know */
  readonly step: (operation: Operation) => Step | undefined;
  /** Texts of the values by which outcomes can tell states apart; without it, all are. */
  readonly comparedWith?: (operation: Operation) => readonly State[];
  /** For people. */
  readonly show: (state: State) => string;
}

/** Whether an operation with this outcome leaves every state as it is. A write of the value that is there already does not count. */
export function isObservation({ f, outcome }: Operation): boolean {
  return outcome === 'refused' || f === 'read' || f === 'relaxed-read';
}

/** No JSON text is empty. */
const ABSENT: State = '';
/** Holds a value that no outcome of the history can tell from others such. No JSON text. */
const UNSEEN: State = '?';

/** A model as one history needs it. */
export interface HistoryModel extends Model {
  /** Open operations with the same text here do the same to every state. */
  readonly effect: (operation: Operation) => string;
  /** Whether some outcome tells the value that the operation writes from others. */
  readonly isSeen: (operation: Operation) => boolean;
  /** Every state that the history could come upon; `undefined` where there is no end to them. */
  readonly states: readonly State[] | undefined;
}

/**
 * The model for one history: values that are only ever written, never read or compared with, are all the same to it. That
 * changes no verdict, and makes one state of many.
 */
export function forHistory(model: Model, operations: readonly Operation[]): HistoryModel {
  const { comparedWith } = model;
  if (!comparedWith)
    return {
      ...model,
      effect: ({ f, input }) => `${f} ${JSON.stringify(input)}`,
      isSeen: () => true,
      states: undefined,
    };
  const compared = new Set(operations.flatMap(comparedWith));
  const blur = (state: State) => (state === ABSENT || compared.has(state) ? state : UNSEEN);
  return {
    ...model,
    step: (operation) => {
      const step = model.step(operation);
      if (!step) return undefined;
      return (state) => {
        const next = step(state);
        return next === undefined ? undefined : blur(next);
      };
    },
    effect: (operation) =>
      `${operation.f} ${comparedWith(operation).join()} ${blur(textOf(valueWrittenBy(operation)))}`,
    isSeen: (operation) => {
      const written = textOf(valueWrittenBy(operation));
      return written !== ABSENT && compared.has(written);
    },
    states: [...new Set([...compared, ABSENT, UNSEEN])],
  };
}

/** The value that the operation leaves where it takes effect; of deletes `null`, of reads `undefined`. */
export function valueWrittenBy({ f, input }: Operation): unknown {
  if (f === 'write' || f === 'create') return input;
  if (f === 'cas') return (input as readonly unknown[])[1];
  return f === 'delete' || f === 'cas-delete' ? null : undefined;
}

/** A key that is read, written and deleted. */
export const registerModel: Model = {
  name: 'register',
  initial: ABSENT,
  step: registerStep,
  comparedWith,
  show: showValue,
};

/**
 * A register that is also compared and set, by value: `cas` [expected, new], `create` new, `cas-delete` expected, and
 * `relaxed-read`. Where each write has a value of its own, this is exact for conditions by version too (`tags.ts` holds
 * the tags against the values).
 */
export const casRegisterModel: Model = { ...registerModel, name: 'cas-register', step: casRegisterStep };

/**
 * A register that counts its changes, deletes among them. `read` gives {value, version}, or `null` for an absent value; `write`,
 * `create` and `cas` {version, value} give {version}; `delete` and `cas-delete` {version} give `null`.
 */
export const versionedRegisterModel: Model = {
  name: 'versioned-register',
  initial: '0',
  step: versionedStep,
  show: (state) => {
    const { version, value } = versioned(state);
    return `${showValue(value)}, version ${version}`;
  },
};

export const MODELS: readonly Model[] = [registerModel, casRegisterModel, versionedRegisterModel];

function comparedWith({ f, input, output }: Operation): readonly State[] {
  if (f === 'read' || f === 'relaxed-read') return [textOf(output)];
  if (f === 'cas') return [textOf((input as readonly unknown[])[0])];
  return f === 'cas-delete' ? [textOf(input)] : [];
}

function showValue(state: State): string {
  if (state === UNSEEN) return 'a value that nobody saw';
  return state === ABSENT ? 'absent' : state.length > 60 ? `${state.slice(0, 57)}...` : state;
}

function textOf(value: unknown): State {
  return value === null || value === undefined ? ABSENT : JSON.stringify(value);
}

function registerStep(operation: Operation): Step | undefined {
  const { f, input, output, outcome } = operation;
  if (outcome === 'failed') return undefined;
  switch (f) {
    case 'read':
      return outcome === 'ok' ? whereIt(is(textOf(output))) : undefined;
    case 'write':
      return becomes(textOf(input));
    case 'delete':
      if (outcome === 'open') return becomes(ABSENT);
      return outcome === 'ok' ? whereIt(isPresent, ABSENT) : whereIt(is(ABSENT));
    default:
      throw new Error(`a register knows no ${f}`);
  }
}

function casRegisterStep(operation: Operation): Step | undefined {
  const { f, input, output, outcome } = operation;
  if (outcome === 'failed') return undefined;
  const isRefused = outcome === 'refused';
  switch (f) {
    case 'relaxed-read':
      return outcome === 'ok' ? whereIt(is(textOf(output))) : undefined;
    case 'cas': {
      const [expected, value] = input as readonly [unknown, unknown];
      const condition = is(textOf(expected));
      return isRefused ? whereIt(not(condition)) : whereIt(condition, textOf(value));
    }
    case 'create':
      return isRefused ? whereIt(isPresent) : whereIt(is(ABSENT), textOf(input));
    case 'cas-delete': {
      const condition = is(textOf(input));
      return isRefused ? whereIt(not(condition)) : whereIt(condition, ABSENT);
    }
    default:
      return registerStep(operation);
  }
}

type Condition = (state: State) => boolean;
const is =
  (text: State): Condition =>
  (state) =>
    state === text;
const isPresent: Condition = (state) => state !== ABSENT;
const not =
  (condition: Condition): Condition =>
  (state) =>
    !condition(state);
const becomes =
  (next: State): Step =>
  () =>
    next;

function whereIt(condition: Condition, next?: State): Step {
  return (state) => (condition(state) ? (next ?? state) : undefined);
}

interface Versioned {
  readonly version: number;
  readonly value: State;
}

function versioned(state: State): Versioned {
  const end = state.indexOf('|');
  if (end === -1) return { version: Number(state), value: ABSENT };
  return { version: Number(state.slice(0, end)), value: state.slice(end + 1) };
}

function stateOf({ version, value }: Versioned): State {
  return value === ABSENT ? String(version) : `${version}|${value}`;
}

/** Every change takes the next version, and an answer that names one names that. */
function change(state: State, value: State, output: unknown): State | undefined {
  const version = versioned(state).version + 1;
  const named = (output as { version?: number } | null)?.version;
  return named === undefined || named === version ? stateOf({ version, value }) : undefined;
}

function versionedStep({ f, input, output, outcome }: Operation): Step | undefined {
  if (outcome === 'failed') return undefined;
  const isRefused = outcome === 'refused';
  const changing =
    (condition: Condition, value: State): Step =>
    (state) => {
      if (isRefused) return condition(state) ? undefined : state;
      return condition(state) ? change(state, value, output) : undefined;
    };
  const holdsValue: Condition = (state) => versioned(state).value !== ABSENT;
  const hasVersion =
    (version: number): Condition =>
    (state) =>
      holdsValue(state) && versioned(state).version === version;
  switch (f) {
    case 'read': {
      if (outcome !== 'ok') return undefined;
      const read = output as { readonly value: unknown; readonly version: number } | null;
      if (read === null) return whereIt(not(holdsValue));
      return whereIt(is(stateOf({ version: read.version, value: textOf(read.value) })));
    }
    case 'write':
      return (state) => change(state, textOf(input), output);
    case 'create':
      return changing(not(holdsValue), textOf(input));
    case 'delete':
      return changing(holdsValue, ABSENT);
    case 'cas': {
      const { version, value } = input as { readonly version: number; readonly value: unknown };
      return changing(hasVersion(version), textOf(value));
    }
    case 'cas-delete':
      return changing(hasVersion((input as { readonly version: number }).version), ABSENT);
    default:
      throw new Error(`a versioned register knows no ${f}`);
  }
}
