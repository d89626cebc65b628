import type { StoreId, StoreName } from '../../ids.ts';
import { randomSource } from '../../replication/stream-run.testing.ts';
import { commit, replay } from './acceptor.ts';
import { ballotText, type ProposerId, proposerIdFor, Rounds } from './ballot.ts';
import type { CacheEntry } from './cache-entry.ts';
import { type HistoryEntry, isLinearizable, type PlainCall } from './linearizable.testing.ts';
import type { Commit, Member } from './messages.ts';
import { livesOf, ModelAcceptor, type Rule } from './model-acceptor.testing.ts';
import { type Envelope, ModelNetwork } from './model-network.testing.ts';
import type { Attempt, OperationResult, Step } from './operation.ts';
import { answerOf, requestOf, valueText } from './plain-calls.testing.ts';
import type { PlantedFlaw } from './planted-flaws.ts';
import { again, hurry, onFailure, onReply, outcomeIfStopped, startChange, startRead } from './proposer.ts';
import { RegisterOracle } from './register-oracle.testing.ts';

export interface RunOptions {
  readonly acceptors?: number;
  readonly without?: Rule;
  readonly flaw?: PlantedFlaw;
  /** Whether stores are lost, and others with new ids take their places. */
  readonly wipes?: boolean;
  readonly restarts?: boolean;
  readonly expiry?: boolean;
}

export interface RunOutcome {
  readonly faults: readonly string[];
  /** What happened, a line each, for whoever looks for the reason. */
  readonly story: readonly string[];
  readonly answered: number;
  /** Changes made in one round. */
  readonly oneRound: number;
  readonly retries: number;
  readonly settled: number;
}

const STEPS = 360;
const OPERATIONS = 8;
const HEAL_STEPS = 4000;
const STEP_MS = 5;
/** Of a clock: some are off by more than values live. */
const SKEW_MS = 600;

interface Running {
  readonly number: number;
  readonly entry: HistoryEntry;
  step: Step;
}

interface Slot {
  readonly store: StoreId;
  readonly skewMs: number;
  readonly known: Map<StoreName, StoreId>;
  id: ProposerId;
  rounds: Rounds;
  lives: number;
  cache: CacheEntry | undefined;
  running: Running | undefined;
}

/** A client's key that was used, and what came of it. */
interface KeyedRequest {
  readonly clientsId: string;
  readonly entry: HistoryEntry;
}

/** One register, 3 or 5 acceptors, three proposers, a network that delays, reorders, repeats and loses; then all heals. */
export function runRegister(seed: number, options: RunOptions = {}): RunOutcome {
  const run = new Run(seed, options);
  run.live();
  run.heal();
  return run.outcome();
}

class Run {
  readonly #random: () => number;
  readonly #options: RunOptions;
  readonly #without: ReadonlySet<Rule>;
  readonly #flaws: ReadonlySet<PlantedFlaw>;
  readonly #acceptors: readonly ModelAcceptor[];
  readonly #names: readonly StoreName[];
  readonly #network: ModelNetwork<Slot>;
  readonly #required: number;
  readonly #slots: readonly Slot[];
  readonly #history: HistoryEntry[] = [];
  readonly #keyed: KeyedRequest[] = [];
  readonly #oracle: RegisterOracle;
  readonly #faults = new Set<string>();
  readonly #story: string[] = [];
  #nowMs = 1_000_000;
  #clock = 0;
  #number = 0;
  #oneRound = 0;
  #retries = 0;
  #settled = 0;

