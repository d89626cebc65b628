import type { RecordKey } from '@meridian/core/ids';
import { type StoredRow, StoreFailedError } from '../../ports/store.ts';
import type { SharedDatabase, SharedRows, TurnMark } from './shared-database.ts';

/** Of one statement. */
const KEYS_MAX = 256;

interface Reader {
  readonly resolve: (row: StoredRow | undefined) => void;
  readonly reject: (failure: unknown) => void;
}

export interface ReadBatchesOptions {
  readonly database: Pick<SharedDatabase, 'get'>;
  readonly soon: (fire: () => void) => void;
  /** The latest turn seen when a statement is sent. */
  readonly seen: () => TurnMark;
  /** Says whether the view is to be trusted. */
  readonly isSound: (view: SharedRows) => boolean;
}

/** Reads many keys in one statement: those that one tick asks for. Each read begins after it was asked for. */
export class ReadBatches {
  readonly #options: ReadBatchesOptions;
  #waiting = new Map<RecordKey, Reader[]>();

  constructor(options: ReadBatchesOptions) {
    this.#options = options;
  }

  read(key: RecordKey): Promise<StoredRow | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) this.#options.soon(() => this.#readAll());
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
    const { database, seen, isSound } = this.#options;
    database.get([...batch.keys()], seen()).then(
      (view) => {
        if (isSound(view)) answer(batch, view);
        else fail(batch, new StoreFailedError('the database is older than what this node has seen of it'));
      },
      (failure: unknown) => fail(batch, failure),
    );
  }
}

function answer(batch: ReadonlyMap<RecordKey, readonly Reader[]>, { rows }: SharedRows): void {
  for (const [key, readers] of batch) {
    const row = rows.get(key);
    for (const { resolve } of readers) resolve(row);
  }
}

function fail(batch: ReadonlyMap<RecordKey, readonly Reader[]>, failure: unknown): void {
  for (const readers of batch.values()) for (const { reject } of readers) reject(failure);
}
