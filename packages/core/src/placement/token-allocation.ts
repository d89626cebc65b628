import type { LayoutStore } from './layout.ts';
import { type Hash64, PARTITIONS } from './partition.ts';

/** A store's tokens differ from its capacity share by no more than this part of it, or by one token. */
export const BALANCE_TOLERANCE = 0.05;

/**
 * Which store's token stands at each partition, as an index into `stores`. A function of the set of stores and their
 * capacities, given in an order that is one for the set. See docs/decisions/0002-ring-tokens.md.
 *
 * Each partition first takes the store of the highest affinity (rendezvous hashing), which moves nothing needlessly
 * when stores come and go but leaves shares 5 to 10% off. The shares are then brought within `BALANCE_TOLERANCE` by the
 * least loss of affinity: a minimum-cost flow, by successive shortest paths. The least correction is also the one that
 * is most nearly the same with a store more or less.
 */
export function allocateTokens(stores: readonly LayoutStore[], hash: Hash64): Uint16Array {
  const allocation = new Allocation(drawAffinities(stores, hash));
  const { least, most } = tokenBounds(stores);
  const held = allocation.held;
  allocation.shift(
    (store) => held[store]! > most[store]!,
    (store) => held[store]! < most[store]!,
  );
  allocation.shift(
    (store) => held[store]! > least[store]!,
    (store) => held[store]! < least[store]!,
  );
  return allocation.owner;
}

/** The fewest and the most tokens each store may hold. One token either way is always allowed, so that whole numbers fit. */
function tokenBounds(stores: readonly LayoutStore[]): { least: number[]; most: number[] } {
  const total = totalCapacity(stores);
  const shares = stores.map((store) => (PARTITIONS * store.capacity) / total);
  const slack = shares.map((share) => Math.max(1, share * BALANCE_TOLERANCE));
  return {
    least: shares.map((share, at) => Math.ceil(share - slack[at]!)),
    most: shares.map((share, at) => Math.floor(share + slack[at]!)),
  };
}

function totalCapacity(stores: readonly LayoutStore[]): number {
  return stores.reduce((sum, store) => sum + store.capacity, 0);
}

/** Affinities are whole numbers, so that sums of them are exact and the same everywhere. */
const AFFINITY_UNIT = 2 ** 30;

/**
 * Rendezvous hashing by exponential waiting times: a partition goes to the store with the least `wait / capacity`, so
 * to each with a chance in proportion to its capacity. A store's waits are the 1,024 expected order statistics of an
 * exponential distribution (Rényi: sums of 1 / (n - i)) in an order drawn from its name. Evenly spread waits halve the
 * variance of shares, and they need no logarithm, whose last bit may differ between engines.
 */
function drawAffinities(stores: readonly LayoutStore[], hash: Hash64): Float64Array[] {
  const waits = new Float64Array(PARTITIONS);
  for (let at = 0, wait = 0; at < PARTITIONS; at++) waits[at] = wait += 1 / (PARTITIONS - at);
  const total = totalCapacity(stores);
  return stores.map((store) => {
    const share = store.capacity / total;
    const order = drawOrder(hash(`ring\0${store.name}`));
    return Float64Array.from(order, (place) => Math.round(AFFINITY_UNIT * Math.sqrt(share / waits[place]!)));
  });
}

/** A permutation of 0 to 1,023: Fisher-Yates, drawing from the generator sfc32 (Doty-Humphrey, PractRand). */
function drawOrder(seed: bigint): Uint16Array {
  let a = Number(seed & 0xffffffffn) | 0;
  let b = Number(seed >> 32n) | 0;
  let c = 0;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let warmUp = 0; warmUp < 12; warmUp++) next();
  const order = Uint16Array.from({ length: PARTITIONS }, (_, at) => at);
  for (let last = PARTITIONS - 1; last > 0; last--) {
    const other = Math.floor((next() * (last + 1)) / 2 ** 32);
    const swapped = order[last]!;
    order[last] = order[other]!;
    order[other] = swapped;
  }
  return order;
}

