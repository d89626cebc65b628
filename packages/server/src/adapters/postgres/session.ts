import { Client, type ClientBase, type QueryArrayResult } from 'pg';
import type { Clock } from '../../ports/clock.ts';
import { clientConfig } from './client-config.ts';
import { failureOf, type PostgresFailure, standbyFailure } from './failures.ts';
import {
  GOODBYE_MS,
  IDLE_IN_TRANSACTION_MS,
  LOCK_TIMEOUT_MS,
  type PostgresSettings,
  UNSENT_BYTES_MS,
} from './settings.ts';
import type { Statement } from './statements.ts';

export type Parameter = Buffer | string | number;
export type Cells = readonly unknown[];

export interface Answer {
  /** The first word of the command's tag: COMMIT, ROLLBACK, ... */
  readonly command: string;
  readonly rows: readonly Cells[];
  readonly rowCount: number;
}

/** One connection of its own, whose statements are sent without waiting for the answers to those before. */
export class Session {
  readonly #client: Client;
  #isLost = false;

  private constructor(client: Client) {
    this.#client = client;
    // Who waits for an answer hears of the failure with it; without a listener it would end the process.
    client.on('error', () => {
      this.#isLost = true;
    });
    client.on('end', () => {
      this.#isLost = true;
    });
  }

  /** @throws PostgresFailure */
  static async open(settings: PostgresSettings): Promise<Session> {
    const client = new Client(clientConfig(settings));
    const session = new Session(client);
    try {
      await client.connect();
      await setUpSession(client, settings);
      return session;
    } catch (error) {
      session.drop();
      throw failureOf(error);
    }
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** A command without parameters. Rejects with a PostgresFailure. */
  command(text: string): Promise<Answer> {
    return answerOf(this.#client.query({ text, rowMode: 'array' }));
  }

  /** A prepared statement. Rejects with a PostgresFailure. */
  run({ name, text }: Statement, values: Parameter[]): Promise<Answer> {
    return answerOf(this.#client.query({ name, text, values, rowMode: 'array' }));
  }

  /** What `send` asks for goes to the server in one write. */
  together<Sent>(send: () => Sent): Sent {
    const { stream } = this.#client.connection;
    stream.cork();
    try {
      return send();
    } finally {
      stream.uncork();
    }
  }

  /** Ends the connection at once; what waits for an answer fails. */
  drop(): void {
    this.#isLost = true;
    this.#client.connection.stream.destroy();
  }

  /** Says goodbye, and waits a while for the server to have heard it. */
  async end(clock: Clock): Promise<void> {
    if (this.#isLost) return;
    const cancel = clock.timer(GOODBYE_MS, () => this.drop());
    await this.#client.end();
    cancel();
  }
}

async function answerOf(asked: Promise<QueryArrayResult<unknown[]>>): Promise<Answer> {
  try {
    const { command, rows, rowCount } = await asked;
    return { command, rows, rowCount: rowCount ?? 0 };
  } catch (error) {
    throw failureOf(error);
  }
}

/**
 * What holds in each session. An engine that does not know one of these settings refuses it, and goes on without: what it
 * then lacks is told in docs/decisions/0022-postgres-driver.md.
 * @throws PostgresFailure where the connection is lost, or leads to a standby
 */
export async function setUpSession(client: ClientBase, settings: PostgresSettings): Promise<void> {
  const recovery = client
    .query('SELECT pg_is_in_recovery() AS is_standby')
    .then(({ rows }) => rows[0] as { is_standby?: unknown } | undefined, onlyRefused);
  const set = sessionSettings(settings).map((text) => client.query(text).then(() => undefined, onlyRefused));
  const [found] = await Promise.all([recovery, ...set]);
  if (found?.is_standby === 't' || found?.is_standby === true) throw standbyFailure();
}

function sessionSettings({ statementTimeoutMs }: PostgresSettings): string[] {
  return [
    `SET statement_timeout = ${statementTimeoutMs}`,
    `SET lock_timeout = ${LOCK_TIMEOUT_MS}`,
    `SET idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_MS}`,
    `SET tcp_user_timeout = ${UNSENT_BYTES_MS}`,
    'SET bytea_output = hex',
    // What is acknowledged must be on disk; how many standbys must have it too stays the operator's choice.
    `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`,
    // Every statement here goes by an index. A plan made while the tables were small would otherwise read them whole
    // until they are next analysed; and a page by a bitmap reads its whole range before its first row.
    'SET enable_seqscan = off',
    'SET enable_bitmapscan = off',
    'SET jit = off',
  ];
}

function onlyRefused(error: unknown): undefined {
  const failure = failureOf(error);
  if (failure.kind === 'lost' && !isSettingRefused(failure)) throw failure;
  return undefined;
}

/** `feature_not_supported` is how some engines say that they have no such setting. */
function isSettingRefused({ code }: PostgresFailure): boolean {
  return code === '0A000';
}
