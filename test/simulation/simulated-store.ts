import {
  compareKeys,
  NO_SEQUENCE,
  type RecordKey,
  type Sequence,
  type StoreId,
  type StoreName,
  storeIdFor,
} from '@meridian/core/ids';
import { noted, noteReplaced, renewed, withoutPositions } from '@meridian/server/adapters/amendments';
import type { FlushChanges, StoreState } from '@meridian/server/adapters/flush';
import { GroupCommit } from '@meridian/server/adapters/group-commit';
import type { CancelTimer, Clock } from '@meridian/server/ports/clock';
import type { Random } from '@meridian/server/ports/random';
import {
  type ChangesPage,
  type Commit,
  type Decide,
  type FollowPosition,
  type PageLimits,
  type RecentRecord,
  type RowPage,
  type Store,
  type StoredRow,
  StoreFailedError,
  type StoreFigures,
  StoreFullError,
  StoreOpenError,
} from '@meridian/server/ports/store';
import { Image, page } from './image.ts';

const ID_LENGTH = 16;
const UINT32_RANGE = 0x1_0000_0000;
const SYNC_MS_MIN = 0.1;
const SYNC_MS_SPREAD = 2;
const DISK_BYTES = 1_000_000_000;

/** Bugs planted on purpose: what finds none of them proves nothing. */
export interface StoreBugs {
  /** Says that a commit is durable when it was only handed over: seen and acknowledged, and lost at a crash. */
  readonly acknowledgesBeforeSync?: boolean;
  /** Shows a commit to reads while it is still on its way to the disk. */
  readonly showsBeforeDurable?: boolean;
}

/**
 * What survives a crash of the process that has a store open on it. Of what was handed over and not yet synced, a crash
 * keeps a random number of whole commits, oldest first: a commit that was only begun leaves nothing.
 */
export class SimulatedDisk {
  /** Multiplies the time that a sync takes. */
  slowness = 1;
  /** Commits fail with StoreFullError while this holds. */
  isFull = false;
  /** Share of commits, 0 to 1, whose sync fails. */
  failureShare = 0;
  /** Of those that fail, the share that may be found at the next opening all the same, unless a later one went over it. */
  doubtShare = 0;
  #doubtful: FlushChanges | undefined;
  #image = new Image();
  #state: StoreState | undefined;
  #unsynced: FlushChanges[] = [];
  #openStore: SimulatedStore | undefined;

  /** A disk that holds what is durable on this one: a backup. */
  copy(): SimulatedDisk {
    const copied = new SimulatedDisk();
    copied.#image = this.#image.copy();
    copied.#state = this.#state;
    return copied;
  }

  /** What a crash at this moment would leave of a key. */
  durableRecord(key: RecordKey): Uint8Array | undefined {
    return this.#image.rows.get(key)?.record;
  }

  durableKeys(): IterableIterator<RecordKey> {
    return this.#image.rows.keys();
  }

