import type { StoreId, StoreName } from '../../ids.ts';
import type { Members } from './messages.ts';
import { NO_FLAWS, type PlantedFlaws } from './planted-flaws.ts';

const FAILED = Symbol('failed');

/** One question to all replicas: an accumulator of their replies. */
export interface Round<Reply> {
  readonly members: Members;
  /** A majority of all replicas of the key, those among them that cannot be named now. */
  readonly required: number;
  /** By member. */
  readonly answers: readonly (Reply | typeof FAILED | undefined)[];
}

/** `members` are the replicas whose ids are known; fewer than `required` of them make a round that is impossible. */
export function startRound<Reply>(members: Members, required: number): Round<Reply> {
  return { members, required, answers: members.map(() => undefined) };
}

/**
 * Counts the reply of a store that the question named, by the id that it named. A store counts once, with its first word,
 * however often it answers. A reply outweighs a failure, whichever is heard of first.
 */
export function addAnswer<Reply>(
  round: Round<Reply>,
  from: StoreId,
  reply: Reply,
  flaws: PlantedFlaws = NO_FLAWS,
): Round<Reply> {
  const at = round.members.findIndex(({ id }) => id === from);
  if (at < 0) return round;
  if (isAnswer(round.answers[at])) {
    return flaws.has('store-counted-twice') ? { ...round, answers: [...round.answers, reply] } : round;
  }
  return withAnswer(round, at, reply);
}

/** A store that failed may still have done what was asked: a failure never proves that nothing happened. */
export function addFailure<Reply>(round: Round<Reply>, name: StoreName): Round<Reply> {
  const at = round.members.findIndex((member) => member.name === name);
  if (at < 0 || round.answers[at] !== undefined) return round;
  return withAnswer(round, at, FAILED);
}

function withAnswer<Reply>(round: Round<Reply>, at: number, answer: Reply | typeof FAILED): Round<Reply> {
  const answers = round.answers.slice();
  answers[at] = answer;
  return { ...round, answers };
}

function isAnswer<Reply>(answer: Reply | typeof FAILED | undefined): answer is Reply {
  return answer !== undefined && answer !== FAILED;
}

export function repliesOf<Reply>({ answers }: Round<Reply>): readonly Reply[] {
  return answers.filter(isAnswer);
}

/** What the member at this place has answered. */
export function replyAt<Reply>({ answers }: Round<Reply>, at: number): Reply | undefined {
  const answer = answers[at];
  return isAnswer(answer) ? answer : undefined;
}

/** Replicas that have neither answered nor failed. */
export function outstanding<Reply>({ answers }: Round<Reply>): number {
  let count = 0;
  for (const answer of answers) if (answer === undefined) count += 1;
  return count;
}

/** Whether those that have not answered yet cannot make up the number with the `favourable` ones any more. */
export function isImpossible<Reply>(round: Round<Reply>, favourable: number): boolean {
  return favourable + outstanding(round) < round.required;
}
