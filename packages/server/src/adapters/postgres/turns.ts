import type { RecordKey } from '@meridian/core/ids';
import type { Clock } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import { type StoredRow, StoreFailedError, type TurnMark } from '../../ports/store.ts';
import type { FlushChanges } from '../flush.ts';
import type { LatestTurn, SharedState, SharedTurn, TurnDecision } from '../shared/shared-database.ts';
import { bigintArray, byteaArray } from './binary-array.ts';
import type { PostgresCounters } from './counters.ts';
import { failureOf, PostgresFailure } from './failures.ts';
import type { Patience } from './patience.ts';
import { keyBytes, rowOf } from './rows.ts';
import { type Answer, Session } from './session.ts';
import type { PostgresSettings } from './settings.ts';
import { type FoundRow, notesTextOf, positionsTextOf, StateRow } from './state-row.ts';
import type { Statements } from './statements.ts';
import { storeError } from './store-error.ts';

const WRITER_ID_LENGTH = 20;
const NOTES_TAG_LENGTH = 12;

/**
 * Whatever the operator's default is: the rows are read once the lock is had, and must be seen as they are then, not as they
 * were when the transaction began. Engines that are serializable only take this for what they have.
 */
const BEGIN = 'BEGIN ISOLATION LEVEL READ COMMITTED';

export interface TurnsOptions {
  readonly settings: PostgresSettings;
  readonly statements: Statements;
  readonly random: Random;
  readonly clock: Clock;
  readonly patience: Patience;
  readonly counters: PostgresCounters;
  readonly turnsKept: number;
}

/** Old ones are deleted so many at a time, by both ends of their range: below it nothing is looked at. */
const TURNS_FORGOTTEN_AT_ONCE = 64;

/** A commit was asked for, and it is not known whether it took place. */
class Doubt extends Error {
  override readonly name = 'Doubt';
  readonly after: SharedState;
  readonly failure: PostgresFailure;

  constructor(after: SharedState, failure: PostgresFailure) {
    super(failure.message);
    this.after = after;
    this.failure = failure;
  }
}

/** What `decide` threw, so that it is not taken for a failure of the database. */
class DecisionFailure extends Error {
  override readonly name = 'DecisionFailure';

  constructor(cause: unknown) {
    super('a decision threw', { cause });
  }
}

/**
 * Turns of this process, one at a time, each one transaction: the store's lock, its state and the rows in one trip, all
 * that is written and the commit in another. A transaction that has the lock is the only one that writes, on whatever node.
 */
