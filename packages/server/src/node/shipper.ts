import { proposerStoreOf } from '@meridian/core/coordination/paxos/ballot';
import {
  NO_SEQUENCE,
  type NodeName,
  type Sequence,
  type StoreId,
  type StoreName,
  storeNameOf,
} from '@meridian/core/ids';
import { isWanted, type StreamBatch } from '@meridian/core/replication/change-stream';
import {
  APPLIED,
  type Applied,
  CHANGES,
  type Follow,
  type RowEntries,
  type Unfollow,
} from '@meridian/core/wire/messages';
import { decodeVector } from '@meridian/core/wire/record-codec';
import { decodeRegister, isRegisterBytes } from '@meridian/core/wire/register-codec';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Commit, Store, StoredRow } from '../ports/store.ts';
import type { Transport } from '../ports/transport.ts';
import type { Catalog } from './catalog.ts';
import { CommitTimes } from './commit-times.ts';
import { heldAtStart } from './held-at-start.ts';
import type { StreamLimits } from './limits.ts';
import type { PlantedBugs } from './planted-bugs.ts';

/** One who follows this store's index, as far as this end knows. */
interface Follower {
  readonly node: NodeName;
  readonly storeName: StoreName;
  readonly storeId: StoreId;
  /** As the follower numbered it: given back with every batch. */
  readonly stream: number;
  /** How far the index was walked for it. */
  walkedTo: Sequence;
  /** Whether what was walked so far is a complete view of the index. */
  isWhole: boolean;
  /** Where its cursor will stand once all that was sent has arrived: the next batch joins on there. */
  sentTo: Sequence;
  claim: Sequence;
  isFill: boolean;
  /** The end of the last complete view that was sent: only such a one lets the follower's claim move. */
  wholeTo: Sequence;
  /** The last row that was wanted: below it, an unmoved claim is a lag. */
  wantedTo: Sequence;
  /** Nothing was wanted between the claim, as it stood when it was whole, and here: the age of a lag counts from here. */
  wantedFrom: Sequence;
  /** Sent and not yet acknowledged, in order. */
  readonly inFlight: { readonly upTo: Sequence; readonly bytes: number }[];
  inFlightBytes: number;
  isReading: boolean;
}

export interface ShipperFigures {
  readonly rowsSent: number;
  readonly batchesSent: number;
  readonly inFlightBytes: number;
}

/**
 * The origin's end of replication: walks the by-sequence index for each follower. A follower that keeps up is pushed each
 * commit as it happens; one that is behind is read to from the index, batch by batch, never more than a window ahead of
 * what it has made durable. What waits for a follower that is away is the index itself: nothing is kept in memory for it.
 */
export class Shipper {
  readonly #store: Store;
  readonly #transport: Transport;
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #limits: StreamLimits;
  readonly #bugs: PlantedBugs;
  readonly #followers = new Map<NodeName, Follower>();
  /** All that have ever followed this process: stores, whose place one of their nodes takes over from another. */
  readonly #served = new Set<StoreName>();
  readonly #times: CommitTimes;
  readonly #startSequence: Sequence;
  readonly #onAheadOfSelf: (seen: Sequence, isSurelyBehind: boolean) => void;
  readonly #learn: (id: StoreId) => Promise<void>;
  #mayShip: () => boolean = () => true;
  #isStopped = false;
  #rowsSent = 0;
  #batchesSent = 0;

  constructor(
    store: Store,
    transport: Transport,
    catalog: Catalog,
    clock: Clock,
    log: Log,
    limits: StreamLimits,
    bugs: PlantedBugs,
    onAheadOfSelf: (seen: Sequence, isSurelyBehind: boolean) => void,
    learn: (id: StoreId) => Promise<void>,
  ) {
    this.#store = store;
    this.#transport = transport;
    this.#catalog = catalog;
    this.#clock = clock;
    this.#log = log;
    this.#limits = limits;
    this.#bugs = bugs;
    this.#startSequence = store.shared ? store.sequence : heldAtStart(store);
    this.#onAheadOfSelf = onAheadOfSelf;
    this.#learn = learn;
    this.#times = new CommitTimes(store.sequence, clock.monotonicMs());
  }

  /** Asked before each batch: where it says no, the next tick asks again. */
  listen(mayShip: () => boolean): void {
    this.#mayShip = mayShip;
  }

  stop(): void {
    this.#isStopped = true;
    this.#followers.clear();
  }

