import {
  compareKeys,
  NO_SEQUENCE,
  type RecordKey,
  type Sequence,
  type StoreName,
  storeIdFor,
} from '@meridian/core/ids';
import type { FlushChanges } from '@meridian/server/adapters/flush';
import type {
  FoundState,
  LatestTurn,
  SharedDatabase,
  SharedRows,
  SharedState,
  TurnDecision,
} from '@meridian/server/adapters/shared/shared-database';
import type { CancelTimer, Clock } from '@meridian/server/ports/clock';
import type { Random } from '@meridian/server/ports/random';
import {
  type ChangesPage,
  type PageLimits,
  type RowPage,
  type StoredRow,
  StoreFailedError,
  type StoreFigures,
  type TurnMark,
} from '@meridian/server/ports/store';
import { Image, page } from './image.ts';

const ID_LENGTH = 16;
const UINT32_RANGE = 0x1_0000_0000;
/** Between a node and its database, one way. */
const TRIP_MS = 0.2;
const SYNC_MS_MIN = 0.1;
const SYNC_MS_SPREAD = 2;
/** A turn whose client says nothing for so long is undone, and the store given to the next. */
const IDLE_MS = 1_000;
/** So long a client tries before it says that the store failed. */
const PATIENCE_MS = 2_000;
const RETRY_MS = 50;
/** A standby that takes over lacks this much at most. */
const LAG_MS = 200;

/** Bugs planted on purpose. */
export interface DatabaseBugs {
  /** Transactions do not wait for one another: two may begin on the same state. */
  readonly turnsOverlap?: boolean;
  /** A commit that the client heard nothing of is tried again, without a look whether it was made. */
  readonly doubtTriedAgain?: boolean;
}

interface Turn {
  readonly onGranted: () => void;
  isOver: boolean;
  cancelIdle: CancelTimer;
}

/** What a database does by itself; the time that passes on its machine. */
export type ServerClock = Pick<Clock, 'monotonicMs' | 'timer'>;

/** A database server in memory, which outlives the nodes that use it. What it has committed it keeps. */
export class SimulatedServer {
  /** Refuses connections, and breaks those there are. */
  isDown = false;
  /** Share of turns, 0 to 1, whose connection breaks: before the commit was asked for, or while it is being made. */
  breakShare = 0;
  slowness = 1;
  /** Goes up whenever all connections break. */
  connections = 0;
  readonly #clock: ServerClock;
  readonly #bugs: DatabaseBugs;
  readonly #queue: Turn[] = [];
  #holder: Turn | undefined;
  #image = new Image();
  #state: SharedState | undefined;
  /** The name of the turn of each version. */
  #turns: string[] = [''];
  #turnsTaken = 0;
  /** The id that the state had when a standby took over that lacked something: until it changes, no node has noticed. */
  #idAtLoss: string | undefined;
  /** The same a while ago, as a standby has it that lags. */
  #standby: { readonly image: Image; readonly state: SharedState | undefined; readonly atMs: number } | undefined;

  constructor(clock: ServerClock, bugs: DatabaseBugs = {}) {
    this.#clock = clock;
    this.#bugs = bugs;
  }

  durableRecord(key: RecordKey): Uint8Array | undefined {
    return this.#image.rows.get(key)?.record;
  }

  durableKeys(): IterableIterator<RecordKey> {
    return this.#image.rows.keys();
  }