  constructor(seed: number, options: RunOptions) {
    this.#random = randomSource(seed);
    this.#options = options;
    this.#without = new Set(options.without ? [options.without] : []);
    this.#flaws = new Set(options.flaw ? [options.flaw] : []);
    const onFault = (fault: string): void => void this.#faults.add(fault);
    const names = ['a', 'b', 'c', 'd', 'e'].slice(0, options.acceptors ?? 3) as StoreName[];
    this.#acceptors = names.map((name) => new ModelAcceptor(name, this.#without, onFault));
    this.#names = names;
    this.#network = new ModelNetwork(this.#random);
    this.#required = Math.floor(names.length / 2) + 1;
    this.#oracle = new RegisterOracle(this.#acceptors, this.#required, onFault);
    for (const one of this.#acceptors) for (const other of this.#acceptors) one.learn(other.name, other.id);
    this.#slots = [0, 1, 2].map((at) => this.#newSlot(at));
  }

  #newSlot(at: number): Slot {
    const store = `p${at}.1` as StoreId;
    const known = new Map(this.#acceptors.map(({ name, id }) => [name, id]));
    const skewMs = this.#random() < 0.3 ? Math.floor((this.#random() - 0.5) * 2 * SKEW_MS) : 0;
    const id = proposerIdFor(store, `${at}-1`);
    return { store, skewMs, known, id, rounds: new Rounds(), lives: 1, cache: undefined, running: undefined };
  }

  #pick<Item>(list: readonly Item[]): Item {
    return list[Math.floor(this.#random() * list.length)] as Item;
  }

  #tell(line: string): void {
    this.#story.push(`${this.#clock} ${line}`);
  }

  live(): void {
    for (let step = 0; step < STEPS; step++) {
      this.#tick();
      this.#liveStep(this.#random() * 100);
    }
  }

  #tick(): void {
    this.#clock += 1;
    this.#nowMs += STEP_MS;
  }

  #liveStep(draw: number): void {
    if (draw < 54) this.#deliver();
    else if (draw < 57) this.#network.lose();
    else if (draw < 60) this.#network.repeat();
    else if (draw < 70) this.#begin();
    else if (draw < 77) this.#goOn(this.#pick(this.#slots));
    else if (draw < 80) this.#fail(this.#pick(this.#slots));
    else if (draw < 82) this.#stop(this.#pick(this.#slots));
    else if (draw < 84) this.#replay();
    else if (draw < 86) this.#greet(this.#pick(this.#slots), this.#pick(this.#acceptors));
    else if (draw < 87) this.#network.slowDown(this.#slots, this.#names);
    else if (draw < 92) this.#restart();
    else if (this.#options.wipes) this.#wipeOrRecover();
  }

