import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import {
  type Cache,
  type CacheEntry,
  CacheFailedError,
  type CacheFill,
  type CacheLease,
  type CacheLook,
  type CacheOutcome,
  type CacheWrite,
} from '@meridian/server/ports/cache';
import type { Clock } from '@meridian/server/ports/clock';

const LEASE_MS = 10_000;

interface Place {
  readonly held: CacheEntry | { readonly lease: CacheLease; readonly reached: Sequence };
  readonly untilMs: number;
}

/** What the cache's server holds, whoever asks it; and what goes wrong with it. */
export class SimulatedCacheServer {
  /** How long an exchange takes, half of it on the way there. */
  delayMs = 0;
  /** Refuses connections: every call fails at once. */
  isAway = false;
  /** Calls reach it, and it answers none until it goes on: then it does all that it was told, in order. */
  #held: (() => void)[] | undefined;
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #places = new Map<string, Place>();
  #leases = 0;

  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }

  get size(): number {
    return this.#places.size;
  }

  stall(): void {
    this.#held ??= [];
  }

  goOn(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const act of held) act();
  }

  flushAll(): void {
    this.#places.clear();
  }

  /** As when memory runs short: the place is gone before its time. */
  evict(store: StoreId, key: RecordKey): void {
    this.#places.delete(nameOf(store, key));
  }

  /** What is there now, without a trace of the question. */
  peek(store: StoreId, key: RecordKey): CacheEntry | undefined {
    const held = this.#at(nameOf(store, key));
    return held && 'claims' in held ? held : undefined;
  }

  whenReached(act: () => void): void {
    if (this.#held) this.#held.push(act);
    else act();
  }

  look(store: StoreId, reached: Sequence, key: RecordKey): CacheLook {
    const name = nameOf(store, key);
    let held = this.#at(name);
    if (!held) {
      held = { lease: `lease-${this.#leases++}` as CacheLease, reached };
      this.#places.set(name, { held, untilMs: this.#clock.monotonicMs() + LEASE_MS });
    }
    return 'lease' in held ? { lease: held.lease } : { entry: held };
  }

  put(store: StoreId, key: RecordKey, entry: CacheEntry, how: CacheLease | 'written' | undefined): CacheOutcome {
    const name = nameOf(store, key);
    const outcome = judge(store, this.#at(name), entry, how);
    if (outcome === 'kept') this.#places.set(name, { held: entry, untilMs: this.#clock.monotonicMs() + this.#ttlMs });
    if (outcome === 'dropped') this.#places.delete(name);
    return outcome;
  }

  #at(name: string): Place['held'] | undefined {
    const place = this.#places.get(name);
    return place && place.untilMs > this.#clock.monotonicMs() ? place.held : undefined;
  }
}

function judge(
  store: StoreId,
  held: Place['held'] | undefined,
  entry: CacheEntry,
  how: CacheLease | 'written' | undefined,
): CacheOutcome {
  if (!held) return 'absent';
  const isNone = entry.record === undefined;
  if ('lease' in held) {
    if (how !== 'written') return how === held.lease ? 'kept' : 'absent';
    return entry.sequence > held.reached || (isNone && entry.sequence === held.reached) ? 'kept' : 'younger';
  }
  const heldIsNone = held.record === undefined;
  if (entry.sequence < held.sequence) return isNone && !heldIsNone && how !== 'written' ? 'dropped' : 'younger';
  if (entry.sequence > held.sequence) return 'kept';
  if (isNone !== heldIsNone) return isNone ? 'kept' : 'younger';
  const claim = (entry.claims.get(store) ?? 0) - (held.claims.get(store) ?? 0);
  return claim > 0 || (claim === 0 && entry.atMs > held.atMs) ? 'kept' : 'younger';
}

function nameOf(store: StoreId, key: RecordKey): string {
  return `${store}:${key}`;
}

/** One node's way to it. */
export class SimulatedCache implements Cache {
  readonly #server: SimulatedCacheServer;
  readonly #clock: Clock;
  #isClosed = false;
  /** Exchanges begun, by name. */
  readonly calls = { look: 0, fill: 0, write: 0, probe: 0 };

  constructor(server: SimulatedCacheServer, clock: Clock) {
    this.#server = server;
    this.#clock = clock;
  }

  look(store: StoreId, reached: Sequence, keys: readonly RecordKey[]): Promise<readonly CacheLook[]> {
    this.calls.look += 1;
    return this.#exchange(() => keys.map((key) => this.#server.look(store, reached, key)));
  }

  fill(store: StoreId, fills: readonly CacheFill[]): Promise<readonly CacheOutcome[]> {
    this.calls.fill += 1;
    return this.#exchange(() => fills.map(({ key, entry, lease }) => this.#server.put(store, key, entry, lease)));
  }

  write(store: StoreId, writes: readonly CacheWrite[]): Promise<readonly CacheOutcome[]> {
    this.calls.write += 1;
    return this.#exchange(() =>
      writes.map(({ key, entry }) => {
        if (entry) return this.#server.put(store, key, entry, 'written');
        this.#server.evict(store, key);
        return 'dropped';
      }),
    );
  }

  probe(): Promise<void> {
    this.calls.probe += 1;
    return this.#exchange(() => undefined);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  /** There, done whole, and back. */
  #exchange<Answer>(act: () => Answer): Promise<Answer> {
    if (this.#isClosed) return Promise.reject(new CacheFailedError('closed'));
    if (this.#server.isAway) return Promise.reject(new CacheFailedError('away'));
    return new Promise((resolve) => {
      const wayMs = this.#server.delayMs / 2;
      this.#after(wayMs, () =>
        this.#server.whenReached(() => {
          const answer = act();
          this.#after(wayMs, () => resolve(answer));
        }),
      );
    });
  }

  #after(delayMs: number, act: () => void): void {
    if (delayMs > 0) this.#clock.timer(delayMs, act);
    else act();
  }
}
