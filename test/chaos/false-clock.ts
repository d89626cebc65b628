import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const LIBRARIES = '/usr/lib';
const LIBRARY = 'faketime/libfaketimeMT.so.1';

/**
 * Sets off the wall clock of one process, by the library of Debian's package `faketime`: it is loaded before all others, and
 * reads the offset from a file once in a second. The monotonic clock stays as it is, as it does when an operator or a
 * time daemon sets a machine's clock.
 */
export class FalseClock {
  readonly #file: string;
  readonly #library: string;

  private constructor(library: string, file: string) {
    this.#library = library;
    this.#file = file;
    this.set(0);
  }

  /** `undefined` where the library is not installed. */
  static in(folder: string, node: string): FalseClock | undefined {
    const library = libraryPath();
    return library === undefined ? undefined : new FalseClock(library, join(folder, `${node}.clock`));
  }

  /** For the process to start with. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    };
  }

  /** Takes a second to show. */
  set(offsetSeconds: number): void {
    writeFileSync(this.#file, `${offsetSeconds < 0 ? '' : '+'}${offsetSeconds}\n`);
  }
}

export function canSetClocks(): boolean {
  return libraryPath() !== undefined;
}

/** The folder is named after the processor's architecture. */
function libraryPath(): string | undefined {
  if (!existsSync(LIBRARIES)) return undefined;
  return readdirSync(LIBRARIES)
    .map((folder) => join(LIBRARIES, folder, LIBRARY))
    .find((path) => existsSync(path));
}