  *durableRows(): IterableIterator<readonly [RecordKey, Uint8Array]> {
    for (const [key, { record }] of this.#image.rows) yield [key, record];
  }

  /** The process that had the store open is dead: none of its promises settles any more. */
  crash(random: Random): void {
    this.#openStore?.halt();
    const kept = random.uint32() % (this.#unsynced.length + 1);
    for (const changes of this.#unsynced.slice(0, kept)) this.#make(changes);
    if (this.#doubtful && this.#unsynced.length === 0 && random.uint32() % 2 === 0) this.#make(this.#doubtful);
    this.#unsynced = [];
    this.#doubtful = undefined;
    this.#openStore = undefined;
  }

  attach(store: SimulatedStore, fresh: () => StoreState): { image: Image; state: StoreState; isNew: boolean } {
    if (this.#openStore) throw new StoreOpenError('IN_USE', 'the simulated disk is in use by another process');
    this.#openStore = store;
    const isNew = this.#state === undefined;
    this.#state ??= fresh();
    return { image: this.#image.copy(), state: this.#state, isNew };
  }

  detach(): void {
    this.#sync();
    this.#doubtful = undefined;
    this.#openStore = undefined;
  }

  /** A commit that failed, and could not be taken back. */
  leaveDoubtful(changes: FlushChanges): void {
    this.#doubtful = changes;
  }

  handOver(changes: FlushChanges): void {
    this.#unsynced.push(changes);
  }

  /** The oldest commit that was handed over is durable now. */
  syncOne(): void {
    const changes = this.#unsynced.shift();
    if (changes) this.#make(changes);
  }

  #sync(): void {
    for (const changes of this.#unsynced.splice(0)) this.#make(changes);
  }

  #make(changes: FlushChanges): void {
    this.#image.apply(changes);
    this.#state = changes.after;
    this.#doubtful = undefined;
  }
}

export interface SimulatedStoreOptions {
  readonly disk: SimulatedDisk;
  readonly storeName: StoreName;
  readonly clock: Clock;
  readonly random: Random;
  readonly bugs?: StoreBugs;
  readonly onError?: (error: unknown) => void;
}

/** The port's contract in memory, under a clock that somebody else turns: the same seed gives the same run. */
export class SimulatedStore implements Store {
  readonly isNew: boolean;
  readonly #disk: SimulatedDisk;
  readonly #storeName: StoreName;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #bugs: StoreBugs;
  readonly #visible: Image;
  readonly #group: GroupCommit;
  readonly #timers = new Set<CancelTimer>();
  #isHalted = false;
  #closing: Promise<void> | undefined;

  /** @throws StoreOpenError where the disk has a store open */
  constructor(options: SimulatedStoreOptions) {
    this.#disk = options.disk;
    this.#storeName = options.storeName;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#bugs = options.bugs ?? {};
    const { image, state, isNew } = this.#disk.attach(this, () => ({
      id: this.#newId(),
      sequence: NO_SEQUENCE,
      positions: new Map(),
      notes: new Map(),
    }));
    this.isNew = isNew;
    this.#visible = image;
    this.#group = new GroupCommit({
      target: { read: (key) => this.#visible.rows.get(key), commit: (changes) => this.#commit(changes) },
      state,
      soon: (fire) => this.#clock.soon(fire),
      onError:
        options.onError ??
        ((error) => {
          throw error;
        }),
    });
  }

  get id(): StoreId {
    return this.#group.state.id;
  }

  get sequence(): Sequence {
    return this.#group.state.sequence;
  }

  get positions(): ReadonlyMap<StoreId, FollowPosition> {
    return this.#group.state.positions;
  }

  get(key: RecordKey): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#visible.rows.get(key)?.record);
  }

  getRow(key: RecordKey): Promise<StoredRow | undefined> {
    return this.#read(() => this.#visible.rows.get(key));
  }

