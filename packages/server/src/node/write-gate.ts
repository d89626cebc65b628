/** Holds writes back while this store may be about to take a new id: a dot must never be issued twice. */
export class WriteGate {
  #held: Promise<void> | undefined;
  #release: () => void = () => {};
  #onFirstWait: (() => void) | undefined;

  /** What a write waits for; nothing while the gate is open. */
  readonly wait = (): Promise<void> | undefined => {
    const held = this.#held;
    if (held === undefined) return undefined;
    const onFirstWait = this.#onFirstWait;
    this.#onFirstWait = undefined;
    onFirstWait?.();
    return held;
  };

  /** Whether a write would get through, if need be after what it sets off. */
  get isReady(): boolean {
    return this.#held === undefined || this.#onFirstWait !== undefined;
  }

  hold(): void {
    this.#held ??= new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  /** Stays shut until somebody wants to write; `then` is to open it after what must be done first. */
  holdUntilWanted(then: () => void): void {
    if (this.#held !== undefined) this.#onFirstWait = then;
  }

  open(): void {
    this.#held = undefined;
    this.#onFirstWait = undefined;
    this.#release();
  }
}
