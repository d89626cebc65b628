import { sequenceIn, type VersionVector } from '@meridian/core/causality/version-vector';
import { coversSession, type SessionToken } from '@meridian/core/coordination/session';
import {
  NO_SEQUENCE,
  type RecordKey,
  type Sequence,
  type StoreId,
  type StoreName,
  storeNameOf,
} from '@meridian/core/ids';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../ports/store.ts';
import type { Catalog } from './catalog.ts';
import type { Peers } from './peers.ts';
import type { PlantedBugs } from './planted-bugs.ts';

interface Waiter {
  readonly isCovered: () => boolean;
  readonly settle: (isCovered: boolean) => void;
}

/** Unknown ids of which it is kept when they were met. One that gives way is met anew, and waits once more. */
const MET_MAX = 1_000;

/** What this store may claim: which prefix of each origin it holds, and which sessions it may serve therefore. */
export class Coverage {
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #peers: Peers;
  readonly #clock: Clock;
  readonly #bugs: PlantedBugs;
  readonly #waiters = new Set<Waiter>();
  /** When sessions first named an id of which nobody had told anything. */
  readonly #met = new Map<StoreId, number>();

  constructor(store: Store, catalog: Catalog, peers: Peers, clock: Clock, bugs: PlantedBugs) {
    this.#store = store;
    this.#catalog = catalog;
    this.#peers = peers;
    this.#clock = clock;
    this.#bugs = bugs;
  }

  appliedOf = (store: StoreId): Sequence =>
    store === this.#store.id ? this.#store.sequence : (this.#store.positions.get(store)?.applied ?? NO_SEQUENCE);

  /** Claims for the other origins; this store's own is its sequence. */
  claims(): VersionVector {
    const claims = new Map<StoreId, Sequence>();
    for (const [origin, { applied }] of this.#store.positions) if (applied > 0) claims.set(origin, applied);
    return claims;
  }

  isCovered(key: RecordKey, token: SessionToken): boolean {
    return this.#isCovered(this.appliedOf, key, token);
  }

  /** Whether a record of a time when these claims held, this store's own among them, may be shown to the session. */
  isCoveredBy(claims: VersionVector, key: RecordKey, token: SessionToken): boolean {
    return this.#isCovered((store) => sequenceIn(claims, store), key, token);
  }

  #isCovered(appliedOf: (store: StoreId) => Sequence, key: RecordKey, token: SessionToken): boolean {
    if (token.size === 0 || this.#bugs.has('session-not-covered')) return true;
    const replicas = this.#catalog.replicas(key);
    return this.#covers(appliedOf, token, (name) => replicas.some((replica) => replica.store === name));
  }

  /** Likewise for a listing: `matters` tells of which stores there may be keys in it. */
  isCoveredOf(token: SessionToken, matters: (store: StoreName) => boolean): boolean {
    return this.#covers(this.appliedOf, token, matters);
  }

  #covers(
    appliedOf: (store: StoreId) => Sequence,
    token: SessionToken,
    matters: (store: StoreName) => boolean,
  ): boolean {
    if (coversSession(appliedOf, token, matters)) return true;
    const ours = new Map([...token].filter(([id]) => !this.#isFromOutside(id)));
    return ours.size < token.size && coversSession(appliedOf, ours, matters);
  }

  /**
   * Whether writes under this id can only have come as records from outside: of a former cluster whose stores had the same
   * names. No stream brings them, so nobody could ever claim them. That is so where every other node has told, since the id
   * was met, that it is not its store's and that it has none of these writes: a store may take a new id at any time, and
   * what is known of a node may be older than that.
   */
  #isFromOutside(id: StoreId): boolean {
    const name = storeNameOf(id);
    const isOwn = name === storeNameOf(this.#store.id);
    if (id === this.#store.id || this.appliedOf(id) > 0 || !(isOwn || this.#peers.ofStore(name))) return false;
    const metAtMs = this.#metAtMs(id);
    for (const { toldAtMs, storeId, applied } of this.#peers.all()) {
      if (toldAtMs <= metAtMs || storeId === id || sequenceIn(applied, id) > 0) return false;
    }
    return true;
  }

  #metAtMs(id: StoreId): number {
    const metAtMs = this.#met.get(id);
    if (metAtMs !== undefined) return metAtMs;
    const nowMs = this.#clock.monotonicMs();
    for (const oldest of this.#met.keys()) {
      if (this.#met.size < MET_MAX) break;
      this.#met.delete(oldest);
    }
    this.#met.set(id, nowMs);
    return nowMs;
  }

  /** Resolves once this store covers the token, or with `false` when the time is over. */
  wait(isCovered: () => boolean, timeoutMs: number): Promise<boolean> {
    if (isCovered()) return Promise.resolve(true);
    if (timeoutMs <= 0) return Promise.resolve(false);
    // Another node of this store may have what is missing, and not have said so yet.
    this.#store.shared?.refresh().then(
      () => this.onProgress(),
      () => undefined,
    );
    return new Promise((resolve) => {
      const cancelTimer = this.#clock.timer(timeoutMs, () => settle(false));
      const settle = (result: boolean): void => {
        this.#waiters.delete(waiter);
        cancelTimer();
        resolve(result);
      };
      const waiter: Waiter = { isCovered, settle };
      this.#waiters.add(waiter);
    });
  }

  /** A claim has moved, or another node has told how far its store is. */
  onProgress(): void {
    for (const waiter of this.#waiters) if (waiter.isCovered()) waiter.settle(true);
  }

  stop(): void {
    for (const waiter of [...this.#waiters]) waiter.settle(false);
  }
}
