import type { Accept, Question, Reply } from '@meridian/core/coordination/paxos/messages';
import type { RegisterValue } from '@meridian/core/coordination/paxos/register';
import type { NodeName, RecordKey, StoreName } from '@meridian/core/ids';
import { REGISTER, REGISTERS_MAX, type RegisterCall, registerResult } from '@meridian/core/wire/messages';
import { withBytes } from '@meridian/core/wire/register-codec';
import { encodeQuestions } from '@meridian/core/wire/register-question-codec';
import { decodeReplies } from '@meridian/core/wire/register-reply-codec';
import { CALLS_PENDING_MAX } from '../limits.ts';
import type { NodeState } from '../node-state.ts';
import type { Peer } from '../peers.ts';
import { storeWithin } from '../store-deadline.ts';
import type { Acceptors } from './acceptors.ts';

/** Bytes of values after which a call takes no more questions. One question is never divided. */
const CALL_BYTES_MAX = 1024 * 1024;

export interface Asked {
  readonly key: RecordKey;
  readonly question: Question;
  readonly requestId: string;
  /** How long an answer is waited for; the longest of those that go together counts for all. */
  readonly timeoutMs: number;
  /** Called once, and not before `ask` has returned: with the reply, or with nothing where none came, or none will. */
  readonly onReply: (reply: Reply | undefined) => void;
}

/**
 * Asks replicas, this store among them, what their acceptors say. The questions of one tick to one replica go together, and
 * so do their replies: what a message costs is then paid once for all of them. Those that need no disk go by themselves, for
 * they are answered sooner.
 */
export class Asking {
  readonly #state: NodeState;
  readonly #acceptors: Acceptors;
  #queries = new Map<StoreName, Asked[]>();
  #changes = new Map<StoreName, Asked[]>();
  #isSendingDue = false;
  /** Of peers. */
  #pending = 0;
  /** The question put last: it goes to several replicas, and its value is encoded once for all. */
  #last: { readonly question: Question; readonly encoded: Question | undefined } | undefined;

  constructor(state: NodeState, acceptors: Acceptors) {
    this.#state = state;
    this.#acceptors = acceptors;
  }

  ask(to: StoreName, asked: Asked): void {
    const question = this.#encoded(asked.question);
    const { self, clock } = this.#state;
    if (!question || (to !== self.store && this.#pending >= CALLS_PENDING_MAX)) {
      clock.soon(() => asked.onReply(undefined));
      return;
    }
    if (to !== self.store) this.#pending += 1;
    const groups = question.kind === 'query' ? this.#queries : this.#changes;
    const group = groups.get(to);
    const entry = question === asked.question ? asked : { ...asked, question };
    if (group) group.push(entry);
    else groups.set(to, [entry]);
    if (this.#isSendingDue) return;
    this.#isSendingDue = true;
    clock.soon(() => this.#sendAll());
  }

  /** Nothing where its value is one that no replica could read. */
  #encoded(question: Question): Question | undefined {
    if (question.kind !== 'accept' || question.value === null) return question;
    if (this.#last?.question !== question)
      this.#last = { question, encoded: withEncodedValue(question, question.value) };
    return this.#last.encoded;
  }

  #sendAll(): void {
    this.#isSendingDue = false;
    this.#last = undefined;
    const waiting = [this.#changes, this.#queries];
    // New maps, not the same ones cleared: V8 lets the table that `clear` leaves point to the next one. Once one table has
    // become old, the chain keeps all later ones, and what was asked through them, until the next major collection.
    this.#changes = new Map();
    this.#queries = new Map();
    for (const groups of waiting) {
      for (const [to, group] of groups) for (const part of partsOf(group)) this.#send(to, part);
    }
  }

  #send(to: StoreName, group: readonly Asked[]): void {
    const { self, peers } = this.#state;
    const isHere = to === self.store;
    const settle = (replies: readonly (Reply | undefined)[] | undefined): void => {
      if (!isHere) this.#pending -= group.length;
      for (let at = 0; at < group.length; at++) (group[at] as Asked).onReply(replies?.[at]);
    };
    const keys = group.map(({ key }) => key);
    const questions = group.map(({ question }) => question);
    const timeoutMs = group.reduce((longest, asked) => Math.max(longest, asked.timeoutMs), 0);
    const replied = isHere
      ? this.#askHere(keys, questions, timeoutMs)
      : this.#call((peers.ofStore(to) as Peer).node, keys, questions, (group[0] as Asked).requestId, timeoutMs);
    replied.then(settle, () => settle(undefined));
  }

  /** A shared store's database may be away for longer than a round has: then it goes on without this replica. */
  #askHere(
    keys: readonly RecordKey[],
    questions: readonly Question[],
    timeoutMs: number,
  ): Promise<readonly (Reply | undefined)[]> {
    return storeWithin(this.#state, timeoutMs, this.#acceptors.answer(keys, questions, timeoutMs));
  }

  async #call(
    node: NodeName,
    keys: readonly RecordKey[],
    questions: readonly Question[],
    requestId: string,
    timeoutMs: number,
  ): Promise<readonly (Reply | undefined)[]> {
    const call: RegisterCall = [REGISTER, keys, encodeQuestions(questions)];
    const [, replies] = await this.#state.calls.call(node, requestId, timeoutMs, call, registerResult);
    return decodeReplies(replies, questions);
  }
}

function withEncodedValue(accept: Accept, value: RegisterValue): Question | undefined {
  const { kind, ballot, next, members, chosen } = accept;
  try {
    return { kind, ballot, value: withBytes(value), next, members, chosen };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function* partsOf(group: readonly Asked[]): Generator<readonly Asked[]> {
  let from = 0;
  let bytes = 0;
  for (let at = 0; at < group.length; at++) {
    bytes += bytesOf((group[at] as Asked).question);
    const isFull = at + 1 - from === REGISTERS_MAX || bytes >= CALL_BYTES_MAX;
    if (!isFull && at + 1 < group.length) continue;
    yield from === 0 && at + 1 === group.length ? group : group.slice(from, at + 1);
    from = at + 1;
    bytes = 0;
  }
}

function bytesOf(question: Question): number {
  return question.kind === 'accept' ? (question.value?.body?.length ?? 0) : 0;
}
