/** What happened, as one number: two runs of a seed that differ anywhere differ here. Keeps the last lines, to be shown with a failure. */
export class Trace {
  #high = 0x9e3779b9;
  #low = 0x85ebca6b;
  readonly #last: string[] = [];
  readonly #kept: number;

  constructor(kept = 40) {
    this.#kept = kept;
  }

  add(line: string): void {
    for (let at = 0; at < line.length; at++) {
      const code = line.charCodeAt(at);
      this.#high = Math.imul(this.#high ^ code, 0x01000193);
      this.#low = Math.imul(this.#low + code, 0x9e3779b1) ^ (this.#high >>> 13);
    }
    if (this.#kept === 0) return;
    this.#last.push(line);
    if (this.#last.length > this.#kept) this.#last.shift();
  }

  get hash(): string {
    return [this.#high, this.#low].map((part) => (part >>> 0).toString(16).padStart(8, '0')).join('');
  }

  get last(): readonly string[] {
    return this.#last;
  }
}
