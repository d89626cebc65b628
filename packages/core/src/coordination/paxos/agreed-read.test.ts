import { describe, expect, it } from 'vitest';
import { accept, commit, prepare, query, replay } from './acceptor.ts';
import type { Held } from './messages.ts';
import type { PlantedFlaw } from './planted-flaws.ts';
import { agreedRead } from './reading.ts';
import { ballot, MEMBERS, value } from './register.testing.ts';
import { EMPTY_REGISTER, type Proposal, type RegisterState } from './register.ts';

const ACCEPTORS = [0, 1, 2] as const;
const REQUIRED = 2;
const NOBODY = (): undefined => undefined;

/** A moment of one register: what its acceptors hold, what is on the way, and what a read has heard so far. */
interface Moment {
  readonly states: readonly RegisterState[];
  /** By round, in bits: who has promised it, and who has ever accepted it. A round that was decided may be accepted. */
  readonly promised: readonly number[];
  readonly accepted: readonly number[];
  readonly decided: number;
  readonly read: { readonly from: number; readonly at: number; readonly reply: Held } | undefined;
}

const round = (of: Proposal | undefined): number => of?.ballot.round ?? 0;
const proposalOf = (of: number): Proposal => ({ ballot: ballot(of), value: value(of) });
const isMajority = (bits = 0): boolean => (bits & 1) + ((bits >> 1) & 1) + ((bits >> 2) & 1) >= REQUIRED;

function textOf({ states, promised, accepted, decided, read }: Moment): string {
  const held = states.map((state) => [state.promised.round, round(state.accepted), round(state.committed)].join());
  const heard = read && [read.from, read.at, round(read.reply.accepted), read.reply.committed?.round];
  return [...held, promised, accepted, decided, heard].join(';');
}

/** The highest round that a majority has accepted. */
function chosenIn({ accepted }: Moment): number {
  return accepted.reduce((highest, bits, at) => (isMajority(bits) ? at : highest), 0);
}

/**
 * Every order in which proposals of so many rounds can reach three acceptors, be told to be chosen, repair one another, and
 * meet a read whose two replies are given at different times; and what is wrong with the answers, up to the first that is.
 */
function everyRead(rounds: number, flaws: ReadonlySet<PlantedFlaw>) {
  const found = { answered: 0, open: 0, wrong: new Set<string>() };
  const none = Array.from({ length: rounds + 1 }, () => 0);
  const seen = new Set<string>();
  const open: Moment[] = [];
  const reach = (moment: Moment): void => {
    const text = textOf(moment);
    if (seen.has(text)) return;
    seen.add(text);
    open.push(moment);
  };
  reach({ states: ACCEPTORS.map(() => EMPTY_REGISTER), promised: none, accepted: none, decided: 0, read: undefined });
  for (let moment = open.pop(); moment && found.wrong.size === 0; moment = open.pop()) {
    for (const next of goingOn(moment, rounds)) reach(next);
    for (const at of ACCEPTORS) {
      const { reply } = query(moment.states[at], { kind: 'query', members: [] }, NOBODY, 0);
      if (!moment.read) reach({ ...moment, read: { from: chosenIn(moment), at, reply: reply as Held } });
      else if (moment.read.at !== at) look(moment, at, reply as Held, flaws, found);
    }
  }
  return found;
}

function look(
  moment: Moment,
  at: number,
  reply: Held,
  flaws: ReadonlySet<PlantedFlaw>,
  found: { answered: number; open: number; wrong: Set<string> },
): void {
  const { read, accepted } = moment;
  if (!read) return;
  const answers = [read, { at, reply }].map((one) => {
    const member = MEMBERS[one.at];
    if (!member) throw new Error('no such member');
    return { member, reply: one.reply };
  });
  const done = agreedRead(answers, REQUIRED, flaws);
  if (done?.result.kind !== 'read') {
    found.open += 1;
    return;
  }
  found.answered += 1;
  const told = done.result.value?.version ?? 0;
  if (told < read.from) found.wrong.add('older than what was chosen before it began');
  if (told > 0 && !isMajority(accepted[told])) found.wrong.add('never chosen');
  if (done.chosen && done.chosen.round !== told) found.wrong.add('another is told to be chosen');
}

function* goingOn(moment: Moment, rounds: number): Generator<Moment> {
  const { states, promised, accepted, decided } = moment;
  const withState = (at: number, state: RegisterState): readonly RegisterState[] => states.with(at, state);
  const taken = (at: number, state: RegisterState): Moment => {
    const took = round(state.accepted);
    const bits = took > 0 ? accepted.with(took, (accepted[took] ?? 0) | (1 << at)) : accepted;
    return { ...moment, states: withState(at, state), accepted: bits };
  };
  for (let of = 1; of <= rounds; of++) {
    const isDecided = (decided & (1 << of)) !== 0;
    if (!isDecided && isMajority(promised[of])) yield { ...moment, decided: decided | (1 << of) };
    for (const at of ACCEPTORS) {
      const before = states[at];
      const prepared = prepare(before, { kind: 'prepare', ballot: ballot(of), members: [] }, NOBODY, 0);
      if (prepared.changed) {
        const bits = promised.with(of, (promised[of] ?? 0) | (1 << at));
        yield { ...moment, states: withState(at, prepared.state), promised: bits };
      }
      if (isDecided) {
        const message = { kind: 'accept', ...proposalOf(of), next: null, members: [], chosen: null } as const;
        const done = accept(before, message, NOBODY);
        if (done.changed) yield taken(at, done.state);
      }
      if (isMajority(accepted[of])) {
        const done = commit(before, { kind: 'commit', ballot: ballot(of) });
        if (done.changed) yield taken(at, done.state);
      }
    }
  }
  for (const at of ACCEPTORS) {
    for (const other of states) {
      const done = replay(states[at], other);
      if (done.changed) yield taken(at, done.state);
    }
  }
}

describe('an answer from the first replies to a read', () => {
  it('is chosen, and no older than what was chosen before, in every order of two proposals', () => {
    const { wrong, answered, open } = everyRead(2, new Set());
    expect([...wrong]).toEqual([]);
    expect(answered).toBeGreaterThan(1_000);
    expect(open).toBeGreaterThan(1_000);
  });

  it.each(['unchosen-returned', 'absence-unsettled'] as const)('would not be under the flaw %s', (flaw) => {
    expect(everyRead(2, new Set([flaw])).wrong.size).toBe(1);
  });
});
