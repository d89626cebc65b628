import { type StoreId, type StoreName, storeNameOf } from '../../ids.ts';
import type { Commit, Question, Reply } from './messages.ts';
import type { RegisterState } from './register.ts';

export type Envelope<Slot extends Sender> =
  | {
      readonly kind: 'question';
      readonly to: StoreName;
      readonly slot: Slot;
      readonly number: number;
      readonly question: Question;
    }
  | {
      readonly kind: 'reply';
      readonly slot: Slot;
      readonly from: StoreId;
      readonly number: number;
      readonly reply: Reply;
    }
  | { readonly kind: 'commit'; readonly to: StoreName; readonly commit: Commit }
  | { readonly kind: 'replay'; readonly to: StoreName; readonly state: RegisterState };

interface Sender {
  readonly store: StoreId;
}

/** Delays, reorders, repeats and loses; some ways are slow for a while. */
export class ModelNetwork<Slot extends Sender> {
  readonly #random: () => number;
  readonly #slow = new Set<string>();
  readonly #waiting: Envelope<Slot>[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  #drawAt(): number {
    return Math.floor(this.#random() * this.#waiting.length);
  }

  send(envelope: Envelope<Slot>): void {
    this.#waiting.push(envelope);
  }

  lose(): void {
    this.#waiting.splice(this.#drawAt(), 1);
  }

  repeat(): void {
    const envelope = this.#waiting[this.#drawAt()];
    if (envelope) this.#waiting.push(envelope);
  }

  /** The next to arrive, in no order. */
  take(): Envelope<Slot> | undefined {
    if (this.isEmpty) return undefined;
    let at = this.#drawAt();
    for (let tries = 0; tries < 3 && this.#isSlow(this.#waiting[at] as Envelope<Slot>); tries++) at = this.#drawAt();
    return this.#waiting.splice(at, 1)[0];
  }

  /** Each direction on its own. */
  slowDown(slots: readonly Slot[], names: readonly StoreName[]): void {
    this.#slow.clear();
    for (const { store } of slots)
      for (const name of names)
        for (const way of ['to', 'from']) if (this.#random() < 0.3) this.#slow.add(`${store} ${way} ${name}`);
  }

  heal(): void {
    this.#slow.clear();
  }

  #isSlow(envelope: Envelope<Slot>): boolean {
    if (envelope.kind === 'question') return this.#slow.has(`${envelope.slot.store} to ${envelope.to}`);
    return envelope.kind === 'reply' && this.#slow.has(`${envelope.slot.store} from ${storeNameOf(envelope.from)}`);
  }
}
