import { showOperation } from './explain.ts';
import type { Finding } from './finding.ts';
import type { Operation } from './operation.ts';

/**
 * What a session client writes: a name of its own, and the names of the values that it had read of the key and that it
 * replaces. So the history itself tells which write comes after which.
 */
export interface SessionValue {
  readonly id: string;
  readonly over: readonly string[];
}

/** Why a session must see a write: the four guarantees of Terry et al., *Session guarantees for weakly consistent replicated data*, 1994. */
type Guarantee = 'read your writes' | 'monotonic reads' | 'monotonic writes' | 'writes follow reads';

interface Debt {
  readonly id: string;
  readonly key: string;
  readonly guarantee: Guarantee;
}

/** By key and write, as text. */
type Debts = ReadonlyMap<string, Debt>;

interface Writer {
  readonly over: readonly string[];
  /** What its session had written and read before it: whoever sees the write has seen these too. */
  readonly past: Debts;
}

/**
 * Checks the four guarantees for every session of a history of `write` {id, over} and `read` [id, ...] (all siblings;
 * `null` or an empty list for none). A write is *seen* by a read that shows it, or one that replaced it, directly or by way of others.
 * - *read your writes*, *monotonic reads*: a read sees what its session has had acknowledged and what it has read.
 * - *monotonic writes*, *writes follow reads*: who has seen a write then sees what its session had written, and read, before it.
 */
export function checkSessions(operations: readonly Operation[]): readonly Finding[] {
  const writers = writersOf(operations);
  const sees = seenBy(writers);
  const findings: Finding[] = [];
  for (const [session, own] of Map.groupBy(operations, (operation) => operation.session)) {
    if (session === undefined) continue;
    const debts = new Map<string, Debt>();
    for (const operation of own) {
      if (operation.outcome !== 'ok') continue;
      if (operation.f === 'write') {
        owe(debts, operation.key, (operation.input as SessionValue).id, 'read your writes');
        continue;
      }
      const shown = idsOf(operation);
      findings.push(...unpaid(debts, operation, sees(shown)));
      for (const id of shown) {
        owe(debts, operation.key, id, 'monotonic reads');
        for (const [name, debt] of writers.get(id)?.past ?? []) if (!debts.has(name)) debts.set(name, debt);
      }
    }
  }
  return findings;
}

/** What must hold of reads when all is quiet: they show every acknowledged write, or one that replaced it, and nothing that failed. */
export function checkConverged(operations: readonly Operation[], finals: readonly Operation[]): readonly Finding[] {
  const writers = writersOf(operations);
  const sees = seenBy(writers);
  const findings: Finding[] = [];
  for (const [key, reads] of Map.groupBy(finals, (read) => read.key)) {
    const wanted = operations.filter((one) => one.f === 'write' && one.key === key && one.outcome === 'ok');
    const failed = new Set(
      operations
        .filter((one) => one.f === 'write' && one.outcome === 'failed')
        .map(({ input }) => (input as SessionValue).id),
    );
    const texts = new Set(reads.map((read) => JSON.stringify([...idsOf(read)].sort())));
    if (texts.size > 1)
      findings.push({ check: 'convergence', key, text: `regions differ: ${reads.map(showOperation).join('; ')}` });
    for (const read of reads) {
      const seen = sees(idsOf(read));
      const lost = wanted.find(({ input }) => !seen.has((input as SessionValue).id));
      if (lost)
        findings.push({ check: 'lost write', key, text: `${showOperation(lost)} is not in ${showOperation(read)}` });
      const dirty = idsOf(read).find((id) => failed.has(id) || !writers.has(id));
      if (dirty !== undefined)
        findings.push({ check: 'failed write seen', key, text: `${dirty} is in ${showOperation(read)}` });
    }
  }
  return findings;
}

function owe(debts: Map<string, Debt>, key: string, id: string, guarantee: Guarantee): void {
  if (!debts.has(`${key} ${id}`)) debts.set(`${key} ${id}`, { id, key, guarantee });
}

function unpaid(debts: Debts, read: Operation, seen: ReadonlySet<string>): readonly Finding[] {
  return [...debts.values()]
    .filter(({ key, id }) => key === read.key && !seen.has(id))
    .map(({ id, guarantee }) => ({
      check: guarantee,
      key: read.key,
      text: `session ${read.session} does not see ${id}: ${showOperation(read)}`,
    }));
}

/**
 * Unanswered writes too: they may be seen. Who reads what another session wrote takes over what that had seen, and so on:
 * so operations are gone through in the order in which they could hear of each other.
 */
function writersOf(operations: readonly Operation[]): ReadonlyMap<string, Writer> {
  const writers = new Map<string, Writer>();
  const pasts = new Map<string | undefined, Map<string, Debt>>();
  for (const { f, key, input, output, outcome, session } of operations.toSorted((a, b) => heardAt(a) - heardAt(b))) {
    const past = (session === undefined ? undefined : pasts.get(session)) ?? new Map<string, Debt>();
    pasts.set(session, past);
    if (f === 'write') {
      const { id, over } = input as SessionValue;
      writers.set(id, { over, past: new Map(past) });
      if (outcome === 'ok') owe(past, key, id, 'monotonic writes');
    } else if (outcome === 'ok') {
      for (const id of (output ?? []) as readonly string[]) {
        owe(past, key, id, 'writes follow reads');
        for (const [name, debt] of writers.get(id)?.past ?? []) if (!past.has(name)) past.set(name, debt);
      }
    }
  }
  return writers;
}

function heardAt({ f, calledAt, returnedAt }: Operation): number {
  return f === 'write' ? calledAt : returnedAt;
}

/** All that is seen by who is shown these values: they, what they replaced, and so on. */
function seenBy(writers: ReadonlyMap<string, Writer>): (shown: readonly string[]) => ReadonlySet<string> {
  return (shown) => {
    const seen = new Set<string>();
    const waiting = [...shown];
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      if (seen.has(id)) continue;
      seen.add(id);
      waiting.push(...(writers.get(id)?.over ?? []));
    }
    return seen;
  };
}

function idsOf({ output }: Operation): readonly string[] {
  return (output ?? []) as readonly string[];
}
