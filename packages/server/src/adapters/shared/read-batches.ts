import type { RecordKey } from '@meridian/core/ids';
import type { StoredRow } from '../../ports/store.ts';
import type { SharedDatabase } from './shared-database.ts';

/** Of one statement. */
const KEYS_MAX = 256;

interface Reader {
  readonly resolve: (row: StoredRow | undefined) => void;
  readonly reject: (failure: unknown) => void;
}

/** Reads many keys in one statement: those that one tick asks for. Each read begins after it was asked for. */
export class ReadBatches {
  readonly #database: Pick<SharedDatabase, 'get'>;
  readonly #soon: (fire: () => void) => void;
  #waiting = new Map<RecordKey, Reader[]>();

  constructor(database: Pick<SharedDatabase, 'get'>, soon: (fire: () => void) => void) {
    this.#database = database;
    this.#soon = soon;
  }

  read(key: RecordKey): Promise<StoredRow | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) this.#soon(() => this.#readAll());
      const readers = this.#waiting.get(key);
      if (readers) readers.push({ resolve, reject });
      else this.#waiting.set(key, [{ resolve, reject }]);
      if (this.#waiting.size >= KEYS_MAX) this.#readAll();
    });
  }

  #readAll(): void {
    const batch = this.#waiting;
    if (batch.size === 0) return;
    this.#waiting = new Map();
    this.#database.get([...batch.keys()]).then(
      (rows) => {
        for (const [key, readers] of batch) {
          const row = rows.get(key);
          for (const { resolve } of readers) resolve(row);
        }
      },
      (failure: unknown) => {
        for (const readers of batch.values()) for (const { reject } of readers) reject(failure);
      },
    );
  }
}
