import { EMPTY_VECTOR, type VersionVector } from '@meridian/core/causality/version-vector';
import {
  NO_SEQUENCE,
  type NodeName,
  namespaceIdOf,
  type RecordKey,
  type Sequence,
  type StoreId,
  storeNameOf,
} from '@meridian/core/ids';
import type { PlacementTable } from '@meridian/core/placement/placement-table';
import { joinsOn, positionAfter, START_POSITION, type StreamPosition } from '@meridian/core/replication/change-stream';
import { APPLIED, type Changes, FETCH, FOLLOW, fetchResult, UNFOLLOW } from '@meridian/core/wire/messages';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import type { Store, UpdateDecision, UpdateView } from '../ports/store.ts';
import type { Transport } from '../ports/transport.ts';
import { inBackground } from './background.ts';
import type { Calls } from './calls.ts';
import { type Catalog, definitionKey, namespaceNameOf } from './catalog.ts';
import { inheritedClaims } from './inherited-claims.ts';
import { STREAM_STALL_MS, type StreamLimits } from './limits.ts';
import type { Links } from './links.ts';
import type { Peer, Peers } from './peers.ts';
import type { PlantedBugs } from './planted-bugs.ts';
import { mergeRows, type Replica, type RowToMerge } from './replica.ts';
import { noteSource, takeInAnew, wasTakenInUnfilled } from './unfilled-sources.ts';

/** One origin that this store follows. */
interface Origin {
  readonly node: NodeName;
  readonly storeId: StoreId;
  inbox: Changes[];
  inboxBytes: number;
  isMerging: boolean;
  /** What the origin claimed before it was followed: once all it held was taken in, its claims hold here too. */
  readonly claims: VersionVector;
  /** Names the walk that was asked for last: a batch of an earlier one proves nothing about this. */
  stream: number;
  /**
   * How far that walk was taken in, by this node. The cursor of a shared store may be further, by a walk of another node; but
   * rows move up meanwhile, and what lies between two walks may be in neither.
   */
  walkedTo: Sequence;
  /** Whether that walk was asked to bring all records, not only those with the origin's own dots. */
  isFill: boolean;
  /** When it was last asked to go on from the cursor, or last went on. */
  movedAtMs: number;
}

/** The walk that batches were sent in. */
type Walk = Pick<Origin, 'stream' | 'walkedTo' | 'isFill'>;

interface Merged {
  readonly position: StreamPosition | undefined;
  readonly walkedTo: Sequence;
  readonly rows: number;
  readonly aheadOfSelf: Sequence | undefined;
}

export interface FollowingEvents {
  /** Claims have moved, durably. */
  onProgress(origin: StoreId): void;
  /** A record names a write of this store that this store does not have: its disk is older than what it once sent. */
  onAheadOfSelf(sequence: Sequence): void;
}

export interface FollowingFigures {
  readonly rowsMerged: number;
  readonly gaps: number;
  readonly inboxBytes: number;
}

/** The receiver's end of replication: follows every origin, merges batches in order, keeps its place with the data. */
export class Following {
  readonly #store: Store;
  readonly #transport: Transport;
  readonly #placement: PlacementTable;
  readonly #catalog: Catalog;
  readonly #replica: Replica;
  readonly #calls: Calls;
  readonly #peers: Peers;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #limits: StreamLimits;
  readonly #bugs: PlantedBugs;
  readonly #events: FollowingEvents;
  readonly #isFilled: () => boolean;
  readonly #links: Links;
  readonly #origins = new Map<NodeName, Origin>();
  readonly #beingForgotten = new Set<StoreId>();
  #wasFilled = false;
  #lastStream: number;
  #isStopped = false;
  #rowsMerged = 0;
  #gaps = 0;

