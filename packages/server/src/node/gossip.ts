import { sequenceIn } from '@meridian/core/causality/version-vector';
import { type NodeName, type Sequence, type StoreId, storeNameOf } from '@meridian/core/ids';
import { GREETING, type Greeting, PING, type Ping, PONG } from '@meridian/core/wire/messages';
import { vectorEntries } from '@meridian/core/wire/vector-entries';
import type { CancelTimer } from '../ports/clock.ts';
import type { Transport } from '../ports/transport.ts';
import { inBackground } from './background.ts';
import type { Following } from './following.ts';
import { forgetHeldAtStart, heldAtStart, keepHeldAtStart } from './held-at-start.ts';
import { FIRST_GREETING_MS } from './limits.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import type { WriteGate } from './write-gate.ts';

/** A full disk is not asked more often. */
const RENEW_AGAIN_MS = 500;
/** Ten seconds of them. */
const PINGS_UNANSWERED_MAX = 20;

/**
 * What nodes tell each other of themselves: who they are, how far they have come, that they are there. A store that learns
 * from a peer that it is older than what it once sent takes a new id here, before it takes another write.
 */
export class Gossip {
  readonly #state: NodeState;
  readonly #transport: Transport;
  readonly #following: Following;
  readonly #gate: WriteGate;
  readonly #onStoreReplaced: (peer: Peer, former: StoreId) => void;
  /** By count: a round trip may take longer than the time between two pings. */
  readonly #pingsSent = new Map<NodeName, Map<number, number>>();
  readonly #misplaced = new Set<NodeName>();
  #pingCount = 0;
  readonly #startedAtMs: number;
  /** Of an embedded store, whose disk holds all of its writes so far; what it numbers before it is known not to be behind may hide some. */
  #surelyHeldTo: Sequence | undefined;
  /** Whether others may have been sent anything in this life of the store. */
  #hasShipped = false;
  #cancelTimer: CancelTimer = () => {};
  #isRenewing = false;
  /** Until it has succeeded: dots of the old id may have been issued already. */
  #mustRenew = false;
  #isStopped = false;

  constructor(
    state: NodeState,
    transport: Transport,
    following: Following,
    gate: WriteGate,
    onStoreReplaced: (peer: Peer, former: StoreId) => void,
  ) {
    this.#state = state;
    this.#transport = transport;
    this.#following = following;
    this.#gate = gate;
    this.#onStoreReplaced = onStoreReplaced;
    this.#startedAtMs = state.clock.monotonicMs();
    this.#surelyHeldTo = state.store.shared ? undefined : heldAtStart(state.store);
  }

