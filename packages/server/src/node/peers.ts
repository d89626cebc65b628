import { EMPTY_VECTOR, type VersionVector } from '@meridian/core/causality/version-vector';
import {
  NO_SEQUENCE,
  type NodeName,
  type RegionName,
  type Sequence,
  type StoreId,
  type StoreName,
} from '@meridian/core/ids';
import type { LayoutNode } from '@meridian/core/placement/layout';
import type { Greeting, Ping } from '@meridian/core/wire/messages';
import { vectorOf } from '@meridian/core/wire/vector-entries';
import type { Clock } from '../ports/clock.ts';
import { SUSPECT_MS, UNANSWERED_MS } from './limits.ts';

/** What this node knows of another. */
export interface Peer {
  readonly node: NodeName;
  readonly region: RegionName;
  readonly storeName: StoreName;
  readonly http: string;
  isUp: boolean;
  heardAtMs: number;
  /** Monotonic time at which something came last that it would not have sent without hearing this node; `undefined` before it came up. */
  hearsAtMs: number | undefined;
  /** Smoothed; `undefined` until the first answer to a ping. */
  rttMs: number | undefined;
  /** The shortest of the last few: how far away it is, however busy either end. */
  nearestRttMs: number | undefined;
  storeId: StoreId | undefined;
  sequence: Sequence;
  isFilled: boolean;
  applied: VersionVector;
  /** Monotonic time at which the ping that it answered last was sent: what came after that answer was said later. */
  answeredAtMs: number;
  /** Monotonic time at which `sequence` was the peer's latest, or a later one. What was said may have waited long on its way. */
  toldAtMs: number;
  /** Monotonic time at which this store is known to have held all that the peer had; `undefined` if never. */
  freshAtMs: number | undefined;
}

/** The other nodes of the layout: who is there, how far away, how far along. Routing asks it; it moves no data. */
export class Peers {
  readonly #byNode = new Map<NodeName, Peer>();
  readonly #byStore = new Map<StoreName, Peer[]>();
  readonly #clock: Clock;
  readonly #ownStore: StoreName | undefined;

  constructor(nodes: readonly LayoutNode[], self: NodeName, clock: Clock) {
    this.#clock = clock;
    this.#ownStore = nodes.find(({ name }) => name === self)?.store;
    for (const node of nodes) if (node.name !== self) this.#add(node);
    this.#spreadFrom(nodes, self);
  }

  /** Nodes that share a store do not all turn to the same node of another one. */
  #spreadFrom(nodes: readonly LayoutNode[], self: NodeName): void {
    const rank = nodes.filter(({ store }) => store === this.#ownStore).findIndex(({ name }) => name === self);
    for (const [store, peers] of this.#byStore) {
      const by = rank % peers.length;
      this.#byStore.set(store, [...peers.slice(by), ...peers.slice(0, by)]);
    }
  }

