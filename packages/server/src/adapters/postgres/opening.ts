import { type StoreId, type StoreName, storeIdFor } from '@meridian/core/ids';
import type { Random } from '../../ports/random.ts';
import { StoreOpenError } from '../../ports/store.ts';
import type { SharedState } from '../shared/shared-database.ts';
import { failureOf, isHopeless, PostgresFailure } from './failures.ts';
import { migrate } from './migrations.ts';
import type { Patience } from './patience.ts';
import { Session } from './session.ts';
import { type PostgresSettings, placeOf } from './settings.ts';
import { StateRow } from './state-row.ts';
import type { Statements } from './statements.ts';

const ID_LENGTH = 16;

export interface OpeningOptions {
  readonly settings: PostgresSettings;
  readonly storeName: StoreName;
  readonly random: Random;
}

export interface Opening {
  readonly state: SharedState;
  readonly isNew: boolean;
}

/**
 * Waits for the database for a while, brings its schema up to date, and makes the store where there is none: of several nodes
 * that open it at once, one has made it.
 * @throws StoreOpenError with one line that names the database
 */
export async function openStore(options: OpeningOptions, statements: Statements, patience: Patience): Promise<Opening> {
  const { settings, storeName, random } = options;
  // One for all tries: where the answer to the making of the store was lost, its id tells that it was this node who made it.
  const id = storeIdFor(storeName, random.id(ID_LENGTH));
  try {
    return await patience.retry(async () => {
      try {
        await migrate(settings);
        return await findOrMake(options, id, statements);
      } catch (error) {
        if (error instanceof StoreOpenError) throw error;
        const failure = failureOf(error);
        throw failure.kind === 'refused' && !isHopeless(failure) ? passing(failure) : failure;
      }
    });
  } catch (error) {
    if (error instanceof StoreOpenError) throw error;
    throw unusable(settings, failureOf(error));
  }
}

function passing({ message, code }: PostgresFailure): PostgresFailure {
  return new PostgresFailure('lost', message, code);
}

function unusable(settings: PostgresSettings, failure: PostgresFailure): StoreOpenError {
  return new StoreOpenError(
    failure.kind === 'full' ? 'NO_SPACE' : 'UNREADABLE',
    `the database ${placeOf(settings)} cannot be used: ${failure.message}`,
    failure,
  );
}

async function findOrMake(
  { settings, storeName }: OpeningOptions,
  id: StoreId,
  statements: Statements,
): Promise<Opening> {
  const session = await Session.open(settings);
  try {
    await session.run(statements.makeStore, [storeName]);
    const owner = (await session.run(statements.readName, [])).rows[0]?.[0] as StoreName | undefined;
    if (owner !== storeName) throw otherStore(settings, owner ?? ('' as StoreName), storeName);
    const row = new StateRow();
    const read = () => session.run(statements.readState, [row.known.tag, 0]);
    let answer = await read();
    if (answer.rows.length === 0) {
      await session.run(statements.makeTurn, [id]);
      answer = await read();
    }
    const { state } = row.take(answer, row.known, { id, version: 0, turn: '' });
    return { state, isNew: state.id === id };
  } finally {
    session.drop();
  }
}

function otherStore(settings: PostgresSettings, owner: StoreName, wanted: StoreName): StoreOpenError {
  return new StoreOpenError(
    'OTHER_STORE',
    `the schema ${settings.schema} of ${placeOf(settings)} belongs to the store ${owner}, not to ${wanted}`,
  );
}
