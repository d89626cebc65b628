import type { StoreId } from '../../ids.ts';
import { ballotText, compareBallots, type ProposerId } from './ballot.ts';
import type { Accept } from './messages.ts';
import type { ModelAcceptor } from './model-acceptor.testing.ts';
import { valueText } from './plain-calls.testing.ts';

interface ChosenText {
  readonly round: number;
  readonly proposer: ProposerId;
  readonly text: string;
}

/** Looks into every message and acceptor, as no user can: what must hold there for the answers to be right. */
export class RegisterOracle {
  /** Then a ballot can be chosen by what a lost store had accepted, which is not seen any more. */
  wasWiped = false;
  readonly #acceptors: readonly ModelAcceptor[];
  readonly #required: number;
  readonly #onFault: (fault: string) => void;
  /** By ballot: the one value. */
  readonly #values = new Map<string, string>();
  readonly #acceptedBy = new Map<string, Set<StoreId>>();
  readonly #chosen = new Map<string, ChosenText>();

  constructor(acceptors: readonly ModelAcceptor[], required: number, onFault: (fault: string) => void) {
    this.#acceptors = acceptors;
    this.#required = required;
    this.#onFault = onFault;
  }

  /** One value per ballot. */
  propose({ ballot, value }: Accept): void {
    const key = ballotText(ballot);
    const text = valueText(value);
    if ((this.#values.get(key) ?? text) !== text) this.#onFault('two values of one ballot');
    this.#values.set(key, text);
  }

  /** What a majority has accepted is chosen; nothing else is ever marked as committed. */
  look(acceptor: ModelAcceptor): void {
    const { state } = acceptor;
    if (!state?.accepted || state.isHearsay || acceptor.isRecovering) return;
    const { ballot, value } = state.accepted;
    const key = ballotText(ballot);
    const by = this.#acceptedBy.get(key) ?? new Set();
    this.#acceptedBy.set(key, by.add(acceptor.id));
    const count = this.#acceptors.filter(({ id }) => by.has(id)).length;
    if (count >= this.#required && value) this.#chosen.set(key, { ...ballot, text: valueText(value) });
    const { committed } = state;
    if (committed?.value && !this.wasWiped && !this.#chosen.has(ballotText(committed.ballot)))
      this.#onFault('committed and not chosen');
  }

  /** Chosen values form one chain: a higher ballot never has a lower version, and a version has one value. */
  lookAtChosen(): void {
    const byVersion = new Map<number, string>();
    let last = 0;
    for (const { text } of [...this.#chosen.values()].sort(compareBallots)) {
      const version = Number.parseInt(text, 10);
      if ((byVersion.get(version) ?? text) !== text) this.#onFault('two values chosen for one version');
      byVersion.set(version, text);
      if (version < last) this.#onFault('a chosen value gave way to an older one');
      last = version;
    }
  }
}