  #add(node: LayoutNode): void {
    const peer: Peer = {
      node: node.name,
      region: node.region,
      storeName: node.store,
      http: node.http,
      isUp: false,
      heardAtMs: Number.NEGATIVE_INFINITY,
      hearsAtMs: undefined,
      rttMs: undefined,
      nearestRttMs: undefined,
      storeId: undefined,
      sequence: NO_SEQUENCE,
      isFilled: false,
      applied: EMPTY_VECTOR,
      answeredAtMs: Number.NEGATIVE_INFINITY,
      toldAtMs: Number.NEGATIVE_INFINITY,
      freshAtMs: undefined,
    };
    this.#byNode.set(node.name, peer);
    const ofStore = this.#byStore.get(node.store);
    if (ofStore) ofStore.push(peer);
    else this.#byStore.set(node.store, [peer]);
  }

  get count(): number {
    return this.#byNode.size;
  }

  get isAnyGreeted(): boolean {
    for (const peer of this.#byNode.values()) if (peer.storeId !== undefined) return true;
    return false;
  }

  get areAllGreeted(): boolean {
    for (const peer of this.#byNode.values()) if (peer.storeId === undefined) return false;
    return true;
  }

  all(): IterableIterator<Peer> {
    return this.#byNode.values();
  }

  get(node: NodeName): Peer | undefined {
    return this.#byNode.get(node);
  }

  /** One of a store's nodes: a live one, if there is any. */
  ofStore(store: StoreName): Peer | undefined {
    const peers = this.#byStore.get(store);
    return peers?.find((peer) => this.isLive(peer)) ?? peers?.[0];
  }

  nodesOf(store: StoreName): readonly Peer[] {
    return this.#byStore.get(store) ?? NO_PEERS;
  }

  /** The other nodes of this node's own store. */
  siblings(): readonly Peer[] {
    return this.#ownStore === undefined ? NO_PEERS : this.nodesOf(this.#ownStore);
  }

  isSibling(peer: Peer): boolean {
    return peer.storeName === this.#ownStore;
  }

  /** The other stores, each with its nodes. */
  *otherStores(): IterableIterator<readonly [StoreName, readonly Peer[]]> {
    for (const entry of this.#byStore) if (entry[0] !== this.#ownStore) yield entry;
  }

  /** Up, greeted, heard of lately, and not deaf to this node. */
  isLive(peer: Peer): boolean {
    if (!peer.isUp || peer.storeId === undefined) return false;
    const nowMs = this.#clock.monotonicMs();
    const { heardAtMs, hearsAtMs = nowMs, rttMs = 0 } = peer;
    return nowMs - heardAtMs < SUSPECT_MS && nowMs - hearsAtMs < UNANSWERED_MS + rttMs;
  }

  isStoreLive(store: StoreName): boolean {
    return this.#byStore.get(store)?.some((peer) => this.isLive(peer)) ?? false;
  }

  /** The distance to a region: the shortest measured round trip to a node of it, or far away. */
  rttMs(region: RegionName): number {
    let shortest = UNKNOWN_RTT_MS;
    for (const peer of this.#byNode.values()) {
      if (peer.region === region && peer.rttMs !== undefined) shortest = Math.min(shortest, peer.rttMs);
    }
    return shortest;
  }

  heard(node: NodeName): Peer | undefined {
    const peer = this.#byNode.get(node);
    if (peer) peer.heardAtMs = this.#clock.monotonicMs();
    return peer;
  }

  /** A connection takes both ways to be made. */
  cameUp(peer: Peer): void {
    peer.isUp = true;
    this.hears(peer);
  }

  hears(peer: Peer): void {
    peer.hearsAtMs = this.#clock.monotonicMs();
  }

  /** Takes over what a greeting tells. Returns the id that this peer's store had before, where it has another now. */
  greeted(peer: Peer, [, , storeId, sequence, isFilled, applied]: Greeting): StoreId | undefined {
    const former = peer.storeId;
    this.#told(peer, storeId, sequence, isFilled, vectorOf(applied));
    return former !== undefined && former !== storeId ? former : undefined;
  }

  pinged(peer: Peer, [, , storeId, sequence, isFilled, applied]: Ping): void {
    this.#told(peer, storeId, sequence, isFilled, vectorOf(applied));
  }

  #told(peer: Peer, storeId: StoreId, sequence: Sequence, isFilled: boolean, applied: VersionVector): void {
    if (peer.storeId !== storeId) peer.freshAtMs = undefined;
    peer.toldAtMs = peer.answeredAtMs;
    peer.storeId = storeId;
    peer.sequence = sequence;
    peer.isFilled = isFilled;
    peer.applied = applied;
  }

  measured(peer: Peer, rttMs: number): void {
    peer.answeredAtMs = Math.max(peer.answeredAtMs, this.#clock.monotonicMs() - rttMs);
    peer.rttMs = peer.rttMs === undefined ? rttMs : peer.rttMs + (rttMs - peer.rttMs) * RTT_SMOOTHING;
    // It rises slowly, so that a link that has become longer is noticed too.
    peer.nearestRttMs = Math.min(rttMs, (peer.nearestRttMs ?? rttMs) * NEAREST_RISE);
  }

  /** Notes, where this store holds all that the peer's store is known to hold, that it was complete when the peer told. */
  refresh(peer: Peer, appliedOf: (store: StoreId) => Sequence): void {
    const { storeId } = peer;
    if (!storeId) return;
    let sequence: number = peer.sequence;
    // One that is cut off from the database it shares tells a sequence that stands still.
    for (const other of this.nodesOf(peer.storeName))
      if (other.storeId === storeId) sequence = Math.max(sequence, other.sequence);
    if (appliedOf(storeId) >= sequence && peer.toldAtMs > Number.NEGATIVE_INFINITY) peer.freshAtMs = peer.toldAtMs;
  }
}

const NO_PEERS: readonly Peer[] = [];
const UNKNOWN_RTT_MS = 10_000;
/** With each ping. */
const NEAREST_RISE = 1.05;
/** The weight of the newest round trip: a changed route shows within a few seconds, one slow ping does not. */
const RTT_SMOOTHING = 0.3;