  constructor(
    parts: {
      placement: PlacementTable;
      store: Store;
      transport: Transport;
      clock: Clock;
      random: Random;
      log: Log;
    },
    node: {
      catalog: Catalog;
      replica: Replica;
      calls: Calls;
      peers: Peers;
      limits: StreamLimits;
      bugs: PlantedBugs;
      isFilled: () => boolean;
      links: Links;
    },
    events: FollowingEvents,
  ) {
    this.#placement = parts.placement;
    this.#store = parts.store;
    this.#transport = parts.transport;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#catalog = node.catalog;
    this.#replica = node.replica;
    this.#calls = node.calls;
    this.#peers = node.peers;
    this.#limits = node.limits;
    this.#bugs = node.bugs;
    this.#isFilled = node.isFilled;
    this.#links = node.links;
    this.#events = events;
    // Not from 0: a former life of this process has asked too.
    this.#lastStream = parts.random.uint32() * 2 ** 16;
  }

  stop(): void {
    this.#isStopped = true;
    this.#origins.clear();
  }

  figures(): FollowingFigures {
    let inboxBytes = 0;
    for (const origin of this.#origins.values()) inboxBytes += origin.inboxBytes;
    return { rowsMerged: this.#rowsMerged, gaps: this.#gaps, inboxBytes };
  }

  /** A peer said who it is: follow its store from where this one stands, where that is for this node to do. */
  follow(peer: Peer): void {
    if (this.#peers.ofStore(peer.storeName) !== peer || !this.#links.isFollowedHere(peer.storeName)) return;
    this.#follow(peer);
  }

  #follow(peer: Peer): void {
    if (!peer.storeId || this.#isStopped) return;
    for (const other of this.#peers.nodesOf(peer.storeName)) if (other !== peer) this.#leave(other.node);
    const known = this.#origins.get(peer.node);
    if (!known || known.storeId !== peer.storeId) {
      this.#origins.set(peer.node, {
        node: peer.node,
        stream: 0,
        walkedTo: NO_SEQUENCE,
        isFill: false,
        storeId: peer.storeId,
        inbox: [],
        inboxBytes: 0,
        isMerging: false,
        // Taken in before this process began, it may lack what the origin has claimed of others since.
        claims: this.#store.positions.get(peer.storeId)?.isFilled && !this.#isFilled() ? EMPTY_VECTOR : peer.applied,
        movedAtMs: this.#clock.monotonicMs(),
      });
    }
    this.#ask(this.#origins.get(peer.node) as Origin);
  }

  /** Another node follows this origin, or another node of it is followed. */
  #leave(node: NodeName): void {
    const origin = this.#origins.get(node);
    if (!origin) return;
    this.#origins.delete(node);
    this.#transport.send(node, [UNFOLLOW, origin.storeId, this.#store.id, origin.stream]);
  }

  /** Who follows whom changes with who is alive. And whose greeting was lost when it came back is not followed yet. */
  #reconcile(): void {
    // Another node has begun to fill this store anew.
    const hasLost = this.#wasFilled && !this.#isFilled();
    this.#wasFilled = this.#isFilled();
    if (hasLost) this.followAllAnew();
    for (const [store, nodes] of this.#peers.otherStores()) {
      if (this.#links.isFollowedHere(store)) {
        const peer = this.#peers.ofStore(store);
        if (peer?.isUp && this.#origins.get(peer.node)?.storeId !== peer.storeId) this.#follow(peer);
      } else for (const { node } of nodes) this.#leave(node);
    }
  }

  /** Positions were forgotten, or this store has a new id: ask everybody anew. */
  followAllAnew(): void {
    // Begun here: seen once more by the next tick, what was taken in by then would pass for taken in before.
    this.#wasFilled = this.#isFilled();
    this.#origins.clear();
    for (const peer of this.#peers.all()) if (peer.isUp) this.follow(peer);
  }

  /** What the origins claimed of others, as of before this store began to take in what they hold. */
  inheritedClaims(): VersionVector {
    const takenIn = [...this.#origins.values()]
      .filter(({ storeId }) => this.#store.positions.get(storeId)?.isFilled)
      .map(({ storeId, claims }) => ({ store: storeNameOf(storeId), claims }));
    const placements = this.#catalog.all().map(({ placement }) => placement);
    return inheritedClaims(storeNameOf(this.#store.id), takenIn, placements, this.#placement);
  }

  #ask(origin: Origin): void {
    // What is still to come of the walk before is told from this one by the number.
    origin.stream = ++this.#lastStream;
    origin.inbox = [];
    origin.inboxBytes = 0;
    origin.movedAtMs = this.#clock.monotonicMs();
    const { cursor, applied, isFilled } = this.#store.positions.get(origin.storeId) ?? START_POSITION;
    const isFill = !isFilled && (!this.#isFilled() || this.#lackedOfFormerIds(origin).length > 0);
    const from = isFill && this.#isFilled() ? filledTo(origin) : cursor;
    origin.walkedTo = from;
    origin.isFill = isFill;
    const { node, storeId, stream } = origin;
    const send = () =>
      void this.#transport.send(node, [FOLLOW, storeId, this.#store.id, from, applied, isFill, stream]);
    const isSourceFilled = this.#peers.get(node)?.isFilled ?? false;
    const noted = isFill && !this.#isFilled() ? noteSource(this.#store, storeId, isSourceFilled) : undefined;
    if (!noted) send();
    else this.#sendAfter(noted, origin, send);
  }

  /** Where the disk refuses, `onTick` asks again. */
  #sendAfter(noted: Promise<void>, origin: Origin, send: () => void): void {
    const { node, stream } = origin;
    const isCurrent = () => !this.#isStopped && this.#origins.get(node) === origin && origin.stream === stream;
    inBackground(
      this.#log,
      'noting what is taken in',
      noted.then(() => {
        if (isCurrent()) send();
      }),
    );
  }

  /** What a fill took in of a store that was being filled itself may lack what that has taken in since. */
  #takeInAnew(origin: Origin, peer: Peer): void {
    if (this.#isFilled() || this.#beingForgotten.has(origin.storeId)) return;
    if (!peer.isFilled) {
      // Filled when it was asked, it may have found since that it lacks something.
      const noted = noteSource(this.#store, origin.storeId, false);
      if (noted) inBackground(this.#log, 'filling', noted);
      return;
    }
    if (!wasTakenInUnfilled(this.#store, origin.storeId)) return;
    this.#beingForgotten.add(origin.storeId);
    const forgotten = takeInAnew(this.#store, origin.storeId)
      .then(() => {
        if (this.#isStopped || this.#origins.get(origin.node) !== origin) return;
        this.#origins.delete(origin.node);
        this.#follow(peer);
      })
      .finally(() => this.#beingForgotten.delete(origin.storeId));
    inBackground(this.#log, 'filling', forgotten);
  }

  /**
   * An origin with a new id may hold writes under its former one that never reached this store, and streams only what is of
   * the new one: then all of it is wanted, and with it comes the claim.
   */
  #lackedOfFormerIds(origin: Origin): [StoreId, Sequence][] {
    const name = storeNameOf(origin.storeId);
    return [...origin.claims].filter(
      ([id, sequence]) =>
        id !== origin.storeId && storeNameOf(id) === name && (this.#store.positions.get(id)?.applied ?? 0) < sequence,
    );
  }

  /** Asks again where an origin is known to be ahead and nothing has come for a while: a lost batch leaves no other trace. */
  onTick(): void {
    this.#reconcile();
    for (const origin of this.#origins.values()) {
      const peer = this.#peers.get(origin.node);
      if (!peer?.isUp || peer.storeId !== origin.storeId || origin.isMerging) continue;
      this.#takeInAnew(origin, peer);
      const position = this.#store.positions.get(origin.storeId) ?? START_POSITION;
      const isBehind = position.applied < peer.sequence || (!position.isFilled && !this.#isFilled());
      if (isBehind && this.#clock.monotonicMs() - origin.movedAtMs > STREAM_STALL_MS) this.#ask(origin);
    }
  }

  onChanges(node: NodeName, changes: Changes): void {
    const [, originId, followerId, , , , rows, stream] = changes;
    const origin = this.#origins.get(node);
    // It has not heard that another node follows.
    if (!origin) this.#transport.send(node, [UNFOLLOW, originId, followerId, stream]);
    if (!origin || originId !== origin.storeId || followerId !== this.#store.id || stream !== origin.stream) return;
    const bytes = bytesOf(rows);
    // The origin keeps to its window, so this is a second copy of what waits already: it comes again when asked for.
    if (origin.inboxBytes > 2 * this.#limits.windowBytes && !this.#bugs.has('unbounded-window')) return;
    origin.inbox.push(changes);
    origin.inboxBytes += bytes;
    if (!origin.isMerging) this.#drain(origin);
  }

  #drain(origin: Origin): void {
    origin.isMerging = true;
    this.#mergeInbox(origin).then(
      () => {
        origin.isMerging = false;
      },
      (error: unknown) => {
        origin.isMerging = false;
        origin.inbox = [];
        origin.inboxBytes = 0;
        // Asked for again by `onTick`: a full disk or an unreachable catalog heals by itself, or not.
        this.#log.warn({ peer: origin.node, reason: (error as Error).message }, 'merging changes of a peer failed');
      },
    );
  }

  async #mergeInbox(origin: Origin): Promise<void> {
    while (origin.inbox.length > 0 && !this.#isStopped && this.#origins.get(origin.node) === origin) {
      // As they are now: asked for anew before these are merged, it is another walk, and may have begun behind what these lack.
      const { stream, walkedTo, isFill } = origin;
      const batches = takeBatches(origin.inbox, this.#limits.batchRowsMax);
      for (const [, , , , , , rows] of batches) origin.inboxBytes -= bytesOf(rows);
      const rows = batches.flatMap(([, , , , , , batchRows]) =>
        batchRows.map(([key, bytes]): RowToMerge => ({ key, bytes })),
      );
      await this.#learnNamespaces(origin, rows);
      if (this.#bugs.has('cursor-before-records')) await this.#moveFirst(origin.storeId, batches);
      const merged = await this.#store.update(
        rows.map((row) => row.key),
        (view) => this.#decide(view, origin, { stream, walkedTo, isFill }, batches),
      );
      if (origin.stream === stream) origin.walkedTo = merged.walkedTo;
      this.#afterMerge(origin, stream, merged);
    }
  }

  /** Planted: the position in a transaction of its own, before the records it speaks of. */
  #moveFirst(originId: StoreId, batches: readonly Changes[]): Promise<void> {
    return this.#store.update([], (view) => {
      let position: StreamPosition = view.position(originId) ?? START_POSITION;
      for (const [, , , from, upTo, isWhole] of batches) {
        if (joinsOn(position, { from, upTo, isWhole })) position = positionAfter(position, { from, upTo, isWhole });
      }
      return { writes: [], positions: new Map([[originId, position]]), result: undefined };
    });
  }

  #decide(view: UpdateView, origin: Origin, walk: Walk, batches: readonly Changes[]): UpdateDecision<Merged> {
    const { storeId: originId } = origin;
    let { walkedTo } = walk;
    let position: StreamPosition = view.position(originId) ?? START_POSITION;
    const before = position;
    const isFill = !before.isFilled && !this.#isFilled();
    const joined: RowToMerge[] = [];
    const at: number[] = [];
    let offset = 0;
    for (const [, , , from, upTo, isWhole, rows] of batches) {
      const batch = { from, upTo, isWhole };
      // Begun before positions were forgotten, it lacks what a store that is being filled wants.
      if (isFill && !walk.isFill) break;
      if ((from <= walkedTo && joinsOn(position, batch)) || this.#bugs.has('gap-is-merged')) {
        walkedTo = Math.max(walkedTo, upTo) as Sequence;
        position = positionAfter(
          position,
          this.#bugs.has('applied-moves-with-cursor') ? { ...batch, isWhole: true } : batch,
        );
        rows.forEach(([key, bytes], index) => {
          if (!this.#catalog.isHeldHere(key)) return;
          joined.push({ key, bytes });
          at.push(offset + index);
        });
      }
      offset += rows.length;
    }
    if (position === before)
      return { writes: [], result: { position: undefined, walkedTo, rows: 0, aheadOfSelf: undefined } };
    const shifted: UpdateView = { ...viewOf(view), record: (index) => view.record(at[index] as number) };
    const { writes, result } = mergeRows(
      shifted,
      joined,
      this.#clock.wallMs(),
      this.#bugs,
      isFill,
      this.#replica.known,
    );
    return {
      writes,
      ...(isSamePosition(position, before) ? {} : { positions: this.#positionsAfter(origin, walk, before, position) }),
      result: { position, walkedTo, rows: joined.length, aheadOfSelf: result.aheadOfSelf },
    };
  }

  #positionsAfter(
    origin: Origin,
    walk: Walk,
    before: StreamPosition,
    after: StreamPosition,
  ): Map<StoreId, StreamPosition> {
    const positions = new Map([[origin.storeId, after]]);
    if (before.isFilled || !after.isFilled || !walk.isFill) return positions;
    for (const [id, sequence] of this.#lackedOfFormerIds(origin)) {
      positions.set(id, { cursor: sequence, applied: sequence, isFilled: true });
    }
    return positions;
  }

  #afterMerge(origin: Origin, stream: number, { position, walkedTo, rows, aheadOfSelf }: Merged): void {
    if (this.#isStopped) return;
    if (!position) {
      // Asked for anew already.
      if (this.#origins.get(origin.node) !== origin || origin.stream !== stream) return;
      this.#gaps += 1;
      this.#ask(origin);
      return;
    }
    origin.movedAtMs = this.#clock.monotonicMs();
    this.#rowsMerged += rows;
    this.#transport.send(origin.node, [APPLIED, origin.storeId, this.#store.id, walkedTo, position.applied]);
    this.#events.onProgress(origin.storeId);
    if (aheadOfSelf !== undefined) this.#events.onAheadOfSelf(aheadOfSelf);
  }

  /** A record can come before the definition of its namespace: on this link the definition may be another's to send. Fetch it. */
  async #learnNamespaces(origin: Origin, rows: readonly RowToMerge[]): Promise<void> {
    const unknown = new Set<RecordKey>();
    for (const { key } of rows) if (!this.#catalog.knows(key)) unknown.add(definitionKeyOf(key));
    if (unknown.size === 0) return;
    const found = await this.#calls.call(origin.node, 'catalog', STREAM_STALL_MS, [FETCH, [...unknown]], fetchResult);
    await this.#replica.merge(found.map(([key, bytes]) => ({ key, bytes })));
    // Passed over, its records would count as merged: they come again when asked for.
    const missing = rows.find(({ key }) => !this.#catalog.knows(key));
    if (missing) throw new Error(`the definition of ${namespaceIdOf(missing.key)} is not to be had`);
  }
}

/**
 * Where a fill of a store that is filled goes on: what was walked before it, as far as the cursor, passed by what it is for.
 * Of how far an earlier fill came nothing is known after a restart.
 */
function filledTo({ isFill, walkedTo }: Origin): Sequence {
  return isFill ? walkedTo : NO_SEQUENCE;
}

function definitionKeyOf(key: RecordKey): RecordKey {
  return definitionKey(namespaceNameOf(namespaceIdOf(key)));
}

function bytesOf(rows: Changes[6]): number {
  let bytes = 0;
  for (const [, record] of rows) bytes += record.length;
  return bytes;
}

/** Batches from the front that fit one commit; at least one. */
function takeBatches(inbox: Changes[], rowsMax: number): Changes[] {
  let rows = 0;
  let count = 0;
  while (count < inbox.length && (count === 0 || rows + (inbox[count] as Changes)[6].length <= rowsMax)) {
    rows += (inbox[count] as Changes)[6].length;
    count += 1;
  }
  return inbox.splice(0, count);
}

function viewOf(view: UpdateView): UpdateView {
  return {
    store: view.store,
    nextSequence: view.nextSequence,
    applied: view.applied,
    record: (at) => view.record(at),
    position: (origin) => view.position(origin),
  };
}

function isSamePosition(left: StreamPosition, right: StreamPosition): boolean {
  return left.cursor === right.cursor && left.applied === right.applied && left.isFilled === right.isFilled;
}
