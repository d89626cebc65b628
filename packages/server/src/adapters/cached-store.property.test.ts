import type { VersionVector } from '@meridian/core/causality/version-vector';
import type { RecordKey, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../../test/simulation/seeded-random.ts';
import { SimulatedCache, SimulatedCacheServer } from '../../../../test/simulation/simulated-cache.ts';
import { SimulatedDisk } from '../../../../test/simulation/simulated-store.ts';
import { ProcessClock, VirtualTime } from '../../../../test/simulation/virtual-time.ts';
import type { FollowPosition, RecentRecord, Store, StoredRow } from '../ports/store.ts';
import { HeldStore, keyOf } from './cached-store.testing.ts';
import { CachedStore } from './cached-store.ts';

const SEEDS = 150;
const STEPS = 250;
const TTL_MS = 2_000;
const NODES = 3;
const KEYS = ['a', 'b', 'c'].map(keyOf);
const ORIGIN = 'eu-1.abc' as StoreId;
const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** One of the nodes that share a store: what it knows of the store lags, and what it has read may be held up. */
class NodeView implements Pick<Store, 'getRow' | 'sequence' | 'positions'> {
  readonly #shared: HeldStore;
  sequence: Sequence;
  positions: ReadonlyMap<StoreId, FollowPosition>;
  #held: (() => void)[] | undefined;

  constructor(shared: HeldStore) {
    this.#shared = shared;
    this.sequence = shared.sequence;
    this.positions = shared.positions;
  }

  refresh(): void {
    this.sequence = this.#shared.sequence;
    this.positions = this.#shared.positions;
  }

  async getRow(key: RecordKey): Promise<StoredRow | undefined> {
    const row = await this.#shared.getRow(key);
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

  /** As a store: all that a node does not see with delay is the shared one's own. */
  asStore(): Store {
    return new Proxy(this.#shared as Store, {
      get: (target, name) => {
        if (name === 'getRow') return this.getRow.bind(this);
        if (name === 'sequence') return this.sequence;
        if (name === 'positions') return this.positions;
        if (name === 'shared') return undefined;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }
}

/** What stood under a key from one turn of the store to the next one that changed the key. */
interface Version {
  readonly text: string | undefined;
  readonly turn: number;
  /** When it was told to whoever wrote it; Infinity before. */
  resolvedAtMs: number;
}

/** All that ever was, written down as it was decided. */
class History {
  readonly #versions = new Map<RecordKey, Version[]>();
  /** What the store held after each turn. */
  readonly #claims: VersionVector[] = [new Map()];

  turn(claims: VersionVector): number {
    return this.#claims.push(claims) - 1;
  }

  add(key: RecordKey, text: string | undefined, turn: number): Version {
    const version = { text, turn, resolvedAtMs: Number.POSITIVE_INFINITY };
    this.#of(key).push(version);
    return version;
  }

  #of(key: RecordKey): Version[] {
    let versions = this.#versions.get(key);
    if (!versions) {
      versions = [{ text: undefined, turn: 0, resolvedAtMs: 0 }];
      this.#versions.set(key, versions);
    }
    return versions;
  }

  /** Whether a version of this text stood at or after the first turn that held the token, and still at `sinceMs`. */
  allows(key: RecordKey, text: string | undefined, token: VersionVector, sinceMs: number): boolean {
    const covering = this.#claims.findIndex((claims) =>
      [...token].every(([store, seen]) => (claims.get(store) ?? 0) >= seen),
    );
    const versions = this.#of(key);
    return versions.some((version, at) => {
      const next = versions[at + 1];
      return version.text === text && (!next || (next.turn > covering && next.resolvedAtMs >= sinceMs));
    });
  }
}

interface Node {
  readonly view: NodeView;
  readonly cached: CachedStore;
}

class Run {
  readonly time = new VirtualTime();
  readonly clock = new ProcessClock(this.time, 0);
  readonly random: SeededRandom;
  readonly server = new SimulatedCacheServer(this.clock, TTL_MS);
  readonly history = new History();
  readonly nodes: readonly Node[];
  readonly #shared: HeldStore;
  readonly #underWay = new Set<Promise<void>>();
  /** The cache does what it is told, at once: entries then may go, but what is there is never stale. */
  readonly #isCacheWell: boolean;
  problems: string[] = [];
  #writes = 0;
  reads = 0;

  constructor(seed: number, isCacheWell: boolean) {
    this.random = new SeededRandom(seed);
    this.#isCacheWell = isCacheWell;
    this.#shared = new HeldStore({
      ...{ disk: new SimulatedDisk(), storeName: 'us-1' as StoreName, clock: this.clock },
      random: this.random.fork(),
    });
    this.nodes = Array.from({ length: NODES }, () => {
      const view = new NodeView(this.#shared);
      const cached = new CachedStore({
        ...{ store: view.asStore(), cache: new SimulatedCache(this.server, this.clock), clock: this.clock, log: QUIET },
        ...{ ttlMs: TTL_MS, valueBytesMax: 40, timeoutMs: 20 },
      });
      return { view, cached };
    });
  }

  async play(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      this.#step();
      if (this.#isCacheWell) this.#judgeCache();
      if (this.random.chance(0.6)) await this.time.sleep(this.random.pick([0.1, 0.5, 1, 3, 10, 30]));
    }
    this.server.goOn();
    for (const { view } of this.nodes) view.release();
    await Promise.all(this.#underWay);
    await Promise.all(this.nodes.map(({ cached }) => cached.close()));
  }

  #step(): void {
    const { random } = this;
    const { view } = random.pick(this.nodes);
    const draw = random.below(100);
    if (draw < 40) this.#track(this.#read());
    else if (draw < 65) this.#track(this.#write());
    else if (draw < 75) view.refresh();
    else if (draw < 80) view.hold();
    else if (draw < 87) view.release();
    else if (draw < 90) this.server.evict(this.#shared.id, random.pick(KEYS));
    else if (draw < 91) this.server.flushAll();
    else if (draw < 93) this.time.at(random.pick([100, TTL_MS, 11_000]), () => this.#track(this.#read()));
    else if (this.#isCacheWell) this.server.delayMs = 1;
    else this.#trouble(draw);
  }

  #trouble(draw: number): void {
    if (draw < 95) this.server.isAway = !this.server.isAway;
    else if (draw < 96) this.server.stall();
    else if (draw < 98) this.server.goOn();
    else this.server.delayMs = this.random.pick([0, 1, 15, 25, 80]);
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => void this.problems.push(String(error)))
      .finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  /** A token of what the node knows, at most: it was checked before the cache is asked. */
  #token({ view }: Node): VersionVector | undefined {
    if (this.random.chance(0.4)) return undefined;
    const known: [StoreId, number][] = [
      [this.#shared.id, view.sequence],
      [ORIGIN, view.positions.get(ORIGIN)?.applied ?? 0],
    ];
    const seen = this.random.chance(0.5)
      ? known
      : known.map(([id, top]): [StoreId, number] => [id, this.random.below(top + 1)]);
    return new Map(seen.map(([id, sequence]) => [id, sequence as Sequence]));
  }

  async #read(): Promise<void> {
    const node = this.random.pick(this.nodes);
    const key = this.random.pick(KEYS);
    const token = this.#token(node);
    const startedAtMs = this.time.nowMs;
    const isEnough =
      token && ((claims: VersionVector) => [...token].every(([id, seen]) => (claims.get(id) ?? 0) >= seen));
    const read = await node.cached.getRecent(key, isEnough);
    this.reads += 1;
    this.#judge(key, token ?? new Map(), read, startedAtMs);
  }

  #judge(key: RecordKey, token: VersionVector, read: RecentRecord, startedAtMs: number): void {
    const text = read.record && new TextDecoder().decode(read.record);
    // What is said of its age holds to the millisecond, since wall clocks tell no less.
    const oldestMs = Math.min(startedAtMs, this.time.nowMs - read.ageMs) - 1;
    if (!this.history.allows(key, text, token, oldestMs))
      this.problems.push(`${key}: '${text}', told to be ${read.ageMs} ms old`);
    if (read.ageMs > TTL_MS && startedAtMs > this.time.nowMs - TTL_MS)
      this.problems.push(`${key}: ${read.ageMs} ms old`);
  }

  /** Of what was acknowledged a cache that is well knows: that is what leases are for. */
  #judgeCache(): void {
    for (const key of KEYS) {
      const entry = this.server.peek(this.#shared.id, key);
      const text = entry?.record && new TextDecoder().decode(entry.record);
      if (entry && !this.history.allows(key, text, new Map(), this.time.nowMs))
        this.problems.push(`${key}: '${text}' is cached after its successor was acknowledged`);
    }
  }

  async #write(): Promise<void> {
    const { cached } = this.random.pick(this.nodes);
    const key = this.random.pick(KEYS);
    const isRemoval = this.random.chance(0.25);
    const hasPosition = this.random.chance(0.3);
    const text = `${this.#writes++}${this.random.chance(0.15) ? '.'.repeat(50) : ''}`;
    const version = await cached.update([key], (view) => {
      const claims = new Map(view.applied);
      if (!isRemoval) claims.set(view.store, view.nextSequence);
      const applied = ((claims.get(ORIGIN) ?? 0) + 1) as Sequence;
      if (hasPosition) claims.set(ORIGIN, applied);
      const record = isRemoval ? null : new TextEncoder().encode(text);
      const result = this.history.add(key, isRemoval ? undefined : text, this.history.turn(claims));
      const positions = new Map([[ORIGIN, { cursor: applied, applied, isFilled: true }]]);
      return { writes: [{ key, record }], ...(hasPosition ? { positions } : {}), result };
    });
    version.resolvedAtMs = this.time.nowMs;
  }
}

