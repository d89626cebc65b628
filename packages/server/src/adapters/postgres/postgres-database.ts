import type { RecordKey, Sequence, StoreName } from '@meridian/core/ids';
import type { Clock } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import {
  type ChangesPage,
  type PageLimits,
  type RowPage,
  StoreFailedError,
  type StoreFigures,
  type TurnMark,
} from '../../ports/store.ts';
import type {
  FoundState,
  LatestTurn,
  SharedDatabase,
  SharedRows,
  SharedState,
  TurnDecision,
} from '../shared/shared-database.ts';
import { newCounters, type PostgresCounters, type PostgresFigures } from './counters.ts';
import { type Opening, openStore } from './opening.ts';
import { Patience } from './patience.ts';
import { Reads } from './reads.ts';
import { POSTGRES_KEY_BYTES_MAX } from './rows.ts';
import { OPEN_MS, type PostgresSettings, RETRY_MS, TURNS_KEPT } from './settings.ts';
import { statementsFor } from './statements.ts';
import { measure } from './table-figures.ts';
import { Turns } from './turns.ts';

export interface PostgresDatabaseOptions {
  readonly settings: PostgresSettings;
  readonly storeName: StoreName;
  readonly random: Random;
  readonly clock: Clock;
  /** For how long a turn or a read that the database undid, or lost the connection of, is tried again. */
  readonly retryMs?: number;
  /** For how long the opening waits for a database that cannot be reached. */
  readonly openMs?: number;
  /** How many turns stay on record. All nodes of a store must keep alike. */
  readonly turnsKept?: number;
}

export interface PostgresDatabase extends SharedDatabase {
  readonly counters: PostgresFigures;
}

/** A name that needs no quoting; also what keeps the schema from being anything else than a name in a statement. */
const SCHEMA = /^[a-z_][a-z0-9_]{0,62}$/;

/**
 * Opens the store that the database holds, or makes one in it.
 * @throws StoreOpenError with one line that says what is wrong, and names host, port and database
 */
export async function openPostgresDatabase(options: PostgresDatabaseOptions): Promise<PostgresDatabase> {
  const { settings, clock, random, retryMs = RETRY_MS, openMs = OPEN_MS, turnsKept = TURNS_KEPT } = options;
  if (!SCHEMA.test(settings.schema)) throw new RangeError('the schema is not a plain lower-case name');
  const statements = statementsFor(settings.schema);
  const opening = await openStore(options, statements, new Patience({ clock, random, withinMs: openMs }));
  const patience = new Patience({ clock, random, withinMs: retryMs });
  const counters = newCounters();
  const parts = { settings, statements, random, clock, patience, counters, turnsKept };
  return new OpenDatabase(opening, patience, counters, new Turns(parts), new Reads(parts), settings);
}

class OpenDatabase implements PostgresDatabase {
  readonly isNew: boolean;
  readonly state: SharedState;
  readonly counters: PostgresFigures;
  readonly keyBytesMax = POSTGRES_KEY_BYTES_MAX;
  readonly #patience: Patience;
  readonly #turns: Turns;
  readonly #reads: Reads;
  readonly #schema: string;
  #closing: Promise<void> | undefined;

  constructor(
    opening: Opening,
    patience: Patience,
    counters: PostgresCounters,
    turns: Turns,
    reads: Reads,
    { schema }: PostgresSettings,
  ) {
    this.isNew = opening.isNew;
    this.state = opening.state;
    this.counters = counters;
    this.#patience = patience;
    this.#turns = turns;
    this.#reads = reads;
    this.#schema = schema;
  }

  transact(keys: readonly RecordKey[], decide: TurnDecision, latest: LatestTurn): Promise<SharedState> {
    return this.#whileOpen(() => this.#turns.take(keys, decide, latest));
  }

  get(keys: readonly RecordKey[], seen: TurnMark): Promise<SharedRows> {
    return this.#whileOpen(() => this.#reads.get(keys, seen));
  }

  scan(from: RecordKey, to: RecordKey, limits: PageLimits): Promise<RowPage> {
    return this.#whileOpen(() => this.#reads.scan(from, to, limits));
  }

  changes(after: Sequence, limits: PageLimits): Promise<ChangesPage> {
    return this.#whileOpen(() => this.#reads.changes(after, limits));
  }

  readState(seen: TurnMark): Promise<FoundState> {
    return this.#whileOpen(() => this.#reads.state(seen));
  }

  figures(): Promise<StoreFigures> {
    return this.#whileOpen(() => measure(this.#reads, this.#schema));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#patience.end();
    await this.#turns.close();
    await this.#reads.close();
  }

  #whileOpen<Result>(ask: () => Promise<Result>): Promise<Result> {
    if (this.#closing) return Promise.reject(new StoreFailedError('the store is closed'));
    return ask();
  }
}
