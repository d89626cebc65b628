/** What waits for a reader that takes nothing just now: some thousand lines. */
export const WAITING_CHARS_MAX = 1024 * 1024;

export interface LogOutputOptions {
  /** Writes at once, and gives how many bytes were taken. @throws what the system says */
  readonly write: (bytes: Buffer) => number;
  /** A moment later; must keep no process alive. */
  readonly retryLater: (retry: () => void) => void;
  /** Called once lines are taken again, with the number of those that were lost. */
  readonly onLost: (lines: number) => void;
}

/**
 * Where the lines of a log go. A pipe that nobody reads from, or a full disk, costs lines and never the node: the library's
 * own output waits for either with the whole process, for as long as it takes.
 */
export class LogOutput {
  readonly #options: LogOutputOptions;
  #waiting: string[] = [];
  #waitingChars = 0;
  /** What is left of a line that was cut. */
  #rest: Buffer | undefined;
  #lost = 0;
  /** Whether what was written last is a part of a line. */
  #isTorn = false;
  #isGone = false;

  constructor(options: LogOutputOptions) {
    this.#options = options;
  }

  write(line: string): void {
    if (this.#isGone) return;
    const isIdle = this.#waiting.length === 0 && !this.#rest;
    if (this.#waitingChars + line.length > WAITING_CHARS_MAX) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingChars += line.length;
    // Else it is its reader's turn, which is looked for from time to time.
    if (isIdle) this.flush();
  }

  /** Writes what waits, as far as it is taken. */
  flush(): void {
    try {
      while (this.#rest || this.#waiting.length > 0) this.#writeNext();
    } catch (error) {
      this.#failed((error as NodeJS.ErrnoException).code);
      return;
    }
    const lost = this.#lost;
    this.#lost = 0;
    if (lost > 0) this.#options.onLost(lost);
  }

  #writeNext(): void {
    if (!this.#rest) {
      const line = this.#waiting.shift() as string;
      this.#waitingChars -= line.length;
      this.#rest = Buffer.from(this.#isTorn ? `\n${line}` : line);
    }
    const taken = this.#options.write(this.#rest);
    this.#rest = taken < this.#rest.length ? this.#rest.subarray(taken) : undefined;
    this.#isTorn = this.#rest !== undefined;
  }

  #failed(code: string | undefined): void {
    if (code === 'EAGAIN') {
      this.#options.retryLater(() => this.flush());
      return;
    }
    this.#isGone = code === 'EPIPE';
    this.#lost += this.#waiting.length + (this.#rest ? 1 : 0);
    this.#rest = undefined;
    this.#waiting = [];
    this.#waitingChars = 0;
  }
}
