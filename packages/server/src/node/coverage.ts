import { sequenceIn, type VersionVector } from '@meridian/core/causality/version-vector';
import { coversSession, type SessionToken } from '@meridian/core/coordination/session';
import { NO_SEQUENCE, type RecordKey, type Sequence, type StoreId } from '@meridian/core/ids';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../ports/store.ts';
import type { Catalog } from './catalog.ts';
import type { PlantedBugs } from './planted-bugs.ts';

interface Waiter {
  readonly isCovered: () => boolean;
  readonly settle: (isCovered: boolean) => void;
}

/** What this store may claim: which prefix of each origin it holds, and which sessions it may serve therefore. */
export class Coverage {
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #bugs: PlantedBugs;
  readonly #waiters = new Set<Waiter>();

  constructor(store: Store, catalog: Catalog, clock: Clock, bugs: PlantedBugs) {
    this.#store = store;
    this.#catalog = catalog;
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
    return coversSession(appliedOf, token, (name) => replicas.some((replica) => replica.store === name));
  }

  /** For a listing: all stores matter. */
  isCoveredForAll(token: SessionToken): boolean {
    return coversSession(this.appliedOf, token, () => true);
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

  /** A claim has moved. */
  onProgress(): void {
    for (const waiter of this.#waiters) if (waiter.isCovered()) waiter.settle(true);
  }

  stop(): void {
    for (const waiter of [...this.#waiters]) waiter.settle(false);
  }
}