  /**
   * A restarted store may be older than what its peers have of it. It asks those it can reach before it takes a write; where
   * it can ask nobody, the first write finds a store with a new id, whatever its disk may be.
   */
  start(): void {
    const { store, peers, clock } = this.#state;
    this.#hasShipped = store.isNew || peers.count === 0;
    if (this.#hasShipped) return;
    this.#gate.hold();
    this.#noteHeld();
    this.#cancelTimer = clock.timer(FIRST_GREETING_MS, () => {
      if (peers.isAnyGreeted) this.#openGate();
      else this.#gate.holdUntilWanted(() => this.#renewUnasked());
    });
  }

  /** Tried again with each ping, should the disk refuse it. */
  #noteHeld(): void {
    const { store, log } = this.#state;
    if (this.#hasShipped) inBackground(log, 'noting how old the disk is', forgetHeldAtStart(store));
    else if (this.#surelyHeldTo !== undefined)
      inBackground(log, 'noting how old the disk is', keepHeldAtStart(store, this.#surelyHeldTo));
  }

  /** Whether this node has met all others, or has waited for them long enough to say that it will do without. */
  get hasMetOthers(): boolean {
    const { peers, clock } = this.#state;
    const isOver = clock.monotonicMs() - this.#startedAtMs >= FIRST_GREETING_MS;
    return peers.count === 0 || peers.areAllGreeted || isOver;
  }

  /**
   * Whether this store may tell others what its sequences hold. Records of others take sequences too: told by one that is
   * behind, these would have others claim writes that it made under the same numbers, and that they never got.
   */
  readonly mayShip = (): boolean => !this.#gate.isHeld;

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
    this.#gate.refuse();
  }

  #openGate(): void {
    if (this.#isRenewing || this.#mustRenew || !this.#gate.isHeld) return;
    this.#hasShipped = true;
    // Before those who wait for the gate write anything.
    this.#noteHeld();
    this.#gate.open();
    for (const peer of this.#state.peers.siblings()) if (peer.isUp) this.#greet(peer);
  }

  /**
   * Nodes that share a store vouch for it to one another once they take writes themselves. Before, they know no more than the
   * one that asks: a database that lost what it had acknowledged looks the same to both.
   */
  #mayTell(peer: Peer): boolean {
    return !this.#gate.isHeld || !this.#state.peers.isSibling(peer);
  }

  onUp(peer: Peer): void {
    this.#state.peers.cameUp(peer);
    this.#state.log.info({ peer: peer.node, peerRegion: peer.region }, 'peer connected');
    this.#greet(peer);
  }

  onDown(peer: Peer, reason: string, isStopping: boolean): void {
    peer.isUp = false;
    if (!isStopping) this.#state.log.warn({ peer: peer.node, peerRegion: peer.region, reason }, 'peer disconnected');
  }

  #greet(peer: Peer): void {
    if (!this.#mayTell(peer)) return;
    const { self, store, filling, coverage } = this.#state;
    const claims = vectorEntries(coverage.claims());
    this.#transport.send(peer.node, [GREETING, self.store, store.id, store.sequence, filling.isFilled(), claims]);
  }

  onGreeting(peer: Peer, greeting: Greeting): void {
    const { peers, log } = this.#state;
    if (greeting[1] !== peer.storeName) {
      const figures = { peer: peer.node, theirs: greeting[1], ours: peer.storeName };
      if (!this.#misplaced.has(peer.node)) log.error(figures, 'a peer stands on another store than in this layout');
      this.#misplaced.add(peer.node);
      return;
    }
    const before = peers.greeted(peer, greeting);
    if (peers.isSibling(peer)) this.#compareWithSibling(peer);
    else {
      const former = before ?? this.#formerIdOf(peer);
      this.#compareWithSelf(peer);
      this.#following.follow(peer);
      if (former !== undefined) this.#onStoreReplaced(peer, former);
    }
    if (this.hasMetOthers) this.#openGate();
  }

  /** The id under which this peer's store was followed once, where it is followed for the first time under the one it has now. */
  #formerIdOf(peer: Peer): StoreId | undefined {
    const { positions } = this.#state.store;
    if (peer.storeId === undefined || positions.has(peer.storeId)) return undefined;
    return [...positions.keys()].find((id) => storeNameOf(id) === peer.storeName);
  }

  pingAll(): void {
    const { peers, store, filling, coverage } = this.#state;
    this.#pingCount += 1;
    this.#noteHeld();
    for (const peer of peers.all()) {
      if (!peer.isUp || !this.#mayTell(peer)) continue;
      this.#notePing(peer.node);
      const claims = vectorEntries(coverage.claims());
      this.#transport.send(peer.node, [PING, this.#pingCount, store.id, store.sequence, filling.isFilled(), claims]);
    }
  }

  #notePing(node: NodeName): void {
    let sent = this.#pingsSent.get(node);
    if (!sent) {
      sent = new Map();
      this.#pingsSent.set(node, sent);
    }
    sent.set(this.#pingCount, this.#state.clock.monotonicMs());
    sent.delete(this.#pingCount - PINGS_UNANSWERED_MAX);
  }

  onPing(peer: Peer, ping: Ping): void {
    const { peers, coverage } = this.#state;
    this.#transport.send(peer.node, [PONG, ping[1]]);
    if (peer.storeId !== ping[2]) {
      // Its greeting was lost, as any message can be: a ping tells the same.
      this.onGreeting(peer, [GREETING, storeNameOf(ping[2]), ping[2], ping[3], ping[4], ping[5]]);
      return;
    }
    peers.pinged(peer, ping);
    if (peers.isSibling(peer)) this.#compareWithSibling(peer);
    else this.#compareWithSelf(peer);
    peers.refresh(peer, coverage.appliedOf);
    coverage.onProgress();
  }

  onPong(peer: Peer, count: number): void {
    const sent = this.#pingsSent.get(peer.node);
    const atMs = sent?.get(count);
    if (!sent || atMs === undefined) return;
    for (const earlier of sent.keys()) if (earlier <= count) sent.delete(earlier);
    this.#state.peers.measured(peer, this.#state.clock.monotonicMs() - atMs);
  }

  /** What another node has seen in the database that both stand on must be there. */
  #compareWithSibling(peer: Peer): void {
    const { store } = this.#state;
    if (peer.storeId === store.id) this.renewIfBehind(peer.sequence);
    else this.#refreshThen(() => undefined);
  }

  /** What another node of this store has done meanwhile may not be known here yet. */
  #refreshThen(then: () => void): void {
    const { shared } = this.#state.store;
    // Where the database cannot be asked nothing is written either, and the next ping asks again.
    if (shared) shared.refresh().then(then, () => undefined);
    else then();
  }

  /** Whether a peer has seen writes of this store, under this id or one that it had, that this store does not have. */
  #compareWithSelf(peer: Peer): void {
    const { store, filling } = this.#state;
    const seen = sequenceIn(peer.applied, store.id);
    // Records of others may have brought it past what it has lost.
    const isSurelyBehind = !this.#hasShipped && this.#surelyHeldTo !== undefined && seen > this.#surelyHeldTo;
    this.renewIfBehind(seen, isSurelyBehind);
    if (!filling.isFilled() || this.#isRenewing) return;
    if (this.#seenOfFormerId(peer) !== undefined) this.#refreshThen(() => this.#refillIfLacking(peer));
  }

  /** A former id of this store of whose writes the peer has seen more than this store holds. */
  #seenOfFormerId(peer: Peer): StoreId | undefined {
    const { self, store, coverage } = this.#state;
    for (const [id, seen] of peer.applied) {
      if (id !== store.id && storeNameOf(id) === self.store && seen > coverage.appliedOf(id)) return id;
    }
    return undefined;
  }

  #refillIfLacking(peer: Peer): void {
    const { filling, log } = this.#state;
    if (!filling.isFilled() || this.#isRenewing || this.#seenOfFormerId(peer) === undefined) return;
    const refilled = filling.begin('peers have seen more of it under a former id than it holds');
    refilled
      .then(() => this.#following.followAllAnew())
      .catch((error: unknown) => log.error({ reason: (error as Error).message }, 'filling this store anew failed'));
  }

  /** Nobody could be asked whether this disk is as young as it looks. A new id costs an entry in vectors; a dot issued twice loses a write. */
  #renewUnasked(): void {
    const { store, log } = this.#state;
    if (this.#isRenewing) return;
    this.#isRenewing = true;
    this.#mustRenew = true;
    log.warn(
      { store: store.id, sequence: store.sequence },
      'no peer could be asked how far this store had come: it takes a new id',
    );
    this.#openAfter(this.#renewId(this.#surelyHeldTo), () => this.#renewUnasked());
  }

  /** `heldTo`: how far all writes under the former id are here, where that is not as far as it had come. */
  async #renewId(heldTo?: Sequence): Promise<void> {
    const { store } = this.#state;
    const { id } = store;
    // Asked for at once, so that one commit has both.
    await Promise.all([store.renewId(), heldTo === undefined ? undefined : this.#claimOnly(id, heldTo)]);
    this.#surelyHeldTo = undefined;
    for (const peer of this.#state.peers.all()) if (peer.isUp) this.#greet(peer);
    this.#following.followAllAnew();
  }

  /** Claimed any further, what it lacks would be taken for superseded when its peers bring it back. */
  async #claimOnly(former: StoreId, heldTo: Sequence): Promise<void> {
    await this.#state.store.update([], (view) => {
      const position = view.position(former);
      if (position === undefined || position.applied <= heldTo) return { writes: [], result: undefined };
      const positions = new Map([[former, { ...position, cursor: heldTo, applied: heldTo }]]);
      return { writes: [], positions, result: undefined };
    });
  }

  /** Where taking the new id failed the gate stays shut, or the old one's dots would be issued twice. It is tried again, for those who follow wait too. */
  #openAfter(renewed: Promise<void>, again: () => void): void {
    renewed.then(
      () => {
        this.#isRenewing = false;
        this.#mustRenew = false;
        this.#openGate();
      },
      (error: unknown) => {
        this.#isRenewing = false;
        this.#state.log.error({ reason: (error as Error).message }, 'taking a new store id failed');
        if (this.#isStopped) return;
        this.#cancelTimer();
        this.#cancelTimer = this.#state.clock.timer(RENEW_AGAIN_MS, again);
      },
    );
  }

  /**
   * Takes a new id where `seen`, which somebody has seen of this store, is above all that it holds, or surely was above all
   * that it held at its start.
   */
  renewIfBehind(seen: Sequence, isSurelyBehind = false): void {
    const { store } = this.#state;
    if (this.#isRenewing || (seen <= store.sequence && !isSurelyBehind)) return;
    if (!store.shared || isSurelyBehind) this.#renewBehind(seen);
    else {
      const { id } = store;
      this.#refreshThen(() => {
        if (!this.#isRenewing && store.id === id && seen > store.sequence) this.#renewBehind(seen);
      });
    }
  }

  #renewBehind(seen: Sequence): void {
    const { store, log } = this.#state;
    this.#isRenewing = true;
    this.#mustRenew = true;
    this.#gate.hold();
    // A shared store goes back while this process lives: what it was known to hold it may hold no longer.
    for (const peer of this.#state.peers.all()) peer.freshAtMs = undefined;
    const figures = { store: store.id, sequence: store.sequence, seen };
    log.warn(figures, 'peers have seen more of this store than it holds itself: it takes a new id');
    this.#openAfter(this.#renew(), () => this.renewIfBehind(seen, true));
  }

  /** The fill is begun first: a store that stopped between the two and kept its new id would take itself for filled. */
  async #renew(): Promise<void> {
    await this.#state.filling.begin('its disk is older than what its peers have seen of it');
    await this.#renewId(this.#surelyHeldTo);
  }
}
