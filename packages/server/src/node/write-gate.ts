/** Holds writes back while this store may be about to take a new id: a dot must never be issued twice. */
export class WriteGate {
  #held: Promise<void> | undefined;
  #release: () => void = () => {};

  /** What a write waits for; nothing while the gate is open. */
  readonly wait = (): Promise<void> | undefined => this.#held;

  get isOpen(): boolean {
    return this.#held === undefined;
  }

  hold(): void {
    this.#held ??= new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  open(): void {
    this.#held = undefined;
    this.#release();
  }
}
