import type { VersionVector } from '@meridian/core/causality/version-vector';
import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';

/** A record as it is kept: `record` are the bytes of core/wire/record-codec; `sequence` is its row in the by-sequence index. */
export interface StoredRow {
  readonly key: RecordKey;
  readonly sequence: Sequence;
  readonly record: Uint8Array;
}

/** How far this store has come with one origin (ARCHITECTURE.md, "Replication by sequence"). */
export interface FollowPosition {
  /** How far the origin's index was walked; where to go on. */
  readonly cursor: Sequence;
  /** The claim: every dot of the origin up to here has been merged, for the keys this store hosts. */
  readonly applied: Sequence;
  /** Whether all that the origin held, of whatever dots, has been taken in once. */
  readonly isFilled: boolean;
}

export interface RecordWrite {
  readonly key: RecordKey;
  /** The record's new bytes; `null` removes it with its index row, and takes no sequence. */
  readonly record: Uint8Array | null;
}

/** What a `decide` function sees: this store's state at its turn, with all earlier decisions in it. */
export interface UpdateView {
  readonly store: StoreId;
  /** The sequence that the first write of this decision gets; the next gets one more, and so on. */
  readonly nextSequence: Sequence;
  /** The claims for every origin, this store's own (its sequence) among them. */
  readonly applied: VersionVector;
  /** The bytes of the record under `keys[at]`. */
  record(at: number): Uint8Array | undefined;
  position(origin: StoreId): FollowPosition | undefined;
}

export interface UpdateDecision<Result> {
  /** Each key at most once; only keys that were asked for. */
  readonly writes: readonly RecordWrite[];
  /** In the same transaction as the records they speak of. */
  readonly positions?: ReadonlyMap<StoreId, FollowPosition>;
  readonly result: Result;
}

/** Pure: it may run more than once, and of a run that did not commit nothing remains. Where it throws, only its own update fails. */
export type Decide<Result> = (view: UpdateView) => UpdateDecision<Result>;

/** What became durable in the index above `from`, by whichever node of the store. Each begins where the one before ended. */
export interface Commit {
  readonly from: Sequence;
  readonly upTo: Sequence;
  /** In order of their sequences; a key written twice in the commit stands once, at its last. */
  readonly rows: readonly StoredRow[];
  /** Whether all that this store holds up to `upTo` has been told with it and those before: a complete view as of `upTo`. */
  readonly isWhole: boolean;
}

/** A record that may be a copy from a while ago. */
export interface RecentRecord {
  readonly record: Uint8Array | undefined;
  /** It was the store's own at some moment no longer ago than this; 0 where the store itself was asked. */
  readonly ageMs: number;
}

export interface RowPage {
  readonly rows: readonly StoredRow[];
  /** Whether the page ends with the range, not with a limit. */
  readonly isComplete: boolean;
}

export interface ChangesPage extends RowPage {
  /** The index was walked up to here: the last row, or, of a complete page, the store's sequence in the same view. */
  readonly upTo: Sequence;
}

export interface PageLimits {
  readonly rowsMax: number;
  /** A page ends after the row that reaches this; it always holds at least one row where there is one. */
  readonly bytesMax: number;
}

export interface StoreFigures {
  readonly engine: string;
  readonly records: number;
  readonly bytesUsed: number;
  /** `undefined` where that cannot be known: a database on another machine does not tell. */
  readonly bytesFree: number | undefined;
}

export class StoreFullError extends Error {
  override readonly name = 'StoreFullError';
}

export class StoreFailedError extends Error {
  override readonly name = 'StoreFailedError';
  /** Whether what failed may be there all the same after the next opening. */
  readonly isDoubtful: boolean;

  constructor(message: string, options: { readonly cause?: unknown; readonly isDoubtful?: boolean } = {}) {
    super(message, options);
    this.isDoubtful = options.isDoubtful ?? false;
  }
}

export type StoreOpenProblem =
  | 'IN_USE'
  | 'NOT_A_DIRECTORY'
  | 'NOT_WRITABLE'
  | 'NO_SPACE'
  | 'OTHER_STORE'
  | 'UNKNOWN_FORMAT'
  | 'UNREADABLE';