  getRecent(key: RecordKey): RecentRecord | Promise<RecentRecord> {
    const recent = { record: this.#visible.rows.get(key)?.record, ageMs: 0 };
    return this.#isHalted || this.#group.isClosed ? this.#read(() => recent) : recent;
  }

  update<Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result> {
    return this.#group.update(keys, decide);
  }

  scan(from: RecordKey, to: RecordKey, limits: PageLimits): Promise<RowPage> {
    return this.#read(() => {
      const rows: StoredRow[] = [];
      for (const row of this.#visible.rows.values()) {
        if (compareKeys(row.key, from) >= 0 && compareKeys(row.key, to) < 0) rows.push(row);
      }
      return page(
        rows.sort((left, right) => compareKeys(left.key, right.key)),
        limits,
      );
    });
  }

  changes(after: Sequence, limits: PageLimits): Promise<ChangesPage> {
    return this.#read(() => {
      const above: StoredRow[] = [];
      for (const row of this.#visible.index.values()) if (row.sequence > after) above.push(row);
      const { rows, isComplete } = page(above, limits);
      const last = rows[rows.length - 1]?.sequence ?? after;
      return { rows, isComplete, upTo: isComplete ? this.#visible.sequence : last };
    });
  }

  renewId(): Promise<void> {
    return this.#group.amend(renewed(this.id, this.#newId()));
  }

  forgetPositions(): Promise<void> {
    return this.#group.amend(withoutPositions);
  }

  note(name: string): string | undefined {
    return this.#group.state.notes.get(name);
  }

  setNote(name: string, text: string): Promise<void> {
    return this.#group.amend(noted(name, text));
  }

  replaceNote(name: string, expected: string | undefined, text: string): Promise<boolean> {
    return this.#group.amend(noteReplaced(name, expected, text));
  }

  figures(): Promise<StoreFigures> {
    return this.#read(() => {
      let bytesUsed = 0;
      for (const { record } of this.#visible.rows.values()) bytesUsed += record.length;
      const bytesFree = this.#disk.isFull ? 0 : DISK_BYTES - bytesUsed;
      return { engine: 'simulated', records: this.#visible.rows.size, bytesUsed, bytesFree };
    });
  }

  onCommit(listener: (commit: Commit) => void): void {
    this.#group.onCommit(listener);
  }

  close(): Promise<void> {
    if (this.#isHalted) return never();
    this.#closing ??= this.#group.close().then(() => {
      if (!this.#isHalted) this.#stop(() => this.#disk.detach());
    });
    return this.#closing;
  }

  /** Called by the disk's `crash`. */
  halt(): void {
    this.#isHalted = true;
    this.#stop(() => this.#group.halt());
  }

  #stop(then: () => void): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    then();
  }

  #read<Result>(read: () => Result): Promise<Result> {
    if (this.#isHalted) return never();
    if (this.#group.isClosed) return Promise.reject(new StoreFailedError('the store is closed'));
    return Promise.resolve(read());
  }

  async #commit(changes: FlushChanges): Promise<void> {
    const failure = this.#failure();
    if (failure) {
      if (failure instanceof StoreFailedError && failure.isDoubtful) this.#disk.leaveDoubtful(changes);
      await this.#pause();
      throw failure;
    }
    const { acknowledgesBeforeSync, showsBeforeDurable } = this.#bugs;
    const isShown = acknowledgesBeforeSync || showsBeforeDurable;
    this.#disk.handOver(changes);
    if (isShown) this.#visible.apply(changes);
    const synced = this.#pause(() => this.#disk.syncOne());
    if (!acknowledgesBeforeSync) await synced;
    if (!isShown) this.#visible.apply(changes);
  }

  #failure(): Error | undefined {
    if (this.#disk.isFull) return new StoreFullError('the simulated disk is full');
    if (this.#disk.failureShare > 0 && this.#share() < this.#disk.failureShare) {
      const isDoubtful = this.#disk.doubtShare > 0 && this.#share() < this.#disk.doubtShare;
      return new StoreFailedError('a simulated sync failed', { isDoubtful });
    }
    return undefined;
  }

  #share(): number {
    return this.#random.uint32() / UINT32_RANGE;
  }

  /** As long as a sync takes. Never ends where the process dies first. */
  #pause(atItsEnd?: () => void): Promise<void> {
    const delayMs = (SYNC_MS_MIN + this.#share() * SYNC_MS_SPREAD) * this.#disk.slowness;
    return new Promise((resolve) => {
      const cancel = this.#clock.timer(delayMs, () => {
        this.#timers.delete(cancel);
        atItsEnd?.();
        resolve();
      });
      this.#timers.add(cancel);
    });
  }

  #newId(): StoreId {
    return storeIdFor(this.#storeName, this.#random.id(ID_LENGTH));
  }
}

/** What a dead process answers. One for each asker: a shared one would keep all who ever waited for it. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}
