import { MeridianError } from '@meridian/core/wire/errors';

/** Holds writes back while this store may be about to take a new id: a dot must never be issued twice. */
export class WriteGate {
  #held: PromiseWithResolvers<void> | undefined;
  #onFirstWait: (() => void) | undefined;
  #isWanted = false;

  /** What a write waits for; nothing while the gate is open. Rejects where the node stops first: nothing may be written then. */
  readonly wait = (): Promise<void> | undefined => {
    const held = this.#held;
    if (held === undefined) return undefined;
    this.#isWanted = true;
    const onFirstWait = this.#onFirstWait;
    this.#onFirstWait = undefined;
    onFirstWait?.();
    return held.promise;
  };

  /** Whether a write would get through, if need be after what it sets off. */
  get isReady(): boolean {
    return this.#held === undefined || this.#onFirstWait !== undefined;
  }

  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  hold(): void {
    this.#held ??= newHold();
  }

  /** Stays shut until somebody wants to write; `then` is to open it after what must be done first. */
  holdUntilWanted(then: () => void): void {
    if (this.#held === undefined) return;
    if (this.#isWanted) then();
    else this.#onFirstWait = then;
  }

  open(): void {
    const held = this.#held;
    this.#held = undefined;
    this.#onFirstWait = undefined;
    this.#isWanted = false;
    held?.resolve();
  }

  /** The node stops: who waits is told so, and the gate stays as it is. */
  refuse(): void {
    this.#onFirstWait = undefined;
    this.#held?.reject(new MeridianError('SHUTTING_DOWN', 'this node is stopping; nothing was written'));
  }
}

function newHold(): PromiseWithResolvers<void> {
  const hold = Promise.withResolvers<void>();
  // Refused while nobody waits: no unhandled rejection.
  hold.promise.catch(() => undefined);
  return hold;
}