/** Why a store cannot be opened. The message is one line for the operator, and names the path. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError';
  readonly problem: StoreOpenProblem;

  constructor(problem: StoreOpenProblem, message: string, cause?: unknown) {
    super(message, { cause });
    this.problem = problem;
  }
}

/** What a store that several nodes share has beyond one of a single owner. */
export interface Shared {
  /**
   * Takes notice of all that was committed before this call, by whomever: `sequence`, positions, notes and `onCommit` have
   * told of it when this resolves. @throws StoreFailedError
   */
  refresh(): Promise<void>;
  /** Another node says what it has committed. Only spares a look at the database: it may come late, twice, or never. */
  notice(notice: CommitNotice): void;
  /** Called after each transaction of this process that changed something, so that the other nodes can be told. */
  onChange(listener: (notice: CommitNotice) => void): void;
  /**
   * Called where the database is found to be older than what this process has seen of it (it was restored, or failed over to
   * a standby that lagged): updates fail until `renewId`.
   */
  onRegressed(listener: (seen: Sequence) => void): void;
  /** The latest transaction that this process has heard of, by whomever. */
  readonly latest: TurnMark;
  /**
   * Where the connection was lost that writes, the database may have gone back meanwhile, behind what only other nodes have
   * heard of. So the next write waits for `ask`, which resolves to what those say that can be reached, and never rejects.
   */
  onReconnected(ask: () => Promise<readonly TurnMark[]>): void;
}

/**
 * Which transaction a state is of. A database that has gone back gives out the same versions anew, so the version alone does
 * not tell: the turn's own name does, which no other has.
 */
export interface TurnMark {
  readonly id: StoreId;
  /** One more with each transaction that changed anything. */
  readonly version: number;
  readonly turn: string;
}

export interface CommitNotice {
  readonly store: StoreId;
  readonly from: Sequence;
  readonly upTo: Sequence;
  /** `undefined` where they were too many to pass on. */
  readonly rows: readonly StoredRow[] | undefined;
  /** Whether positions, notes or the id changed too. */
  readonly changesState: boolean;
  /** The transaction, and the one before it: who has seen that one knows that nothing is between. */
  readonly turn: { readonly version: number; readonly name: string; readonly before: string };
}

/**
 * One durable copy of some partitions. Held by test/conformance/store.ts:
 * - what `update` resolved for is on disk: it survives SIGKILL and power loss; and nothing is visible to `get`, `scan`,
 *   `changes` or `onCommit` before it is there. Reads may show a commit a moment before `sequence` and `onCommit` tell
 *   of it, never after
 * - updates take effect one after another, in the order they were asked for; a failed one leaves nothing behind
 * - a sequence that became visible is never given to anything else, over restarts too
 */
export interface Store {
  readonly id: StoreId;
  /** Whether this store was made at this opening: its disk was empty. */
  readonly isNew: boolean;
  /** Of a store that several nodes have open at once; what this process knows of it may lag behind until `refresh`. */
  readonly shared?: Shared;
  /** The highest durable sequence; 0 for an empty store. */
  readonly sequence: Sequence;
  /** Durable positions, by origin. */
  readonly positions: ReadonlyMap<StoreId, FollowPosition>;

  get(key: RecordKey): Promise<Uint8Array | undefined>;
  /** The record with its row in the index. */
  getRow(key: RecordKey): Promise<StoredRow | undefined>;
  /**
   * Like `get`, but it may come from a cache, as it was when this store held at least the claims that `isEnough` takes;
   * without one, as it was at any time. A store that need not wait for it gives it at once: most reads of most clients go
   * this way, and a promise would have to be waited for on each level above. Does not throw; what fails rejects.
   */
  getRecent(key: RecordKey, isEnough?: (claims: VersionVector) => boolean): RecentRecord | Promise<RecentRecord>;
  /**
   * Reads `keys`, decides, writes: atomically, durable when it resolves. Concurrent calls share a commit.
   * @throws StoreFullError, StoreFailedError: nothing of this update was kept (see `isDoubtful`). Whatever `decide` throws, likewise.
   */
  update<Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result>;
  /** Records with `from <= key < to`, in the order of their UTF-8 bytes, from one consistent view. */
  scan(from: RecordKey, to: RecordKey, limits: PageLimits): Promise<RowPage>;
  /** Rows above a sequence, in order, from one consistent view. One row for a key, at its latest sequence. */
  changes(after: Sequence, limits: PageLimits): Promise<ChangesPage>;
  /** Takes a new id before the next update; sequences go on. The old id's claim stays, as that of an origin like others. */
  renewId(): Promise<void>;
  /** Forgets all positions: what follows is taken in from the start. Durable when it resolves. */
  forgetPositions(): Promise<void>;
  /** Small durable texts that belong to this store, e.g. the layout it was last opened under. */
  note(name: string): string | undefined;
  setNote(name: string, text: string): Promise<void>;
  /** Sets the note only where it says `expected` (`undefined`: nothing) at its turn; says whether it did. */
  replaceNote(name: string, expected: string | undefined, text: string): Promise<boolean>;
  figures(): Promise<StoreFigures>;
  /** Called after each commit that wrote records, in order, once all of it is durable and visible. */
  onCommit(listener: (commit: Commit) => void): void;
  /** Finishes what was asked for, then closes. Further calls fail with StoreFailedError. */
  close(): Promise<void>;
}
