import { type AcceptorStep, accept, commit, prepare, query } from '@meridian/core/coordination/paxos/acceptor';
import { type Ballot, compareBallots, ZERO_BALLOT } from '@meridian/core/coordination/paxos/ballot';
import type { Accept, Prepare, Query, Question, Reply } from '@meridian/core/coordination/paxos/messages';
import { EMPTY_REGISTER, type RegisterState } from '@meridian/core/coordination/paxos/register';
import type { NodeName, RecordKey } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import type { RegisterCall, RegisterResult } from '@meridian/core/wire/messages';
import { decodeRegister, encodeRegister, encodeRegisterValue } from '@meridian/core/wire/register-codec';
import { decodeQuestions } from '@meridian/core/wire/register-question-codec';
import { encodeReplies } from '@meridian/core/wire/register-reply-codec';
import type { RecordWrite } from '../../ports/store.ts';
import { RECORD_BYTES_MAX } from '../limits.ts';
import type { NodeState } from '../node-state.ts';
import { notReady } from '../read-errors.ts';
import { untilReady } from '../readiness.ts';
import { asMeridianError } from '../replica.ts';
import type { KnownStores } from './known-stores.ts';
import type { KnownState } from './merge-register.ts';

/** A question that an acceptor cannot answer without writing. */
type Change = Prepare | Accept;

const nothing = (): void => undefined;

/** This store as an acceptor of registers: what it promises and accepts is on disk before it says so. */
export class Acceptors {
  readonly #state: NodeState;
  readonly #stores: KnownStores;
  readonly #known: KnownState;
  /** Only under a planted bug: promises that a restart forgets. */
  readonly #unkept = new Map<RecordKey, Ballot>();

  constructor(state: NodeState, stores: KnownStores, known: KnownState) {
    this.#state = state;
    this.#stores = stores;
    this.#known = known;
    state.replica.keep(known);
  }

