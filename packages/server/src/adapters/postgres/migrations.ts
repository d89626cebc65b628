import { Kysely, PostgresAdapter, PostgresDialect, type PostgresPool, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { Client } from 'pg';
import { StoreOpenError } from '../../ports/store.ts';
import { clientConfig } from './client-config.ts';
import { failureOf, PostgresFailure } from './failures.ts';
import { setUpSession } from './session.ts';
import { type PostgresSettings, placeOf } from './settings.ts';

/** No column of the tables is typed here: migrations speak of tables as they once were. */
type Untyped = Record<string, Record<string, unknown>>;

/** In the order of their names; one that was released is never changed. */
export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001_store_turns_records': { up: makeStore },
};

const MIGRATION_TABLE = 'migrations';
const LOCK_TABLE = 'migrations_lock';

async function makeStore(db: Kysely<Untyped>): Promise<void> {
  // One row, which is locked by each turn and changed by none.
  await db.schema
    .createTable('store')
    .addColumn('one', 'smallint', (column) => column.primaryKey().check(sql`one = 1`))
    .addColumn('name', 'text', (column) => column.notNull())
    .execute();
  // The state after each of the last turns; the last is the store's. A row that every turn updated would be found only past
  // all its former versions while somebody's long transaction, a backup say, keeps them from being vacuumed.
  await db.schema
    .createTable('turns')
    .addColumn('version', 'bigint', (column) => column.primaryKey())
    .addColumn('writer', 'text', (column) => column.notNull())
    .addColumn('id', 'text', (column) => column.notNull())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('positions', 'text', (column) => column.notNull())
    .addColumn('notes_tag', 'text', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('notes')
    .addColumn('tag', 'text', (column) => column.primaryKey())
    .addColumn('notes', 'text', (column) => column.notNull())
    .execute();
  // Keys are UTF-8, kept as bytes: they hold a NUL, and their order is that of their bytes in any locale.
  await db.schema
    .createTable('records')
    .addColumn('key', 'bytea', (column) => column.primaryKey())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('record', 'bytea', (column) => column.notNull())
    .execute();
  // Unique, so that the database itself would refuse a sequence given out twice.
  await db.schema.createIndex('records_by_sequence').on('records').column('sequence').unique().execute();
}

/**
 * Kysely's own lock is PostgreSQL's advisory lock, which engines that speak its protocol lack. A row, locked to the end of
 * the transaction that all migrations run in, does the same.
 */
class RowLockAdapter extends PostgresAdapter {
  override async acquireMigrationLock(db: Kysely<Untyped>, { lockRowId }: { lockRowId: string }): Promise<void> {
    await sql`select id from ${sql.table(LOCK_TABLE)} where id = ${lockRowId} for update`.execute(db);
  }

  override releaseMigrationLock(): Promise<void> {
    return Promise.resolve();
  }
}

class RowLockDialect extends PostgresDialect {
  override createAdapter(): PostgresAdapter {
    return new RowLockAdapter();
  }
}

/**
 * Brings the schema to what this version knows; does nothing where it is there. Several nodes may do it at once: what one
 * finds made by another in the middle of its own attempt fails as `undone`.
 * @throws StoreOpenError UNKNOWN_FORMAT where the schema is of a version to come
 * @throws PostgresFailure
 */
export async function migrate(
  settings: PostgresSettings,
  migrations: Readonly<Record<string, Migration>> = MIGRATIONS,
): Promise<void> {
  const client = new Client(clientConfig(settings));
  client.on('error', () => undefined);
  try {
    await client.connect();
    await setUpSession(client, settings);
    // Other than a setting in the address, this one also holds for what Kysely itself makes and asks for.
    await client.query(`SET search_path = "${settings.schema}"`);
    await migrateOn(client, settings, migrations);
  } catch (error) {
    throw error instanceof StoreOpenError ? error : migrationFailure(error);
  } finally {
    client.end().catch(() => undefined);
  }
}

async function migrateOn(
  client: Client,
  settings: PostgresSettings,
  migrations: Readonly<Record<string, Migration>>,
): Promise<void> {
  const db = new Kysely<Untyped>({ dialect: new RowLockDialect({ pool: poolOf(client) }) });
  await db.transaction().execute(async (transaction) => {
    const migrator = new Migrator({
      db: transaction,
      provider: { getMigrations: () => Promise.resolve({ ...migrations }) },
      migrationTableSchema: settings.schema,
      migrationTableName: MIGRATION_TABLE,
      migrationLockTableName: LOCK_TABLE,
    });
    const { error } = await migrator.migrateToLatest();
    if (error === undefined) return;
    // A failed statement ends the transaction; another kind of failure leaves it as it was, and its names can be read.
    if (isAborted(error)) throw error;
    throw (await strangerAmong(transaction, settings, migrations)) ?? error;
  });
}

/** Kysely asks for a pool; one client is enough here. */
function poolOf(client: Client): PostgresPool {
  const lent = Object.assign(client, { release: () => undefined });
  return { options: {}, connect: () => Promise.resolve(lent), end: () => Promise.resolve() } as unknown as PostgresPool;
}

function isAborted(error: unknown): boolean {
  return failureOf(error).code !== undefined;
}

async function strangerAmong(
  db: Kysely<Untyped>,
  settings: PostgresSettings,
  known: Readonly<Record<string, Migration>>,
): Promise<StoreOpenError | undefined> {
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(MIGRATION_TABLE)}`.execute(db);
  const stranger = rows.find(({ name }) => !Object.hasOwn(known, name));
  if (stranger === undefined) return undefined;
  return new StoreOpenError(
    'UNKNOWN_FORMAT',
    `the schema ${settings.schema} of ${placeOf(settings)} was made by a newer version (${stranger.name})`,
  );
}

/** What another node made a moment before: schemas, tables, rows. */
const MADE_MEANWHILE: ReadonlySet<string | undefined> = new Set(['23505', '42P06', '42P07', '42710', 'XX000']);

function migrationFailure(error: unknown): PostgresFailure {
  const failure = failureOf(error);
  return MADE_MEANWHILE.has(failure.code) ? new PostgresFailure('undone', failure.message, failure.code) : failure;
}
