import type { VersionVector } from '@meridian/core/causality/version-vector';
import type { NamespaceId, RecordKey, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { recordKey } from '@meridian/core/ids';
import { SeededRandom } from '../../../../test/simulation/seeded-random.ts';
import { SimulatedCache, SimulatedCacheServer } from '../../../../test/simulation/simulated-cache.ts';
import { SimulatedDisk, SimulatedStore } from '../../../../test/simulation/simulated-store.ts';
import { ProcessClock, VirtualTime } from '../../../../test/simulation/virtual-time.ts';
import type { Log } from '../ports/log.ts';
import type { RecentRecord, Shared, Store, StoredRow } from '../ports/store.ts';
import { CachedStore } from './cached-store.ts';

export const TTL_MS = 60_000;
export const VALUE_BYTES_MAX = 1_000;
export const TIMEOUT_MS = 20;

export const keyOf = (name: string): RecordKey => recordKey('default.1' as NamespaceId, name);

/** A store whose reads can be held up after they have read, and whose database can go back in time. */
export class HeldStore extends SimulatedStore {
  reads = 0;
  #held: (() => void)[] | undefined;
  #onRegressed: (seen: Sequence) => void = () => {};
  readonly shared: Shared = {
    refresh: () => Promise.resolve(),
    notice: () => undefined,
    onChange: () => undefined,
    latest: { id: 'us-1.0123456789abcdef' as StoreId, version: 0, turn: '' },
    onReconnected: () => undefined,
    onRegressed: (listener) => {
      this.#onRegressed = listener;
    },
  };

  override async getRow(key: RecordKey): Promise<StoredRow | undefined> {
    this.reads += 1;
    const row = await super.getRow(key);
    await new Promise<void>((resolve) => {
      if (this.#held) this.#held.push(resolve);
      else resolve();
    });
    return row;
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const goOn of held) goOn();
  }

  regress(): void {
    this.#onRegressed(this.sequence);
  }
}

export interface CachedStoreAlone {
  readonly time: VirtualTime;
  readonly clock: ProcessClock;
  readonly disk: SimulatedDisk;
  readonly store: HeldStore;
  readonly server: SimulatedCacheServer;
  /** The cached store's own way to the cache. */
  readonly cache: SimulatedCache;
  readonly cached: CachedStore;
  /** Another node's way to the cache. */
  readonly other: SimulatedCache;
  /** Events of the log: warnings and above. */
  readonly logged: string[];
}

/** Runs `play` on a new store with a cache in front, as virtual time passes. */
export async function onCachedStore(play: (alone: CachedStoreAlone) => Promise<void>): Promise<void> {
  const time = new VirtualTime();
  const clock = new ProcessClock(time, 0);
  const disk = new SimulatedDisk();
  const store = new HeldStore({
    disk,
    storeName: 'us-1' as StoreName,
    clock,
    random: new SeededRandom(1),
    onError: () => undefined,
  });
  // What it keeps outlives what may be served: that must not depend on the cache.
  const server = new SimulatedCacheServer(clock, TTL_MS * 2);
  const cache = new SimulatedCache(server, clock);
  const logged: string[] = [];
  const log: Log = {
    debug: () => undefined,
    info: (_, event) => logged.push(event),
    warn: (_, event) => logged.push(event),
    error: (_, event) => logged.push(event),
  };
  const cached = new CachedStore({
    ...{ store, cache, clock, log },
    ...{ ttlMs: TTL_MS, valueBytesMax: VALUE_BYTES_MAX, timeoutMs: TIMEOUT_MS },
  });
  const other = new SimulatedCache(server, clock);
  let isDone = false;
  const played = play({ time, clock, disk, store, server, cache, cached, other, logged }).finally(() => {
    isDone = true;
  });
  // Awaited below; a failure before that is no unhandled one.
  played.catch(() => undefined);
  await time.run(() => isDone);
  await played;
}

export async function putText(store: Store, key: RecordKey, text: string): Promise<Sequence> {
  return store.update([key], (view) => ({
    writes: [{ key, record: new TextEncoder().encode(text) }],
    result: view.nextSequence,
  }));
}

export function removeKey(store: Store, key: RecordKey): Promise<void> {
  return store.update([key], () => ({ writes: [{ key, record: null }], result: undefined }));
}

export function textOf({ record }: RecentRecord): string | undefined {
  return record && new TextDecoder().decode(record);
}

/** Whether claims cover a session that has seen this. */
export function atLeast(store: StoreId, sequence: number): (claims: VersionVector) => boolean {
  return (claims) => (claims.get(store) ?? 0) >= sequence;
}