  figures(): ShipperFigures {
    let inFlightBytes = 0;
    for (const follower of this.#followers.values()) inFlightBytes += follower.inFlightBytes;
    return { rowsSent: this.#rowsSent, batchesSent: this.#batchesSent, inFlightBytes };
  }

  /** The age of the first wanted change that this node has not yet applied; `undefined` before it first followed. */
  lagMs(node: NodeName): number | undefined {
    const follower = this.#followers.get(node);
    if (!follower) return undefined;
    if (follower.claim >= follower.wantedTo) return 0;
    const before = Math.max(follower.claim, follower.wantedFrom) as Sequence;
    return Math.max(0, this.#clock.monotonicMs() - this.#times.after(before));
  }

  /** The same by what a store says of itself, where another node ships to it: the age of the first change above its claim. */
  lagOfClaimMs(claim: Sequence): number {
    if (claim >= this.#store.sequence) return 0;
    return Math.max(0, this.#clock.monotonicMs() - this.#times.after(claim));
  }

  /** A follower says where it stands: go on from there. */
  onFollow(
    node: NodeName,
    storeName: StoreName,
    [, origin, followerId, cursor, applied, isFill, stream]: Follow,
  ): void {
    if (origin !== this.#store.id || this.#isStopped) return;
    // It stands elsewhere than in this layout: what it may hold is not known here.
    if (storeNameOf(followerId) !== storeName) return;
    const former = this.#followers.get(node);
    // The question came twice: its walk is under way, and a second one under its number could not be told from it.
    if (former?.storeId === followerId && former.stream === stream) return;
    // Nothing was shipped to it yet in this life of the store: what it has seen, it saw before. Unless another node of this
    // store has shipped it since.
    const seen = Math.max(cursor, applied) as Sequence;
    if (!this.#served.has(storeName) && seen > this.#startSequence && !this.#store.shared)
      this.#onAheadOfSelf(seen, true);
    if (this.#store.shared && seen > this.#store.sequence) this.#onAheadOfSelf(seen, false);
    this.#served.add(storeName);
    const follower: Follower = {
      node,
      storeName,
      storeId: followerId,
      stream,
      walkedTo: cursor,
      isWhole: false,
      sentTo: cursor,
      claim: applied,
      isFill,
      wholeTo: isFill ? NO_SEQUENCE : applied,
      wantedTo: former?.storeId === followerId ? former.wantedTo : NO_SEQUENCE,
      wantedFrom: former?.storeId === followerId ? former.wantedFrom : NO_SEQUENCE,
      inFlight: [],
      inFlightBytes: 0,
      isReading: false,
    };
    this.#followers.set(node, follower);
    if (cursor < this.#store.sequence) {
      this.#log.debug({ peer: node, cursor, sequence: this.#store.sequence, isFill }, 'catch-up starts');
    }
    if (isFill) {
      this.#learnThenPump(follower);
      return;
    }
    this.#pump(follower);
    this.#finishView(follower);
  }

  onUnfollow(node: NodeName, [, origin, followerId, stream]: Unfollow): void {
    const follower = this.#followers.get(node);
    if (origin !== this.#store.id || follower?.storeId !== followerId || follower.stream !== stream) return;
    this.#followers.delete(node);
  }

  /**
   * A store that was made anew may take part in quorums once it is filled from here; what the one before it had promised must
   * count for nothing with this acceptor from then on, over restarts too. So its id is on disk before it is sent anything.
   */
  #learnThenPump(follower: Follower): void {
    follower.isReading = true;
    this.#learn(follower.storeId).then(
      () => {
        follower.isReading = false;
        if (this.#isStopped || this.#followers.get(follower.node) !== follower) return;
        this.#pump(follower);
        this.#finishView(follower);
      },
      (error: unknown) => {
        // It asks again where nothing comes.
        if (this.#followers.get(follower.node) === follower) this.#followers.delete(follower.node);
        this.#log.warn({ peer: follower.node, reason: (error as Error).message }, 'the id of a new store was not kept');
      },
    );
  }

  onApplied(node: NodeName, [, origin, followerId, cursor, applied]: Applied): void {
    const follower = this.#followers.get(node);
    if (!follower || origin !== this.#store.id || followerId !== follower.storeId) return;
    follower.claim = Math.max(follower.claim, applied) as Sequence;
    while (follower.inFlight.length > 0 && (follower.inFlight[0]?.upTo ?? 0) <= cursor) {
      follower.inFlightBytes -= follower.inFlight.shift()?.bytes ?? 0;
    }
    this.#pump(follower);
  }

  /** What a follower says of itself with each ping: an acknowledgement may have been lost. */
  onClaim(node: NodeName, followerId: StoreId, applied: Sequence): void {
    // What followed is no more; what came after it may follow another node of this store.
    if (this.#followers.get(node)?.storeId !== followerId) this.#followers.delete(node);
    this.onApplied(node, [APPLIED, this.#store.id, followerId, applied, applied]);
  }

  /** A commit is a small complete view: it goes at once to those who have been sent all before it. */
  onCommit(commit: Commit): void {
    this.#times.add(commit.upTo, this.#clock.monotonicMs());
    for (const follower of this.#followers.values()) {
      if (follower.isReading) continue;
      if (follower.walkedTo === commit.from && this.#knowsItsEnd(follower) && this.#hasRoom(follower)) {
        this.#ship(follower, commit.rows, commit.upTo, commit.isWhole);
      } else {
        if (commit.rows.some((row) => this.#isWantedBy(follower, row))) {
          this.#markWanted(follower, commit.from, commit.upTo);
        }
        this.#pump(follower);
      }
    }
  }

  /** Tells followers of sequences that held nothing for them, so that their claims and sessions move on. */
  onTick(): void {
    for (const follower of this.#followers.values()) {
      this.#pump(follower);
      this.#finishView(follower);
    }
  }

  #finishView(follower: Follower): void {
    const isAtEnd = follower.walkedTo === this.#store.sequence && this.#knowsItsEnd(follower);
    const owesClaim = isAtEnd && (follower.wholeTo < follower.walkedTo || follower.isFill);
    if (follower.isReading || !this.#hasRoom(follower) || !(owesClaim || follower.sentTo < follower.walkedTo)) return;
    this.#send(follower, [], follower.walkedTo, isAtEnd);
  }

  #hasRoom(follower: Follower): boolean {
    return (
      this.#mayShip() &&
      this.#transport.isUp(follower.node) &&
      (follower.inFlightBytes < this.#limits.windowBytes || this.#bugs.has('unbounded-window'))
    );
  }

  /**
   * Of a store with one owner its sequence is the end of its index. A shared one may be further than this node has heard: rows
   * that were passed by may have moved beyond, so only a page that ended with the index, or a commit behind one, is an end.
   */
  #knowsItsEnd(follower: Follower): boolean {
    return follower.isWhole || !this.#store.shared;
  }

  #markWanted(follower: Follower, from: Sequence, upTo: Sequence): void {
    if (upTo <= follower.wantedTo) return;
    if (follower.claim >= follower.wantedTo) follower.wantedFrom = from;
    follower.wantedTo = upTo;
  }

  #pump(follower: Follower): void {
    const isAtEnd = follower.walkedTo >= this.#store.sequence && this.#knowsItsEnd(follower);
    if (follower.isReading || isAtEnd || !this.#hasRoom(follower)) return;
    follower.isReading = true;
    // One batch a tick: live requests get their turn between two.
    this.#clock.soon(() => {
      this.#readOn(follower).catch((error: unknown) => {
        follower.isReading = false;
        this.#log.error({ peer: follower.node, reason: (error as Error).message }, 'reading changes for a peer failed');
      });
    });
  }

  async #readOn(follower: Follower): Promise<void> {
    const page = await this.#store.changes(follower.walkedTo, {
      rowsMax: this.#limits.batchRowsMax,
      bytesMax: this.#limits.batchBytesMax,
    });
    follower.isReading = false;
    if (this.#isStopped || this.#followers.get(follower.node) !== follower) return;
    const before = follower.walkedTo;
    this.#ship(follower, page.rows, page.upTo, page.isComplete);
    // What the transport does not take now it is offered again by the next tick: the same page, over and over, would leave live
    // requests no turn.
    if (follower.walkedTo > before) this.#pump(follower);
  }

  #ship(follower: Follower, rows: readonly StoredRow[], upTo: Sequence, isWhole: boolean): void {
    const wanted: RowEntries = rows
      .filter((row) => this.#isWantedBy(follower, row))
      .map((row) => [row.key, row.record] as const);
    if (wanted.length > 0) this.#markWanted(follower, follower.walkedTo, upTo);
    follower.walkedTo = upTo;
    follower.isWhole = isWhole;
    // Where nothing of it was for this follower, it is told with the next batch or the next tick.
    if (wanted.length > 0) this.#send(follower, wanted, upTo, isWhole);
  }

  #isWantedBy(follower: Follower, row: StoredRow): boolean {
    const bound = this.#bugs.has('stream-filtered-by-cursor') ? follower.sentTo : follower.claim;
    const isNew = isRegisterBytes(row.record)
      ? follower.isFill || (row.sequence > bound && this.#isOwnChoice(row.record))
      : isWanted(this.#store.id, decodeVector(row.record), bound, follower.isFill);
    return isNew && this.#catalog.isHeldBy(follower.storeName, row.key);
  }

  /**
   * What was chosen of a register is sent by the store that proposed it, once it knows. Every change of the row moves it: one
   * at or below the claim was in a view that the follower has taken in.
   */
  #isOwnChoice(record: Uint8Array): boolean {
    const { accepted, committed } = decodeRegister(record);
    return (
      committed !== undefined && committed === accepted && proposerStoreOf(committed.ballot.proposer) === this.#store.id
    );
  }

  #send(follower: Follower, rows: RowEntries, upTo: Sequence, isWhole: boolean): void {
    const batch: StreamBatch = { from: follower.sentTo, upTo, isWhole };
    const isSent = this.#transport.send(follower.node, [
      CHANGES,
      this.#store.id,
      follower.storeId,
      batch.from,
      upTo,
      isWhole,
      rows,
      follower.stream,
    ]);
    if (!isSent) {
      // Nothing is lost: the follower asks again from its cursor once it hears of this store's sequence.
      follower.walkedTo = follower.sentTo;
      follower.isWhole = false;
      return;
    }
    const bytes = rows.reduce((sum, [, record]) => sum + record.length, 0);
    follower.sentTo = upTo;
    follower.inFlight.push({ upTo, bytes });
    follower.inFlightBytes += bytes;
    if (isWhole) {
      follower.isFill = false;
      follower.wholeTo = upTo;
    }
    this.#rowsSent += rows.length;
    this.#batchesSent += 1;
  }
}
