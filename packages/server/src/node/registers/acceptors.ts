import { type AcceptorStep, accept, commit, prepare, query } from '@meridian/core/coordination/paxos/acceptor';
import { type Ballot, compareBallots, ZERO_BALLOT } from '@meridian/core/coordination/paxos/ballot';
import type { Question, Reply } from '@meridian/core/coordination/paxos/messages';
import { EMPTY_REGISTER, type RegisterState } from '@meridian/core/coordination/paxos/register';
import type { NodeName, RecordKey } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import type { RegisterCall, RegisterResult } from '@meridian/core/wire/messages';
import { decodeRegister, encodeRegister } from '@meridian/core/wire/register-codec';
import { within } from '../deadline.ts';
import type { NodeState } from '../node-state.ts';
import { asMeridianError } from '../replica.ts';
import type { KnownStores } from './known-stores.ts';
import { fromWire, replyToWire } from './register-wire.ts';

/** This store as an acceptor of registers: what it promises and accepts is on disk before it says so. */
export class Acceptors {
  readonly #state: NodeState;
  readonly #known: KnownStores;
  /** Only under a planted bug: promises that a restart forgets. */
  readonly #unkept = new Map<RecordKey, Ballot>();

  constructor(state: NodeState, known: KnownStores) {
    this.#state = state;
    this.#known = known;
  }

  async onCall(from: NodeName, [, key, question]: RegisterCall, timeoutMs: number): Promise<RegisterResult> {
    // Before it was greeted this store may not yet know that its disk is older than what that peer has seen of it.
    if (this.#state.peers.get(from)?.storeId === undefined)
      throw new MeridianError('REPLICA_UNAVAILABLE', 'this store has not been greeted by the one that asks');
    const reply = await this.answer(key, fromWire(question), timeoutMs);
    return [this.#state.store.id, replyToWire(reply)];
  }

  /** @throws REPLICA_UNAVAILABLE, STORE_FULL, STORE_UNAVAILABLE: nothing was promised or accepted; OUTCOME_UNKNOWN */
  async answer(key: RecordKey, question: Question, timeoutMs: number): Promise<Reply> {
    const { catalog, filling, clock, replica, bugs } = this.#state;
    if (!catalog.isHeldHere(key))
      throw new MeridianError('REPLICA_UNAVAILABLE', 'this node holds no replica of the key');
    const startedAtMs = clock.monotonicMs();
    for (let held = this.#state.readyToWrite(); held; held = this.#state.readyToWrite()) {
      await within(clock, timeoutMs - (clock.monotonicMs() - startedAtMs), held, notReady);
    }
    // It may have promised what it does not know of any more.
    if (!filling.isFilled() && !bugs.has('answers-before-filled'))
      throw new MeridianError('REPLICA_UNAVAILABLE', 'this store is being filled');
    if (question.kind === 'query') {
      const bytes = await replica.readBytes(key);
      return query(this.#stateOf(key, bytes), question, this.#known.idOf, clock.wallMs()).reply;
    }
    if (bugs.has('answer-before-sync')) return this.#answerUnsynced(key, question);
    return this.#decide(key, (before) => this.#step(key, before, question));
  }

  #step(
    key: RecordKey,
    before: RegisterState | undefined,
    question: Exclude<Question, { kind: 'query' }>,
  ): AcceptorStep<Reply> {
    const { clock, bugs } = this.#state;
    if (question.kind === 'accept') {
      const unchecked = before && bugs.has('ballot-check-skipped') ? { ...before, promised: ZERO_BALLOT } : before;
      return accept(unchecked, question, this.#known.idOf);
    }
    const step = prepare(before, question, this.#known.idOf, clock.wallMs());
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

  #decide(key: RecordKey, decide: (before: RegisterState | undefined) => AcceptorStep<Reply>): Promise<Reply> {
    return this.#state.store
      .update([key], (view) => {
        const { state, reply, changed } = decide(this.#stateOf(key, view.record(0)));
        return { writes: changed ? [{ key, record: encodeRegister(state) }] : [], result: reply };
      })
      .catch(asMeridianError);
  }

  async #answerUnsynced(key: RecordKey, question: Exclude<Question, { kind: 'query' }>): Promise<Reply> {
    const bytes = await this.#state.replica.readBytes(key);
    void this.#decide(key, (before) => this.#step(key, before, question)).catch(() => undefined);
    return this.#step(key, this.#stateOf(key, bytes), question).reply;
  }

  /** The highest round that this replica has promised: one above it is not refused here. */
  async promisedRound(key: RecordKey): Promise<number> {
    const bytes = await this.#state.replica.readBytes(key);
    return bytes ? decodeRegister(bytes).promised.round : 0;
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
          const { state, changed } = commit(before, { kind: 'commit', ballot });
          return changed ? [{ key, record: encodeRegister(state) }] : [];
        });
        return { writes, result: missed };
      })
      .catch(asMeridianError);
  }
}

function notReady(): MeridianError {
  return new MeridianError(
    'REPLICA_UNAVAILABLE',
    'this store has not yet found out whether its disk is older than what its peers have seen of it',
  );
}
