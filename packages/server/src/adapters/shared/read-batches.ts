import type { RecordKey } from '@meridian/core/ids';
import { type StoredRow, StoreFailedError, type TurnMark } from '../../ports/store.ts';
import type { SharedDatabase, SharedRows } from './shared-database.ts';

/** Of one statement. */
const KEYS_MAX = 256;
/**
 * What the answer to a statement may bring, as far as that can be foreseen. Those of a whole pool share the processor that
 * takes them in, and the server gives up what was not taken in time.
 */
const BYTES_MAX = 4 * 1024 * 1024;
/** Of a statement that nothing is known of. */
const FIRST_KEYS_MAX = 1;

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

/**
 * Reads many keys in one statement: those that one tick asks for, as far as records of late let foresee that their bytes
 * have room. Each read begins after it was asked for.
 */
export class ReadBatches {
  readonly #options: ReadBatchesOptions;
  #keysMax = FIRST_KEYS_MAX;
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
    if (batch.size <= this.#keysMax) this.#ask(batch);
    else for (const part of partsOf([...batch], this.#keysMax)) this.#ask(new Map(part));
  }

  #ask(batch: ReadonlyMap<RecordKey, readonly Reader[]>): void {
    const { database, seen, isSound } = this.#options;
    database.get([...batch.keys()], seen()).then(
      (view) => {
        this.#learn(batch.size, view);
        if (isSound(view)) answer(batch, view);
        else fail(batch, new StoreFailedError('the database is older than what this node has seen of it'));
      },
      (failure: unknown) => {
        this.#shrink(batch.size);
        fail(batch, failure);
      },
    );
  }

  /** Falls at once to what these records allow; grows by as many keys as were read, so each statement risks twice what went well. */
  #learn(keys: number, { rows }: SharedRows): void {
    let bytes = 0;
    for (const { record } of rows.values()) bytes += record.length;
    const fitting = Math.floor((BYTES_MAX * keys) / Math.max(1, bytes));
    this.#keysMax = Math.min(Math.max(1, fitting), this.#keysMax + keys, KEYS_MAX);
  }

  /** To a quarter of what did not come back: it may have been too large. What was small says nothing of that. */
  #shrink(keys: number): void {
    if (keys * 4 >= this.#keysMax) this.#keysMax = Math.min(this.#keysMax, Math.ceil(keys / 4));
  }
}

function* partsOf<Item>(items: readonly Item[], size: number): Generator<readonly Item[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
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
