import type { StoreId, StoreName } from '../../ids.ts';
import { decodeRegister, encodeRegister } from '../../wire/register-codec.ts';
import { accept, type KnownId, prepare, query, recover, replay } from './acceptor.ts';
import { ballotText, compareBallots, ZERO_BALLOT } from './ballot.ts';
import type { Question, Reply } from './messages.ts';
import { EMPTY_REGISTER, type RegisterState } from './register.ts';

/** What the tests switch off: rules of those who use the core. Those inside it are `PlantedFlaw`s. */
export type Rule =
  | 'cache-dropped-in-doubt'
  | 'promise-kept'
  | 'ballots-fresh'
  | 'members-checked'
  | 'members-checked-early'
  | 'recovered-whole'
  | 'recovered-from-enough'
  | 'hearsay-told-apart';

/** An acceptor as the model sees it: bytes on a disk, and whom it knows. */
export class ModelAcceptor {
  readonly name: StoreName;
  /** Durable: by which id it knows the others. */
  readonly #known = new Map<StoreName, StoreId>();
  readonly #without: ReadonlySet<Rule>;
  readonly #onFault: (fault: string) => void;
  #id: StoreId;
  #lives = 1;
  #bytes: Uint8Array | undefined;
  /** While it takes in what the others hold: those heard. */
  #heard: Set<StoreName> | undefined;

  constructor(name: StoreName, without: ReadonlySet<Rule>, onFault: (fault: string) => void) {
    this.name = name;
    this.#without = without;
    this.#onFault = onFault;
    this.#id = `${name}.1` as StoreId;
  }

  get id(): StoreId {
    return this.#id;
  }

  get isRecovering(): boolean {
    return this.#heard !== undefined;
  }

  get state(): RegisterState | undefined {
    return this.#bytes && decodeRegister(this.#bytes);
  }

  #save(state: RegisterState): void {
    const before = this.state ?? EMPTY_REGISTER;
    const accepted = state.accepted?.ballot ?? ZERO_BALLOT;
    if (compareBallots(state.promised, before.promised) < 0) this.#onFault('fell: promised');
    if (compareBallots(accepted, before.accepted?.ballot ?? ZERO_BALLOT) < 0) this.#onFault('fell: accepted');
    this.#bytes = encodeRegister(state);
  }

  /** The older id of a name never replaces the newer. */
  learn(name: StoreName, id: StoreId): void {
    const known = this.#known.get(name);
    if (!known || livesOf(known) < livesOf(id)) this.#known.set(name, id);
  }

  #knownId(question: Question['kind']): KnownId {
    if (this.#without.has('members-checked')) return () => undefined;
    if (this.#without.has('members-checked-early') && question !== 'accept') return () => undefined;
    return (name) => (name === this.name ? this.#id : this.#known.get(name));
  }

  answer(question: Question, wallMs: number): Reply | undefined {
    if (this.isRecovering) return undefined;
    const knownId = this.#knownId(question.kind);
    const { state } = this;
    if (question.kind === 'query') return query(state, question, knownId, wallMs).reply;
    const step =
      question.kind === 'prepare' ? prepare(state, question, knownId, wallMs) : accept(state, question, knownId);
    if (step.changed) this.#save(step.state);
    return step.reply;
  }

  /** Saves what a pure step made of its state. */
  take(step: (state: RegisterState | undefined) => { readonly state: RegisterState; readonly changed: boolean }): void {
    if (this.isRecovering) return;
    const { state, changed } = step(this.state);
    if (changed) this.#save(state);
  }

  restart(): void {
    const { state } = this;
    if (!state || !this.#without.has('promise-kept')) return;
    this.#bytes = encodeRegister({ ...state, promised: state.accepted?.ballot ?? ZERO_BALLOT });
  }

  wipe(): void {
    this.#lives += 1;
    this.#id = `${this.name}.${this.#lives}` as StoreId;
    this.#bytes = undefined;
    this.#known.clear();
    this.#heard = new Set();
  }

  /** Takes in what one other holds; answers again once it has heard `required` of them. */
  recoverFrom(other: ModelAcceptor, required: number): void {
    if (!this.#heard || other.isRecovering) return;
    other.learn(this.name, this.#id);
    for (const [name, id] of other.#known) if (name !== this.name) this.learn(name, id);
    this.learn(other.name, other.#id);
    const { state } = other;
    if (state) {
      const taken = this.#without.has('recovered-whole') ? replay(this.state, state) : recover(this.state, state);
      this.#save(this.#without.has('hearsay-told-apart') ? { ...taken.state, isHearsay: false } : taken.state);
    }
    this.#heard.add(other.name);
    if (this.#heard.size >= (this.#without.has('recovered-from-enough') ? 1 : required)) this.#heard = undefined;
  }

  get text(): string {
    const { state } = this;
    const [promised, accepted] = [state?.promised, state?.accepted?.ballot].map((each) =>
      each ? ballotText(each) : '-',
    );
    return `${this.#id} promised ${promised} accepted ${accepted}${state?.isHearsay ? ' by hearsay' : ''}`;
  }
}

/** How many stores there were under the name, up to this one. */
export function livesOf(id: StoreId): number {
  return Number(id.slice(id.lastIndexOf('.') + 1));
}
