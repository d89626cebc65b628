import type { RecordKey, Sequence } from '@meridian/core/ids';
import type { ChangesPage, PageLimits, RowPage, StoredRow, StoreFigures, TurnMark } from '../../ports/store.ts';
import type { FlushChanges, RowSource, StoreState } from '../flush.ts';

/** A store's state as its database has it. */
export interface SharedState extends StoreState, TurnMark {}

/** What was found, beside what the one who asked had seen of the store before. */
interface Found {
  /**
   * False where the database has gone back: under the same id, the turn that was seen is not in its past. One that is no
   * longer on record is taken to be.
   */
  readonly hasSeen: boolean;
}

export interface FoundState extends SharedState, Found {}

/** What a transaction sees, once it has the store to itself: what is read here was committed, and stays so to its end. */
export interface SharedTurn extends RowSource {
  readonly state: FoundState;
}

/** Rows, and which state of the store they are of. */
export interface SharedRows extends TurnMark, Found {
  /** A key without a row is not in it. */
  readonly rows: ReadonlyMap<RecordKey, StoredRow>;
}

/**
 * What a turn changes. It may be asked more than once: of a run that did not commit nothing remains. Nothing where nothing
 * is to be written. Where it throws, nothing is written, and `transact` rejects with what was thrown.
 */
export type TurnDecision = (turn: SharedTurn) => FlushChanges | undefined;

/**
 * The latest turn that the one who asks has heard of. Asked for whenever a turn is tried; `isReconnected` where no turn has
 * been tried on this connection yet, so that others may be asked first.
 */
export type LatestTurn = (isReconnected: boolean) => TurnMark | Promise<TurnMark>;

/**
 * The database under a store that several nodes share. All that writes takes turns: one transaction at a time has the store
 * to itself, over all nodes, from before it reads until it is durable. So sequences are given out in the order of commits,
 * and who sees one sees all below it.
 */
export interface SharedDatabase {
  /** Whether the store was made at this opening. */
  readonly isNew: boolean;
  /** As found at the opening. */
  readonly state: SharedState;
  /** The longest record key that it takes, in bytes of UTF-8. */
  readonly keyBytesMax: number;
  /**
   * One turn: reads the state and the rows of `keys`, decides, writes, commits. Where the database undid it (a deadlock, a
   * serialization failure, a connection lost before the commit was asked for, a lock not had in time) it is tried again.
   * Resolves once the outcome is certain, also where the connection broke during the commit: with the state after it.
   * @throws StoreFullError, StoreFailedError: nothing of it remains, unless `isDoubtful`
   */
  transact(keys: readonly RecordKey[], decide: TurnDecision, latest: LatestTurn): Promise<SharedState>;
  /** What is committed under these keys, in one statement. */
  get(keys: readonly RecordKey[], seen: TurnMark): Promise<SharedRows>;
  scan(from: RecordKey, to: RecordKey, limits: PageLimits): Promise<RowPage>;
  /** Rows above a sequence, from one consistent view. */
  changes(after: Sequence, limits: PageLimits): Promise<ChangesPage>;
  /** As last committed. */
  readState(seen: TurnMark): Promise<FoundState>;
  figures(): Promise<StoreFigures>;
  /** Ends its connections. What is under way is let finish, within bounds. */
  close(): Promise<void>;
}