export class Turns {
  readonly #options: TurnsOptions;
  /** Of the names of this process's turns, what they begin with. */
  readonly #writer: string;
  #attempts = 0;
  readonly #stateRow = new StateRow();
  #session: Session | undefined;
  /** That of the last turn. */
  #lastTried: Session | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: TurnsOptions) {
    this.#options = options;
    this.#writer = options.random.id(WRITER_ID_LENGTH);
  }

  /** @throws StoreFullError, StoreFailedError, or what `decide` throws */
  take(keys: readonly RecordKey[], decide: TurnDecision, latest: LatestTurn): Promise<SharedState> {
    const turn = this.#tail.then(() => this.#takeNow(keys, decide, latest));
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  /** Once the turns asked for are over. */
  async close(): Promise<void> {
    await this.#tail;
    await this.#session?.end(this.#options.clock).catch(() => undefined);
  }

  async #takeNow(keys: readonly RecordKey[], decide: TurnDecision, latest: LatestTurn): Promise<SharedState> {
    const { patience, counters } = this.#options;
    counters.turns++;
    const bytes = keys.map(keyBytes);
    try {
      return await patience.retry(
        () => this.#tryOrFindOut(bytes, decide, latest),
        () => counters.retries++,
      );
    } catch (error) {
      if (error instanceof DecisionFailure) throw error.cause;
      throw storeError(error);
    }
  }

  async #tryOrFindOut(keys: readonly Uint8Array[], decide: TurnDecision, latest: LatestTurn): Promise<SharedState> {
    try {
      return await this.#try(keys, decide, latest);
    } catch (error) {
      if (!(error instanceof Doubt)) throw error;
      this.#options.counters.doubts++;
      if (await this.#findOut(error)) return error.after;
      // The server did not do it, for certain. Why is known where it said so.
      const { kind, message, code, isAnswer } = error.failure;
      throw new PostgresFailure(isAnswer && kind !== 'lost' ? kind : 'undone', message, code);
    }
  }

  async #try(keys: readonly Uint8Array[], decide: TurnDecision, latest: LatestTurn): Promise<SharedState> {
    const session = await this.#connected();
    const seen = await latest(session !== this.#lastTried);
    this.#lastTried = session;
    try {
      const turn = await this.#begin(session, keys, seen);
      const changes = decideOn(turn, decide);
      if (changes !== undefined) return await this.#commit(session, turn.found, changes);
      // Nobody needs to wait for it: whatever comes next on this session comes after it.
      session.command('ROLLBACK').catch(() => session.drop());
      return turn.state;
    } catch (error) {
      await this.#leave(session, error);
      throw error;
    }
  }

  async #begin(
    session: Session,
    keys: readonly Uint8Array[],
    seen: TurnMark,
  ): Promise<SharedTurn & { readonly found: FoundRow }> {
    const { statements } = this.#options;
    const { known } = this.#stateRow;
    const [, , last, read] = await allOf(
      session.together(() => [
        session.command(BEGIN),
        session.run(statements.lock, []),
        // A statement of its own: it must see what was committed while the lock was waited for.
        session.run(statements.readState, [known.tag, seen.version]),
        ...(keys.length > 0 ? [session.run(statements.rows, [byteaArray(keys)])] : []),
      ]),
    );
    const found = this.#stateRow.take(last as Answer, known, seen);
    const rows = new Map<RecordKey, StoredRow>();
    for (const cells of read?.rows ?? []) {
      const row = rowOf(cells);
      rows.set(row.key, row);
    }
    return { state: found.state, found, read: (key) => rows.get(key) };
  }

  async #commit(session: Session, found: FoundRow, changes: FlushChanges): Promise<SharedState> {
    // A name for each attempt: what was undone, or lost with a database that went back, is never taken for what came after.
    const turn = `${this.#writer}.${(this.#attempts++).toString(36)}`;
    const after: SharedState = { ...changes.after, version: found.state.version + 1, turn };
    const sent = session.together(() => [...this.#writes(session, found, after, changes), session.command('COMMIT')]);
    const settled = await Promise.allSettled(sent);
    const commit = settled.pop() as PromiseSettledResult<Answer>;
    const failures = settled.filter((result) => result.status === 'rejected').map(({ reason }) => failureOf(reason));
    // A statement that the server refused has undone the transaction, whatever became of the commit behind it. That a
    // connection is lost may also be told by something between here and the server, which knows nothing of the commit.
    const refused = failures.find(({ isAnswer, kind }) => isAnswer && kind !== 'lost');
    if (refused) throw refused;
    if (commit.status === 'fulfilled') {
      if (commit.value.command === 'COMMIT') return after;
      throw failures[0] ?? new PostgresFailure('undone', 'the server undid the transaction');
    }
    const failure = failureOf(commit.reason);
    if (failure.isAnswer && failure.kind === 'undone') throw failure;
    throw new Doubt(after, failure);
  }

  #writes(session: Session, found: FoundRow, after: SharedState, changes: FlushChanges): Promise<Answer>[] {
    const { statements, random } = this.#options;
    const { rows, removed } = changes;
    const sent: Promise<Answer>[] = [];
    if (rows.length > 0) {
      const keys = byteaArray(rows.map(({ key }) => keyBytes(key)));
      const sequences = bigintArray(rows.map(({ sequence }) => sequence));
      const records = byteaArray(rows.map(({ record }) => record));
      sent.push(session.run(statements.put, [keys, sequences, records]));
    }
    if (removed.length > 0) {
      sent.push(session.run(statements.remove, [byteaArray(removed.map(({ key }) => keyBytes(key)))]));
    }
    const { id, version, turn, sequence, positions, notes } = after;
    let { notesTag } = found;
    if (notes !== found.state.notes) {
      notesTag = random.id(NOTES_TAG_LENGTH);
      sent.push(session.run(statements.saveNotes, [notesTag, notesTextOf(notes)]));
      sent.push(session.run(statements.forgetNotes, [found.notesTag]));
    }
    const saved = [version, turn, id, sequence, positionsTextOf(positions), notesTag];
    sent.push(session.run(statements.saveTurn, saved));
    if (version % TURNS_FORGOTTEN_AT_ONCE === 0) {
      const last = version - this.#options.turnsKept;
      sent.push(session.run(statements.forgetTurns, [last - TURNS_FORGOTTEN_AT_ONCE, last]));
    }
    return sent;
  }

  /**
   * Whether the commit took place. The transaction had the lock on the store's row, so once that lock is had again it has
   * ended, one way or the other: also one whose connection broke unseen, when the server ends it for being idle.
   * @throws StoreFailedError that is doubtful, where it cannot be found out in time
   */
  async #findOut({ after, failure }: Doubt): Promise<boolean> {
    try {
      return await this.#options.patience.retry(() => this.#isCommitted(after));
    } catch {
      throw new StoreFailedError(`the outcome of a commit is not known: ${failure.message}`, {
        cause: failure,
        isDoubtful: true,
      });
    }
  }

  async #isCommitted(after: SharedState): Promise<boolean> {
    const { version } = after;
    const { statements } = this.#options;
    const session = await this.#connected();
    try {
      const { known } = this.#stateRow;
      const [, , last, turn] = await allOf(
        session.together(() => [
          session.command(BEGIN),
          session.run(statements.lock, []),
          session.run(statements.readState, [known.tag, version]),
          session.run(statements.findTurn, [version]),
        ]),
      );
      const writer = turn?.rows[0]?.[0];
      const isMade = writer === after.turn;
      // It can be seen before the standbys that it must reach have it, where its own session was ended while it waited for
      // them. To commit the lock alone waits for all that was committed before.
      await session.command(isMade ? 'COMMIT' : 'ROLLBACK');
      const { state } = this.#stateRow.take(last as Answer, known, after);
      if (writer !== undefined || state.version < version) return isMade;
    } catch (error) {
      await this.#leave(session, error);
      throw error;
    }
    throw new PostgresFailure('refused', 'too many turns have been taken since');
  }

  /** Of a session that may still be used nothing of the turn may remain. */
  async #leave(session: Session, error: unknown): Promise<void> {
    const isUsable = error instanceof DecisionFailure || (error instanceof PostgresFailure && error.kind === 'undone');
    if (!isUsable || session.isLost) {
      session.drop();
      return;
    }
    await session.command('ROLLBACK').catch(() => session.drop());
  }

  async #connected(): Promise<Session> {
    if (this.#session && !this.#session.isLost) return this.#session;
    this.#options.counters.connections++;
    this.#session = await Session.open(this.#options.settings).catch((error: unknown) => {
      // A password or a certificate may be on its way to being changed.
      const { message, code } = failureOf(error);
      throw new PostgresFailure('lost', message, code);
    });
    return this.#session;
  }
}

function decideOn(turn: SharedTurn, decide: TurnDecision): FlushChanges | undefined {
  try {
    return decide(turn);
  } catch (error) {
    throw new DecisionFailure(error);
  }
}

/** The answers; or the first failure, once all have come: what follows it in a transaction fails for its sake. */
async function allOf(asked: readonly Promise<Answer>[]): Promise<Answer[]> {
  const settled = await Promise.allSettled(asked);
  const failed = settled.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
  return settled.map((result) => (result as PromiseFulfilledResult<Answer>).value);
}
