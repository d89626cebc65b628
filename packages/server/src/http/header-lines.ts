/** What a header's value may not hold (RFC 9110, 5.5): a line's end in it would begin a header of its own. */
const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Headers of an answer, as the one text that goes out. Node looks at each header anew for what it may mean and hold, which
 * takes a tenth of the time of a small read; here values are checked as they come, and names are our own.
 */
export class HeaderLines {
  #text: string;

  /** `text`: lines to begin with, each with its end. */
  constructor(text = '') {
    this.#text = text;
  }

  /** @throws RangeError for a value that no header can hold */
  add(name: string, value: string): this {
    if (FORBIDDEN.test(value))
      throw new RangeError(`a value of the header "${name}" holds characters that no header may`);
    this.#text += `${name}: ${value}\r\n`;
    return this;
  }

  append(other: HeaderLines): this {
    this.#text += other.#text;
    return this;
  }

  get text(): string {
    return this.#text;
  }

  /** As Node's `writeHead` takes them flat: name, value, name, value. */
  pairs(): string[] {
    const lines = this.#text.split('\r\n').slice(0, -1);
    return lines.flatMap((line) => {
      const end = line.indexOf(': ');
      return [line.slice(0, end), line.slice(end + 2)];
    });
  }
}