  *durableRows(): IterableIterator<readonly [RecordKey, Uint8Array]> {
    for (const [key, { record }] of this.#image.rows) yield [key, record];
  }

  get hasLostUnnoticed(): boolean {
    return this.#idAtLoss !== undefined && this.#state?.id === this.#idAtLoss;
  }

  get image(): Image {
    return this.#image;
  }

  get state(): SharedState {
    return this.#state as SharedState;
  }

  /** Whether a turn that somebody has seen is in the past of the state. */
  hasSeen({ id, version, turn }: TurnMark): boolean {
    return id !== this.state.id || this.#turns[version] === turn;
  }

  /** Gives the store its first state, once. */
  make(state: SharedState): boolean {
    if (this.#state) return false;
    this.#state = state;
    return true;
  }

  /** A standby takes over that has not heard of the last moments. Connections break. */
  failOver(): void {
    const standby = this.#standby;
    this.#breakAll();
    if (!standby?.state) return;
    if (this.#state && standby.state.version < this.#state.version) this.#idAtLoss = standby.state.id;
    this.#image = standby.image.copy();
    this.#state = standby.state;
    this.#turns = this.#turns.slice(0, standby.state.version + 1);
    this.#standby = undefined;
  }

  stop(): void {
    this.isDown = true;
    this.#breakAll();
  }

  #breakAll(): void {
    this.connections += 1;
    for (const turn of this.#queue.splice(0)) turn.isOver = true;
    if (this.#holder) this.release(this.#holder);
  }

  lock(onGranted: () => void): Turn {
    const turn: Turn = { onGranted, isOver: false, cancelIdle: () => undefined };
    if (this.#bugs.turnsOverlap) onGranted();
    else {
      this.#queue.push(turn);
      this.#grant();
    }
    return turn;
  }

  #grant(): void {
    if (this.#holder) return;
    const next = this.#queue.shift();
    if (!next) return;
    this.#holder = next;
    next.cancelIdle = this.#clock.timer(IDLE_MS, () => this.release(next));
    next.onGranted();
  }

  release(turn: Turn): void {
    turn.isOver = true;
    turn.cancelIdle();
    const at = this.#queue.indexOf(turn);
    if (at >= 0) this.#queue.splice(at, 1);
    if (this.#holder !== turn) return;
    this.#holder = undefined;
    this.#grant();
  }

  /** The client has asked for the commit: whatever becomes of it, the server goes on. Nothing where the turn was undone. */
  commit(turn: Turn, changes: FlushChanges, share: number, onDone: (after: SharedState | undefined) => void): void {
    if (turn.isOver) {
      onDone(undefined);
      return;
    }
    turn.cancelIdle();
    this.#clock.timer((SYNC_MS_MIN + share * SYNC_MS_SPREAD) * this.slowness, () => {
      if (turn.isOver) {
        onDone(undefined);
        return;
      }
      this.#keepStandby();
      this.#image.apply(changes);
      const name = `turn-${++this.#turnsTaken}`;
      this.#state = { ...changes.after, version: this.state.version + 1, turn: name };
      this.#turns.push(name);
      this.release(turn);
      onDone(this.#state);
    });
  }

  #keepStandby(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#standby && nowMs - this.#standby.atMs < LAG_MS) return;
    this.#standby = { image: this.#image.copy(), state: this.#state, atMs: nowMs };
  }

  /** One node's connections. */
  connect(storeName: StoreName, clock: Clock, random: Random): SimulatedDatabase {
    const fresh: SharedState = {
      id: storeIdFor(storeName, random.id(ID_LENGTH)),
      sequence: NO_SEQUENCE,
      positions: new Map(),
      notes: new Map(),
      version: 0,
      turn: '',
    };
    const isNew = this.make(fresh);
    return new SimulatedDatabase(this, clock, random, isNew, this.#bugs);
  }
}

/** The database as one process has it: everything takes a trip there and back, and can break. */
export class SimulatedDatabase implements SharedDatabase {
  readonly isNew: boolean;
  readonly state: SharedState;
  readonly keyBytesMax = 2_000;
  readonly #server: SimulatedServer;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #bugs: DatabaseBugs;
  /** Those that have not asked for their commit. */
  readonly #turns = new Set<Turn>();
  /** That of the last turn that was tried; `undefined` where it broke. */
  #connection: number | undefined;

  constructor(server: SimulatedServer, clock: Clock, random: Random, isNew: boolean, bugs: DatabaseBugs) {
    this.#server = server;
    this.#clock = clock;
    this.#random = random;
    this.#bugs = bugs;
    this.isNew = isNew;
    this.state = server.state;
  }

  /** The process is dead: its connections break, and what it has not asked to commit is undone. */
  halt(): void {
    for (const turn of this.#turns) this.#server.release(turn);
    this.#turns.clear();
  }

  async transact(keys: readonly RecordKey[], decide: TurnDecision, latest: LatestTurn): Promise<SharedState> {
    const startedAtMs = this.#clock.monotonicMs();
    for (;;) {
      await this.#wait(TRIP_MS);
      const state = this.#server.isDown ? undefined : await this.#attempt(keys, decide, latest);
      if (state) return state;
      if (this.#clock.monotonicMs() - startedAtMs > PATIENCE_MS)
        throw new StoreFailedError('the database cannot be reached');
      await this.#wait(RETRY_MS);
    }
  }

  /** Nothing where the turn was undone. */
  async #attempt(
    keys: readonly RecordKey[],
    decide: TurnDecision,
    latest: LatestTurn,
  ): Promise<SharedState | undefined> {
    const connection = this.#server.connections;
    const seen = await latest(connection !== this.#connection);
    if (connection !== this.#server.connections) return undefined;
    this.#connection = connection;
    const turn = await this.#granted();
    if (!turn) return undefined;
    try {
      if (this.#breaks()) return undefined;
      const { state, image } = this.#server;
      const rows = new Map(keys.map((key) => [key, image.rows.get(key)]));
      const found = { ...state, hasSeen: this.#server.hasSeen(seen) };
      await this.#wait(TRIP_MS);
      const changes = decide({ state: found, read: (key) => rows.get(key) });
      return changes ? await this.#commit(turn, changes) : state;
    } finally {
      this.#turns.delete(turn);
      this.#server.release(turn);
    }
  }

  /** Nothing where the connection broke meanwhile: one that is undone before its turn is never told so. */
  #granted(): Promise<Turn | undefined> {
    return new Promise((resolve) => {
      const turn = this.#server.lock(() => this.#clock.soon(() => settle(turn.isOver ? undefined : turn)));
      this.#turns.add(turn);
      const cancelWait = this.#clock.timer(PATIENCE_MS, () => {
        this.#turns.delete(turn);
        this.#server.release(turn);
        settle(undefined);
      });
      const settle = (granted: Turn | undefined): void => {
        cancelWait();
        resolve(granted);
      };
    });
  }

  async #commit(turn: Turn, changes: FlushChanges): Promise<SharedState | undefined> {
    const isHeard = !this.#breaks();
    this.#turns.delete(turn);
    const after = await new Promise<SharedState | undefined>((resolve) => {
      this.#server.commit(turn, changes, this.#share(), resolve);
    });
    if (isHeard) {
      await this.#wait(TRIP_MS);
      return after;
    }
    // Where no answer came the client looks, and knows.
    await this.#wait(RETRY_MS);
    return this.#bugs.doubtTriedAgain ? undefined : after;
  }

  #wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.timer(delayMs, resolve));
  }

  get(keys: readonly RecordKey[], seen: TurnMark): Promise<SharedRows> {
    return this.#read((image) => {
      const rows = new Map<RecordKey, StoredRow>();
      for (const key of keys) {
        const row = image.rows.get(key);
        if (row) rows.set(key, row);
      }
      const { id, version, turn } = this.#server.state;
      return { id, version, turn, hasSeen: this.#server.hasSeen(seen), rows };
    });
  }

  scan(from: RecordKey, to: RecordKey, limits: PageLimits): Promise<RowPage> {
    return this.#read((image) => {
      const rows = [...image.rows.values()]
        .filter(({ key }) => compareKeys(key, from) >= 0 && compareKeys(key, to) < 0)
        .sort((left, right) => compareKeys(left.key, right.key));
      return page(rows, limits);
    });
  }

  changes(after: Sequence, limits: PageLimits): Promise<ChangesPage> {
    return this.#read((image) => {
      const above = [...image.index.values()].filter(({ sequence }) => sequence > after);
      const { rows, isComplete } = page(above, limits);
      return { rows, isComplete, upTo: isComplete ? image.sequence : (rows[rows.length - 1]?.sequence ?? after) };
    });
  }

  readState(seen: TurnMark): Promise<FoundState> {
    return this.#read(() => ({ ...this.#server.state, hasSeen: this.#server.hasSeen(seen) }));
  }

  figures(): Promise<StoreFigures> {
    return this.#read((image) => {
      let bytesUsed = 0;
      for (const { record } of image.rows.values()) bytesUsed += record.length;
      return { engine: 'simulated', records: image.rows.size, bytesUsed, bytesFree: undefined };
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** There, at once, and back. */
  async #read<Result>(read: (image: Image) => Result): Promise<Result> {
    const startedAtMs = this.#clock.monotonicMs();
    await this.#wait(TRIP_MS);
    while (this.#server.isDown) {
      if (this.#clock.monotonicMs() - startedAtMs > PATIENCE_MS)
        throw new StoreFailedError('the database cannot be reached');
      await this.#wait(RETRY_MS);
    }
    const result = read(this.#server.image);
    await this.#wait(TRIP_MS);
    return result;
  }

  #breaks(): boolean {
    const breaks = this.#server.breakShare > 0 && this.#share() < this.#server.breakShare;
    if (breaks) this.#connection = undefined;
    return breaks;
  }

  #share(): number {
    return this.#random.uint32() / UINT32_RANGE;
  }
}