async function played(seed: number, isCacheWell: boolean): Promise<Run> {
  const run = new Run(seed, isCacheWell);
  let isDone = false;
  const play = run.play().finally(() => {
    isDone = true;
  });
  play.catch(() => undefined);
  await run.time.run(() => isDone);
  await play;
  return run;
}

describe('reads through the cache, whatever happens to it and to the nodes', () => {
  it.each([
    ['of a cache that is away, slow or stalled now and then', false],
    ['of a cache that forgets, but does what it is told', true],
  ])('give only what stood in the store, covered and no older than told: %s', async (_, isCacheWell) => {
    const sum = { hits: 0, staleRefusals: 0, writeThroughs: 0, fillsRefused: 0, timeouts: 0, reads: 0 };
    for (let seed = 1; seed <= SEEDS; seed++) {
      const run = await played(seed, isCacheWell);
      expect(run.problems, `seed ${seed}`).toEqual([]);
      sum.reads += run.reads;
      for (const { cached } of run.nodes) {
        const { hits, staleRefusals, writeThroughs, fillsRefused, timeouts } = cached.cacheFigures;
        sum.hits += hits;
        sum.staleRefusals += staleRefusals;
        sum.writeThroughs += writeThroughs;
        sum.fillsRefused += fillsRefused;
        sum.timeouts += timeouts;
      }
    }
    // All of it came about, often: else nothing was shown.
    expect(Math.min(sum.hits, sum.staleRefusals, sum.writeThroughs, sum.fillsRefused)).toBeGreaterThan(100);
    expect(sum.timeouts > 100).toBe(!isCacheWell);
  });
});
