import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import { Pool, type PoolClient } from 'pg';
import type { Clock } from '../../ports/clock.ts';
import {
  type ChangesPage,
  type PageLimits,
  type RowPage,
  type StoredRow,
  StoreFailedError,
  type TurnMark,
} from '../../ports/store.ts';
import type { FoundState, SharedRows } from '../shared/shared-database.ts';
import { byteaArray } from './binary-array.ts';
import { clientConfig } from './client-config.ts';
import type { PostgresCounters } from './counters.ts';
import { failureOf } from './failures.ts';
import type { Patience } from './patience.ts';
import { keyBytes, rowOf } from './rows.ts';
import { type Cells, type Parameter, setUpSession } from './session.ts';
import { CONNECT_TIMEOUT_MS, GOODBYE_MS, POOL_IDLE_MS, type PostgresSettings } from './settings.ts';
import { isInThePast, NO_STORE, StateRow } from './state-row.ts';
import type { Statement, Statements } from './statements.ts';
import { storeError } from './store-error.ts';

/** Limits of a page whatever was asked for: the server measures so many rows, and this process holds so many bytes twice. */
export const PAGE_ROWS_MAX = 16_384;
export const PAGE_BYTES_MAX = 32 * 1024 * 1024;

/** What comes before a row's own cells. */
type ViewCells = [id: StoreId, version: number, turn: string, seenTurn: string | null];

export interface ReadsOptions {
  readonly settings: PostgresSettings;
  readonly statements: Statements;
  readonly clock: Clock;
  readonly patience: Patience;
  readonly counters: PostgresCounters;
}

/** What is committed, read through a pool. Each read is one statement, hence one view, and may be tried again. */
export class Reads {
  readonly #options: ReadsOptions;
  readonly #pool: Pool;
  readonly #clients = new Set<PoolClient>();
  readonly #stateRow = new StateRow();

  constructor(options: ReadsOptions) {
    this.#options = options;
    const { settings, counters } = options;
    this.#pool = new Pool({
      ...clientConfig(settings),
      max: settings.poolSize,
      idleTimeoutMillis: POOL_IDLE_MS,
      // For a connection of the pool to come free, too.
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      verify: (client, proceed) => {
        setUpSession(client, settings).then(() => proceed(), proceed);
      },
    });
    this.#pool.on('error', () => counters.readsDisconnected++);
    this.#pool.on('connect', (client) => {
      this.#clients.add(client);
      // The pool itself listens only to clients that nobody has: an error during `verify`, or a second one, would end the process.
      client.on('error', () => undefined);
    });
    this.#pool.on('remove', (client) => this.#clients.delete(client));
  }

  async get(keys: readonly RecordKey[], seen: TurnMark): Promise<SharedRows> {
    const answer = await this.#run(this.#options.statements.view, [byteaArray(keys.map(keyBytes)), seen.version]);
    if (answer[0] === undefined) throw new StoreFailedError(NO_STORE);
    const [id, version, turn, seenTurn] = answer[0] as ViewCells;
    const rows = new Map<RecordKey, StoredRow>();
    for (const cells of answer) {
      if (cells[4] === null) continue;
      const row = rowOf(cells.slice(4));
      rows.set(row.key, row);
    }
    return { id, version, turn, hasSeen: isInThePast(seen, { id, version, turn }, seenTurn), rows };
  }

  async scan(from: RecordKey, to: RecordKey, limits: PageLimits): Promise<RowPage> {
    const values = [keyBytes(from), ...pageValues(limits), keyBytes(to)];
    const answer = await this.#run(this.#options.statements.scan, values);
    const rows = answer.map(rowOf);
    return { rows, isComplete: rows.length === Number(answer[0]?.[3] ?? 0) };
  }

  async changes(after: Sequence, limits: PageLimits): Promise<ChangesPage> {
    const answer = await this.#run(this.#options.statements.changes, [after, ...pageValues(limits)]);
    const rows: StoredRow[] = [];
    for (const cells of answer) if (cells[1] !== null) rows.push(rowOf(cells.slice(1)));
    const isComplete = rows.length === Number(answer[0]?.[4] ?? 0);
    const sequence = (answer[0]?.[0] ?? after) as Sequence;
    return { rows, isComplete, upTo: isComplete ? sequence : (rows[rows.length - 1]?.sequence ?? after) };
  }

  async state(seen: TurnMark): Promise<FoundState> {
    const { known } = this.#stateRow;
    const rows = await this.#run(this.#options.statements.readState, [known.tag, seen.version]);
    try {
      return this.#stateRow.take({ command: 'SELECT', rows, rowCount: rows.length }, known, seen).state;
    } catch (error) {
      throw storeError(error);
    }
  }

  /** A statement that is seldom asked for. */
  query(text: string): Promise<readonly Cells[]> {
    return this.#run({ text }, []);
  }

  /** Ends its connections: says goodbye, and waits a while for the server to have heard it. */
  async close(): Promise<void> {
    const { clock } = this.#options;
    const cancel = clock.timer(GOODBYE_MS, () => {
      for (const { connection } of this.#clients) connection.stream.destroy();
    });
    await this.#pool.end();
    cancel();
  }

  async #run(statement: Statement | { readonly text: string }, values: Parameter[]): Promise<readonly Cells[]> {
    const { patience, counters, settings } = this.#options;
    const attempt = async () => {
      if (this.#pool.idleCount === 0 && this.#pool.totalCount >= settings.poolSize) counters.poolWaits++;
      try {
        const { rows } = await this.#pool.query({ ...statement, values, rowMode: 'array' });
        return rows as Cells[];
      } catch (error) {
        throw failureOf(error);
      }
    };
    try {
      return await patience.retry(attempt, () => counters.retries++);
    } catch (error) {
      throw storeError(error);
    }
  }
}

/** Rows at most, bytes at most, and one row more, by which it is seen that there are more. */
function pageValues({ rowsMax, bytesMax }: PageLimits): [number, number, number] {
  const rows = Math.max(1, Math.floor(Math.min(rowsMax, PAGE_ROWS_MAX)));
  return [rows, Math.floor(Math.min(bytesMax, PAGE_BYTES_MAX)), rows + 1];
}