  async onCall(from: NodeName, [, keys, bytes]: RegisterCall, timeoutMs: number): Promise<RegisterResult> {
    // Before it was greeted this store may not yet know that its disk is older than what that peer has seen of it.
    if (this.#state.peers.get(from)?.storeId === undefined)
      throw new MeridianError('REPLICA_UNAVAILABLE', 'this store has not been greeted by the one that asks');
    const questions = decodeQuestions(bytes, keys.length);
    const replies = await this.answer(keys, questions, timeoutMs);
    return [this.#state.store.id, encodeReplies(questions, fitting(replies))];
  }

  /**
   * The replies to questions about as many registers, in their order; none to one that cannot be answered, for this store holds
   * no replica of the key, or its disk does not take what would be promised or accepted. What it has not said may be so all
   * the same where the disk failed. @throws REPLICA_UNAVAILABLE where it answers no question at all now, STORE_UNAVAILABLE
   */
  async answer(
    keys: readonly RecordKey[],
    questions: readonly Question[],
    timeoutMs: number,
  ): Promise<readonly (Reply | undefined)[]> {
    const { catalog, bugs } = this.#state;
    if (this.#state.readyToWrite()) await untilReady(this.#state, timeoutMs, notReady);
    this.#ensureFilled();
    const replies = new Array<Reply | undefined>(questions.length).fill(undefined);
    const changes = new Map<RecordKey, number>();
    const singly: number[] = [];
    questions.forEach((question, at) => {
      const key = keys[at] as RecordKey;
      if (!catalog.isHeldHere(key)) return;
      // A commit writes each key once.
      if (question.kind === 'query' || changes.has(key) || bugs.has('answer-before-sync')) singly.push(at);
      else changes.set(key, at);
    });
    const answering = changes.size > 0 ? [this.#changeAll(changes, questions, replies)] : [];
    for (const at of singly) {
      const taken = (reply: Reply): void => {
        replies[at] = reply;
      };
      // What fails stays without a reply.
      answering.push(this.#answerSingly(keys[at] as RecordKey, questions[at] as Question).then(taken, nothing));
    }
    await Promise.all(answering);
    return replies;
  }

  #answerSingly(key: RecordKey, question: Question): Promise<Reply> {
    if (question.kind === 'query') return this.#query(key, question);
    if (this.#state.bugs.has('answer-before-sync')) return this.#answerUnsynced(key, question);
    return this.#decide(key, (before) => this.#step(key, before, question));
  }

  async #query(key: RecordKey, question: Query): Promise<Reply> {
    const bytes = await this.#state.replica.readBytes(key);
    this.#ensureFilled();
    // Else every reader would tell everybody anew what was chosen, until the rows say so.
    return query(this.#knownOf(key, bytes), question, this.#stores.idOf, this.#state.clock.wallMs()).reply;
  }

  /** Promises and acceptances of one call, which share a commit. One that cannot be written does not hinder the others. */
  #changeAll(
    changes: ReadonlyMap<RecordKey, number>,
    questions: readonly Question[],
    replies: (Reply | undefined)[],
  ): Promise<void> {
    const keys = [...changes.keys()];
    return this.#state.store
      .update(keys, (view) => {
        this.#ensureFilled();
        const writes: RecordWrite[] = [];
        const result: (Reply | undefined)[] = [];
        keys.forEach((key, index) => {
          const question = questions[changes.get(key) as number] as Change;
          try {
            const { state, reply, changed } = this.#step(key, this.#knownOf(key, view.record(index)), question);
            if (changed) writes.push({ key, record: encodeRegister(state) });
            result.push(reply);
          } catch (error) {
            this.#state.log.error({ reason: (error as Error).message }, 'a register cannot be read or written');
            result.push(undefined);
          }
        });
        return { writes, result };
      })
      .then((made) => {
        keys.forEach((key, index) => {
          replies[changes.get(key) as number] = made[index];
        });
      }, nothing);
  }

  /**
   * It may have promised what it does not know of any more. Looked at again where it answers: another node of a shared store
   * may have found out meanwhile.
   */
  #ensureFilled(): void {
    const { filling, bugs } = this.#state;
    if (!filling.isFilled() && !bugs.has('answers-before-filled'))
      throw new MeridianError('REPLICA_UNAVAILABLE', 'this store is being filled');
  }

  #step(key: RecordKey, before: RegisterState | undefined, question: Change): AcceptorStep<Reply> {
    const { clock, bugs } = this.#state;
    if (question.kind === 'accept') {
      const unchecked = before && bugs.has('ballot-check-skipped') ? { ...before, promised: ZERO_BALLOT } : before;
      return accept(unchecked, question, this.#stores.idOf);
    }
    const step = prepare(before, question, this.#stores.idOf, clock.wallMs());
    if (!bugs.has('promise-forgotten-at-restart') || !step.changed) return step;
    this.#unkept.set(key, step.state.promised);
    return { ...step, changed: false };
  }

  #stateOf(key: RecordKey, bytes: Uint8Array | undefined): RegisterState | undefined {
    const state = bytes && decodeRegister(bytes);
    const unkept = this.#unkept.get(key);
    if (!unkept) return state;
    return unkept.round > (state?.promised.round ?? 0) ? { ...(state ?? EMPTY_REGISTER), promised: unkept } : state;
  }

  /** With what is known to be chosen: what is accepted next may come from one who does not know, and goes over it. */
  #knownOf(key: RecordKey, bytes: Uint8Array | undefined): RegisterState | undefined {
    const state = this.#stateOf(key, bytes);
    return state && this.#known(key, state);
  }

  #decide(key: RecordKey, decide: (before: RegisterState | undefined) => AcceptorStep<Reply>): Promise<Reply> {
    return this.#state.store
      .update([key], (view) => {
        this.#ensureFilled();
        const { state, reply, changed } = decide(this.#knownOf(key, view.record(0)));
        return { writes: changed ? [{ key, record: encodeRegister(state) }] : [], result: reply };
      })
      .catch(asMeridianError);
  }

  async #answerUnsynced(key: RecordKey, question: Change): Promise<Reply> {
    const bytes = await this.#state.replica.readBytes(key);
    void this.#decide(key, (before) => this.#step(key, before, question)).catch(() => undefined);
    return this.#step(key, this.#stateOf(key, bytes), question).reply;
  }

  /** The highest round that this replica has promised: one above it is not refused here. */
  async promisedRound(key: RecordKey): Promise<number> {
    const bytes = await this.#state.replica.readBytes(key);
    return bytes ? decodeRegister(bytes).promised.round : 0;
  }

  /** Whether the row of this replica is one that the stream takes to the others, or will be once this ballot is marked in it. */
  async isToldBy(key: RecordKey, chosen: Ballot): Promise<boolean> {
    const bytes = await this.#state.replica.readBytes(key);
    const { accepted, committed } = bytes ? decodeRegister(bytes) : EMPTY_REGISTER;
    if (!accepted) return false;
    const order = compareBallots(accepted.ballot, chosen);
    return order === 0 || (order > 0 && accepted === committed);
  }

  /** Whether this replica has accepted something later. */
  async isPast(key: RecordKey, ballot: Ballot): Promise<boolean> {
    const bytes = await this.#state.replica.readBytes(key);
    const accepted = bytes ? decodeRegister(bytes).accepted : undefined;
    return accepted !== undefined && compareBallots(accepted.ballot, ballot) > 0;
  }

  /** Marks what is chosen, where it was accepted here; gives the keys that it was not accepted of. Durable when it resolves. */
  mark(chosen: ReadonlyMap<RecordKey, Ballot>): Promise<readonly RecordKey[]> {
    const keys = [...chosen.keys()];
    return this.#state.store
      .update(keys, (view) => {
        const missed: RecordKey[] = [];
        const writes = keys.flatMap((key, at) => {
          const bytes = view.record(at);
          const ballot = chosen.get(key) as Ballot;
          const before = bytes ? decodeRegister(bytes) : EMPTY_REGISTER;
          if (compareBallots(before.accepted?.ballot ?? ZERO_BALLOT, ballot) < 0) missed.push(key);
          const { state } = commit(this.#known(key, before), { kind: 'commit', ballot });
          return state === before ? [] : [{ key, record: encodeRegister(state) }];
        });
        return { writes, result: missed };
      })
      .catch(asMeridianError);
  }
}

/**
 * The replies, without those that the frame of the answer has no room for. The questions that go together are small, and the
 * one who asks does not know what is held: an answer that is too large would reach nobody, and keep all of them waiting. What
 * is left out can be asked for again at once.
 */
function fitting(replies: readonly (Reply | undefined)[]): readonly (Reply | undefined)[] {
  if (replies.length === 1) return replies;
  let bytes = 0;
  return replies.map((reply) => {
    if (reply?.kind !== 'held' && reply?.kind !== 'promised') return reply;
    const value = reply.accepted?.value ?? null;
    // As it was read from its row: nothing is encoded anew.
    const length = value === null ? 0 : encodeRegisterValue(value).length;
    if (bytes > 0 && bytes + length > RECORD_BYTES_MAX) return undefined;
    bytes += length;
    return reply;
  });
}