/** Who holds which token, and the cheapest token to move from any store to any other. */
class Allocation {
  readonly owner = new Uint16Array(PARTITIONS);
  readonly held: Int32Array;
  readonly #affinity: readonly Float64Array[];
  readonly #stores: number;
  /** At `from * stores + to`: the least affinity lost by moving one token that way, and which token that is. */
  readonly #cost: Float64Array;
  readonly #token: Uint16Array;

  constructor(affinity: readonly Float64Array[]) {
    this.#affinity = affinity;
    this.#stores = affinity.length;
    this.held = new Int32Array(this.#stores);
    this.#cost = new Float64Array(this.#stores ** 2);
    this.#token = new Uint16Array(this.#stores ** 2);
    for (let token = 0; token < PARTITIONS; token++) this.#giveToNearest(token);
    for (let store = 0; store < this.#stores; store++) this.#priceTokensOf(store);
  }

  /** Moves tokens from stores of `isSource` to stores of `isSink`, each by the cheapest way there is, until one side is empty. */
  shift(isSource: (store: number) => boolean, isSink: (store: number) => boolean): void {
    for (;;) {
      const path = this.#cheapestPath(isSource, isSink);
      if (path.length === 0) return;
      for (let step = 1; step < path.length; step++) this.#move(path[step - 1]!, path[step]!);
      for (const store of path) this.#priceTokensOf(store);
    }
  }

  #giveToNearest(token: number): void {
    let nearest = 0;
    for (let store = 1; store < this.#stores; store++) {
      if (this.#affinity[store]![token]! > this.#affinity[nearest]![token]!) nearest = store;
    }
    this.owner[token] = nearest;
    this.held[nearest]! += 1;
  }

  #move(from: number, to: number): void {
    this.owner[this.#token[from * this.#stores + to]!] = to;
    this.held[from]! -= 1;
    this.held[to]! += 1;
  }

  #priceTokensOf(from: number): void {
    const row = from * this.#stores;
    this.#cost.fill(Infinity, row, row + this.#stores);
    for (let token = 0; token < PARTITIONS; token++) {
      if (this.owner[token] !== from) continue;
      const kept = this.#affinity[from]![token]!;
      for (let to = 0; to < this.#stores; to++) {
        const loss = kept - this.#affinity[to]![token]!;
        if (to === from || loss >= this.#cost[row + to]!) continue;
        this.#cost[row + to] = loss;
        this.#token[row + to] = token;
      }
    }
  }

  /** The stores from a source to a sink, over others where that costs less than going straight. */
  #cheapestPath(isSource: (store: number) => boolean, isSink: (store: number) => boolean): number[] {
    const { cost, via } = this.#cheapestWays(isSource);
    let end = -1;
    for (let store = 0; store < this.#stores; store++) {
      if (isSink(store) && cost[store]! < (end < 0 ? Infinity : cost[end]!)) end = store;
    }
    const path: number[] = [];
    for (let store = end; store >= 0; store = via[store]!) path.unshift(store);
    return path;
  }

  /** Bellman-Ford: a token that was moved before may be moved on at a gain, so costs may be negative; no cycle's sum is. */
  #cheapestWays(isSource: (store: number) => boolean): { cost: Float64Array; via: Int32Array } {
    const cost = new Float64Array(this.#stores).fill(Infinity);
    const via = new Int32Array(this.#stores).fill(-1);
    for (let store = 0; store < this.#stores; store++) if (isSource(store)) cost[store] = 0;
    for (let isShorter = true; isShorter; ) {
      isShorter = false;
      for (let from = 0; from < this.#stores; from++) {
        for (let to = 0; to < this.#stores; to++) {
          const reached = cost[from]! + this.#cost[from * this.#stores + to]!;
          if (reached >= cost[to]!) continue;
          cost[to] = reached;
          via[to] = from;
          isShorter = true;
        }
      }
    }
    return { cost, via };
  }
}