  #deliver(): void {
    const envelope = this.#network.take();
    if (!envelope) return;
    if (envelope.kind === 'reply') {
      this.#onReply(envelope);
      return;
    }
    const acceptor = this.#acceptors.find(({ name }) => name === envelope.to) as ModelAcceptor;
    if (envelope.kind === 'question') this.#onQuestion(acceptor, envelope);
    else if (envelope.kind === 'commit') acceptor.take((state) => commit(state, envelope.commit));
    else acceptor.take((state) => replay(state, envelope.state));
    this.#oracle.look(acceptor);
  }

  #onQuestion(acceptor: ModelAcceptor, { question, slot, number }: Envelope<Slot> & { kind: 'question' }): void {
    const reply = acceptor.answer(question, this.#nowMs);
    if (reply) this.#network.send({ kind: 'reply', slot, from: acceptor.id, number, reply });
  }

  #onReply({ slot, from, number, reply }: Envelope<Slot> & { kind: 'reply' }): void {
    const { running } = slot;
    if (running?.step.kind !== 'wait') return;
    // Ballots tell the others apart.
    if (running.number !== number && (reply.kind === 'held' || reply.kind === 'stale-member')) return;
    if (reply.kind === 'stale-member') learn(slot, reply.member);
    this.#take(slot, onReply(running.step.operation, from, reply));
  }

  #attempt(slot: Slot, aboveRound: number): Attempt {
    const members: Member[] = [...slot.known].map(([name, id]) => ({ name, id }));
    return { round: slot.rounds.above(aboveRound), wallMs: this.#nowMs + slot.skewMs, members };
  }

  #begin(): void {
    const slot = this.#pick(this.#slots);
    if (slot.running) return;
    const repeated = this.#keyed.length > 0 && this.#random() < 0.3 ? this.#pick(this.#keyed) : undefined;
    if (repeated) this.#start(slot, repeated.entry.call, repeated);
    else if (this.#history.length < OPERATIONS) this.#start(slot, this.#drawCall(), undefined);
  }

  #drawCall(): PlainCall {
    const token = `v${this.#number}`;
    const expires = this.#options.expiry === true && this.#random() < 0.5;
    const draw = this.#random();
    if (draw < 0.3) return { op: 'read' };
    if (draw < 0.55) return { op: 'put', token, expires };
    if (draw < 0.7) return { op: 'create', token, expires };
    if (draw < 0.85) return { op: 'replace', token, version: this.#someVersion() };
    return { op: 'delete' };
  }

  #someVersion(): number {
    const versions = this.#history.flatMap(({ answer }) => (answer ? [answer.version] : []));
    return versions.length > 0 ? Math.max(...versions) : 1;
  }

  #start(slot: Slot, call: PlainCall, repeated: KeyedRequest | undefined): void {
    this.#number += 1;
    const entry = repeated?.entry ?? {
      call,
      invokedAt: this.#clock,
      returnedAt: Number.POSITIVE_INFINITY,
      answer: undefined,
      isVoid: false,
    };
    if (!repeated) this.#history.push(entry);
    else entry.isVoid = false;
    const isKeyed = repeated !== undefined || (call.op === 'put' && this.#random() < 0.4);
    const clientsId = isKeyed ? (repeated?.clientsId ?? `key${this.#number}`) : null;
    if (clientsId !== null && !repeated) this.#keyed.push({ clientsId, entry });
    const proposer = { id: slot.id, required: this.#required, flaws: this.#flaws };
    const attempt = this.#attempt(slot, 0);
    const { cache } = slot;
    if (!this.#without.has('cache-dropped-in-doubt')) slot.cache = undefined;
    this.#tell(`${slot.id} starts ${this.#number} ${JSON.stringify(call)} ${clientsId ?? ''} ${cache ? 'cached' : ''}`);
    const step =
      call.op === 'read'
        ? startRead(proposer, attempt)
        : startChange(proposer, requestOf(call, clientsId), attempt, cache);
    slot.running = { number: this.#number, entry, step };
    this.#take(slot, step);
  }

  #take(slot: Slot, step: Step): void {
    const running = slot.running as Running;
    running.step = step;
    if (step.kind === 'wait' && step.send) this.#send(slot, running.number, step);
    if (step.kind !== 'done') return;
    slot.running = undefined;
    slot.cache = step.cache;
    this.#answer(running.entry, step.result, `${slot.id} ${running.number}`);
    if (step.chosen) {
      const message: Commit = { kind: 'commit', ballot: step.chosen };
      for (const { name } of this.#acceptors) this.#network.send({ kind: 'commit', to: name, commit: message });
    }
  }

  #send(slot: Slot, number: number, { send, operation }: Step & { kind: 'wait' }): void {
    if (!send) return;
    const { message } = send;
    if (operation.phase.kind === 'settle') this.#settled += 1;
    if (message.kind === 'accept') {
      this.#oracle.propose(message);
      this.#tell(`${slot.id} ${number} accept ${ballotText(message.ballot)} = ${valueText(message.value)}`);
    }
    for (const { name } of send.to) this.#network.send({ kind: 'question', to: name, slot, number, question: message });
  }

  #answer(entry: HistoryEntry, result: OperationResult, who: string): void {
    this.#tell(`${who} ends ${JSON.stringify(answerOf(result))}`);
    const answer = answerOf(result);
    if (result.kind === 'change' && result.verdict.kind === 'changed' && result.rounds === 1) this.#oneRound += 1;
    if (!answer) return;
    if (!entry.answer) {
      entry.answer = answer;
      entry.returnedAt = this.#clock;
    } else if (JSON.stringify(entry.answer) !== JSON.stringify(answer)) {
      this.#faults.add(`a repeated request was answered differently`);
    }
  }

  /** What a node does with an operation that does not get on. */
  #goOn(slot: Slot): void {
    const { running } = slot;
    if (!running) return;
    const { step } = running;
    if (step.kind === 'retry') {
      this.#retries += 1;
      this.#take(slot, again(step.operation, this.#attempt(slot, step.aboveRound)));
    } else if (step.kind === 'wait' && this.#random() < 0.5) this.#take(slot, hurry(step.operation));
  }

  #fail(slot: Slot): void {
    const { running } = slot;
    if (running?.step.kind === 'wait')
      this.#take(slot, onFailure(running.step.operation, this.#pick(this.#acceptors).name));
  }

  /** The time has run out. */
  #stop(slot: Slot): void {
    const { running } = slot;
    if (!running) return;
    slot.running = undefined;
    const outcome = outcomeIfStopped(running.step.operation);
    this.#tell(`${slot.id} ${running.number} stops, ${outcome}`);
    const isKeyed = this.#keyed.some(({ entry }) => entry === running.entry);
    if (outcome === 'unavailable' && !isKeyed) running.entry.isVoid = true;
  }

  #replay(): void {
    const { state } = this.#pick(this.#acceptors);
    if (state) this.#network.send({ kind: 'replay', to: this.#pick(this.#acceptors).name, state });
  }

  #greet(slot: Slot, acceptor: ModelAcceptor): void {
    learn(slot, acceptor);
    this.#pick(this.#acceptors).learn(acceptor.name, acceptor.id);
  }

  #restart(): void {
    if (!this.#options.restarts) return;
    if (this.#random() < 0.8) {
      const acceptor = this.#pick(this.#acceptors);
      acceptor.restart();
      this.#tell(`${acceptor.name} restarts`);
      return;
    }
    const slot = this.#pick(this.#slots);
    this.#stop(slot);
    slot.cache = undefined;
    slot.rounds = new Rounds();
    slot.lives += 1;
    if (!this.#without.has('ballots-fresh')) slot.id = proposerIdFor(slot.store, `${slot.store[1]}-${slot.lives}`);
    this.#tell(`${slot.id} restarted`);
  }

  #wipeOrRecover(): void {
    const recovering = this.#acceptors.find(({ isRecovering }) => isRecovering);
    if (recovering) this.#recover(recovering);
    if (recovering || this.#random() < 0.85) return;
    const acceptor = this.#pick(this.#acceptors);
    this.#oracle.wasWiped = true;
    acceptor.wipe();
    this.#tell(`${acceptor.id} is new`);
    for (const slot of this.#slots) if (this.#random() < 0.5) learn(slot, acceptor);
    if (this.#random() < 0.7) while (acceptor.isRecovering) this.#recover(acceptor);
  }

  #recover(acceptor: ModelAcceptor): void {
    const other = this.#pick(this.#acceptors.filter((each) => each !== acceptor));
    acceptor.recoverFrom(other, this.#acceptors.length + 1 - this.#required);
    this.#tell(`${acceptor.text} has heard ${other.text}`);
  }

  heal(): void {
    this.#network.heal();
    for (const slot of this.#slots) {
      this.#stop(slot);
      for (const acceptor of this.#acceptors) learn(slot, acceptor);
    }
    for (const one of this.#acceptors) for (const other of this.#acceptors) one.learn(other.name, other.id);
    for (const acceptor of this.#acceptors) {
      for (let count = 0; acceptor.isRecovering && count < 100; count++) this.#recover(acceptor);
    }
    while (!this.#network.isEmpty) this.#healStep();
    for (const slot of this.#slots) {
      this.#start(slot, { op: 'read' }, undefined);
      for (let count = 0; slot.running && count < HEAL_STEPS; count++) this.#healStep();
      if (slot.running) this.#faults.add('stuck after all had healed');
    }
  }

  #healStep(): void {
    this.#tick();
    if (!this.#network.isEmpty) this.#deliver();
    else for (const slot of this.#slots) this.#goOn(slot);
  }

  outcome(): RunOutcome {
    if (!isLinearizable(this.#history)) this.#faults.add('not linearizable');
    this.#oracle.lookAtChosen();
    return {
      faults: [...this.#faults],
      story: [...this.#story, ...this.#acceptors.map(({ text }) => text)],
      answered: this.#history.filter(({ answer }) => answer).length,
      oneRound: this.#oneRound,
      retries: this.#retries,
      settled: this.#settled,
    };
  }
}

/** The older id of a name never replaces the newer. */
function learn({ known }: Slot, { name, id }: Member): void {
  const before = known.get(name);
  if (!before || livesOf(before) < livesOf(id)) known.set(name, id);
}
