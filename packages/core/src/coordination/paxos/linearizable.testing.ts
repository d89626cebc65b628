/** A register as its users see it, by the plainest code that says what the answers may be. */
export interface PlainState {
  readonly version: number;
  /** `null`: nothing alive. */
  readonly token: string | null;
  /** Whether it may expire at any time. */
  readonly expires: boolean;
}

export type PlainCall =
  | { readonly op: 'read' }
  | { readonly op: 'put'; readonly token: string; readonly expires: boolean }
  | { readonly op: 'create'; readonly token: string; readonly expires: boolean }
  | { readonly op: 'replace'; readonly token: string; readonly version: number }
  | { readonly op: 'delete' };

export interface PlainAnswer {
  readonly kind: 'read' | 'changed' | 'unchanged' | 'exists' | 'condition-failed';
  readonly version: number;
  /** Of a read: what was found. Of all else: whether something alive was there before. */
  readonly found: string | boolean | null;
}

export interface HistoryEntry {
  readonly call: PlainCall;
  readonly invokedAt: number;
  /** `Infinity` while nobody knows whether it took effect. */
  returnedAt: number;
  answer: PlainAnswer | undefined;
  /** Known to have done nothing: it need not stand in any order. */
  isVoid: boolean;
}

const START: PlainState = { version: 0, token: null, expires: false };

/**
 * Whether some order of the entries, in which none stands before one that had returned when it was invoked, explains all
 * answers: the search of Wing and Gong, *Testing and Verifying Concurrent Objects*, 1993, with a memo. For up to 30 entries.
 */
export function isLinearizable(history: readonly HistoryEntry[]): boolean {
  const entries = history.filter(({ isVoid, answer, call }) => !isVoid && (answer || call.op !== 'read'));
  const tried = new Set<string>();
  const search = (done: number, state: PlainState): boolean => {
    if (entries.every(({ answer }, at) => !answer || done & (1 << at))) return true;
    const key = `${done} ${state.version} ${state.token} ${state.expires}`;
    if (tried.has(key)) return false;
    tried.add(key);
    const left = entries.filter((_entry, at) => !(done & (1 << at)));
    const firstReturn = Math.min(...left.map(({ returnedAt }) => returnedAt));
    return entries.some((entry, at) => {
      if (done & (1 << at) || entry.invokedAt > firstReturn) return false;
      return outcomes(state, entry.call).some(
        (outcome) => fits(entry.answer, outcome.answer) && search(done | (1 << at), outcome.state),
      );
    });
  };
  return search(0, START);
}

function fits(told: PlainAnswer | undefined, answer: PlainAnswer): boolean {
  return !told || (told.kind === answer.kind && told.version === answer.version && told.found === answer.found);
}

interface Outcome {
  readonly state: PlainState;
  readonly answer: PlainAnswer;
}

/** A value that may expire does so alone, seen by a reader who was never answered, or in the hands of this very call. */
function outcomes(state: PlainState, call: PlainCall): readonly Outcome[] {
  const isAlive = state.token !== null;
  const now = outcomeOf(state, call, isAlive);
  if (!isAlive || !state.expires) return [now];
  const tombstone: PlainState = { version: state.version + 1, token: null, expires: false };
  return [now, outcomeOf(state, call, false), outcomeOf(tombstone, call, false)];
}

function outcomeOf(state: PlainState, call: PlainCall, isAlive: boolean): Outcome {
  const version = state.version + 1;
  // An expired value is gone for good, by a tombstone of the next version.
  const left = isAlive || state.token === null ? state : { version, token: null, expires: false };
  const found = (kind: PlainAnswer['kind'], what: string | boolean | null): Outcome => ({
    state: left,
    answer: { kind, version: left.version, found: what },
  });
  const made = (token: string | null, expires: boolean): Outcome => ({
    state: { version, token, expires },
    answer: { kind: 'changed', version, found: isAlive },
  });
  if (call.op === 'read') return found('read', left.token);
  if (call.op === 'delete') return isAlive ? made(null, false) : found('unchanged', false);
  if (call.op === 'create') return isAlive ? found('exists', true) : made(call.token, call.expires);
  if (call.op === 'put') return made(call.token, call.expires);
  return isAlive && call.version === state.version ? made(call.token, false) : found('condition-failed', isAlive);
}
