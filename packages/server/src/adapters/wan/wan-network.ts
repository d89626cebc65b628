import type { RegionName } from '@meridian/core/ids';

/** Round trips by pair of regions, `a|b` in either order, in milliseconds. */
export type RttTable = Readonly<Record<string, number>>;

export interface WanStatus {
  readonly region: RegionName;
  readonly regions: readonly RegionName[];
  readonly rtt: RttTable;
  /** Pairs that are cut both ways. */
  readonly split: readonly (readonly [RegionName, RegionName])[];
  /** Pairs that are cut from the first to the second only. */
  readonly oneWay: readonly (readonly [RegionName, RegionName])[];
  /** The share of messages that are held back as if lost and sent again, from 0 to 1. */
  readonly loss: number;
}

type Pair = readonly [RegionName, RegionName];

interface WanChange {
  readonly isHeal: boolean;
  readonly isOneWay: boolean;
  readonly split: readonly Pair[];
  readonly rtt: readonly (readonly [string, number])[];
  readonly loss: number | undefined;
}

const FIELDS = ['split', 'oneWay', 'heal', 'rtt', 'loss'];
/** A minute there and back: further than the Moon, and no timer is upset by it. */
const RTT_MS_MAX = 60_000;
/** Above it a link is as good as cut: say `split`. */
const LOSS_MAX = 0.9;

/** What lies between the regions, as one node sees it. */
export class WanNetwork {
  readonly region: RegionName;
  readonly #regions: readonly RegionName[];
  readonly #rttMs = new Map<string, number>();
  readonly #split = new Map<string, Pair>();
  readonly #oneWay = new Map<string, Pair>();
  #loss = 0;

  /** Of `rtt`, pairs with other regions than these are left out, so that one table may serve all clusters. */
  constructor(region: RegionName, regions: readonly RegionName[], rtt: RttTable) {
    this.region = region;
    this.#regions = regions;
    for (const [key, ms] of Object.entries(rtt)) {
      const pair = this.#pairIn(key);
      if (pair) this.#rttMs.set(bothWays(pair), ms);
    }
  }

  get loss(): number {
    return this.#loss;
  }

  rttMs(other: RegionName): number {
    return this.#rttMs.get(bothWays([this.region, other])) ?? 0;
  }

  isSplit(other: RegionName): boolean {
    return this.#split.has(bothWays([this.region, other]));
  }

  isCut(from: RegionName, to: RegionName): boolean {
    return this.#oneWay.has(oneWay([from, to]));
  }

  status(): WanStatus {
    return {
      region: this.region,
      regions: this.#regions,
      rtt: Object.fromEntries(this.#rttMs),
      split: [...this.#split.values()],
      oneWay: [...this.#oneWay.values()],
      loss: this.#loss,
    };
  }

  /** Makes all of the change, or none of it: then the text says what is wrong with it. Healing comes before splitting. */
  apply(change: unknown): string | undefined {
    const read = this.#read(change);
    if (typeof read === 'string') return read;
    if (read.isHeal) {
      this.#split.clear();
      this.#oneWay.clear();
    }
    for (const pair of read.split) {
      if (read.isOneWay) this.#oneWay.set(oneWay(pair), pair);
      else this.#split.set(bothWays(pair), pair);
    }
    for (const [key, ms] of read.rtt) this.#rttMs.set(key, ms);
    this.#loss = read.loss ?? this.#loss;
    return undefined;
  }

  #read(change: unknown): WanChange | string {
    if (!isObject(change)) return 'a change is an object';
    const unknown = Object.keys(change).find((field) => !FIELDS.includes(field));
    if (unknown !== undefined)
      return `${JSON.stringify(unknown)} is no field of a change; there are ${FIELDS.join(', ')}`;
    const { heal = false, oneWay: isOneWay = false, loss, split = [], rtt = {} } = change;
    if (typeof heal !== 'boolean') return 'heal is true or false';
    if (typeof isOneWay !== 'boolean') return 'oneWay is true or false';
    if (loss !== undefined && !isWithin(loss, LOSS_MAX)) return `loss is a share from 0 to ${LOSS_MAX}`;
    const pairs = this.#readSplit(split);
    if (typeof pairs === 'string') return pairs;
    const rttMs = this.#readRtt(rtt);
    if (typeof rttMs === 'string') return rttMs;
    return { isHeal: heal, isOneWay, split: pairs, rtt: rttMs, loss };
  }

  #readSplit(split: unknown): readonly Pair[] | string {
    const problem = 'split is a list of pairs of regions, such as [["us-east","eu-central"]]';
    if (!Array.isArray(split)) return problem;
    const pairs: Pair[] = [];
    for (const names of split as readonly unknown[]) {
      if (!Array.isArray(names) || names.length !== 2) return problem;
      const [from, to] = names as readonly unknown[];
      const unknown = this.#unknownOf(from, to);
      if (unknown) return unknown;
      if (from === to) return `a split lies between two regions, and ${JSON.stringify(from)} is one`;
      pairs.push([from as RegionName, to as RegionName]);
    }
    return pairs;
  }

  #readRtt(rtt: unknown): readonly (readonly [string, number])[] | string {
    if (!isObject(rtt)) return 'rtt is an object of milliseconds by pair, such as {"us-east|eu-central": 120}';
    const entries: (readonly [string, number])[] = [];
    for (const [key, ms] of Object.entries(rtt)) {
      const pair = this.#pairIn(key);
      if (!pair) {
        const [from, to, ...more] = key.split('|');
        if (to === undefined || more.length > 0) return `${JSON.stringify(key)} is no pair of regions: write a|b`;
        return this.#unknownOf(from, to) as string;
      }
      if (!isWithin(ms, RTT_MS_MAX))
        return `the round trip of ${JSON.stringify(key)} is a number from 0 to ${RTT_MS_MAX} ms`;
      entries.push([bothWays(pair), ms]);
    }
    return entries;
  }

  #pairIn(key: string): Pair | undefined {
    const names = key.split('|');
    return names.length === 2 && !this.#unknownOf(...names) ? (names as unknown as Pair) : undefined;
  }

  #unknownOf(...names: readonly unknown[]): string | undefined {
    const unknown = names.find((name) => !(this.#regions as readonly unknown[]).includes(name));
    return names.every((name) => (this.#regions as readonly unknown[]).includes(name))
      ? undefined
      : `${JSON.stringify(unknown)} is no region of this cluster; there are ${this.#regions.join(', ')}`;
  }
}

function bothWays(pair: Pair): string {
  return [...pair].sort().join('|');
}

function oneWay(pair: Pair): string {
  return pair.join('>');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isWithin(value: unknown, max: number): value is number {
  return typeof value === 'number' && value >= 0 && value <= max;
}
