import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, newCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { ask } from '../support/http.ts';
import type { MeridianProcess } from '../support/meridian-process.ts';
import type { CommitFault } from '../support/postgres-proxy.ts';
import { FalseClock } from './false-clock.ts';
import { RegionDatabase } from './region-database.ts';
import { type RegionShape, regionsOf, type ShapeName } from './shapes.ts';

export type RegionPair = readonly [string, string];
type Life = 'up' | 'paused' | 'down';

export interface WorldOptions {
  readonly shape: ShapeName;
  readonly regions: number;
  readonly rttMs: number;
  /** Told of each fault. */
  readonly say: (text: string) => void;
}

const TELL_MS_MAX = 1_000;
const HEAL_MS_MAX = 60_000;
/** Far above what a transaction waits for its node in the middle of itself. */
const STALLED_MS = 100;
const PAUSE_TRIES_MAX = 100;

/**
 * Real regions on this machine, and what can be done to them. Kills only what it has started. Where a fault takes a `place`,
 * that is a node, or a region for all of its nodes.
 */
export class World {
  readonly regions: readonly string[];
  /** Of all regions. */
  readonly nodes: readonly string[];
  /** Nodes that share a store with others. */
  readonly sharedNodes: readonly string[];
  /** Regions on PostgreSQL. */
  readonly databaseRegions: readonly string[];
  /** Where clocks can be set off. */
  readonly hasFalseClocks: boolean;
  readonly #cluster: Cluster;
  readonly #databases: ReadonlyMap<string, RegionDatabase>;
  readonly #nodesOf: ReadonlyMap<string, readonly string[]>;
  readonly #clocks = new Map<string, FalseClock>();
  readonly #life = new Map<string, Life>();
  readonly #runs: { readonly node: string; readonly process: MeridianProcess }[] = [];
  readonly #ends: string[] = [];
  readonly #say: (text: string) => void;
  /** How many faults were made. */
  faults = 0;
  /** Told of each node whose disk is about to be lost. */
  onDiskLost: (node: string) => void = () => undefined;
  #cut: readonly RegionPair[] = [];
  #cutOneWay: readonly RegionPair[] = [];

  private constructor(
    cluster: Cluster,
    shapes: readonly RegionShape[],
    databases: ReadonlyMap<string, RegionDatabase>,
    say: (text: string) => void,
  ) {
    this.#cluster = cluster;
    this.#databases = databases;
    this.#say = say;
    this.#nodesOf = new Map(shapes.map(({ region, nodes }) => [region, nodes]));
    this.regions = [...this.#nodesOf.keys()];
    this.nodes = shapes.flatMap(({ nodes }) => nodes);
    this.sharedNodes = shapes.flatMap(({ nodes }) => (nodes.length > 1 ? nodes : []));
    this.databaseRegions = [...databases.keys()];
    for (const node of this.nodes) {
      const clock = FalseClock.in(cluster.folder, node);
      if (clock) this.#clocks.set(node, clock);
    }
    this.hasFalseClocks = this.#clocks.size === this.nodes.length;
  }

  /** Starts all regions, and resolves once all hear from all. */
  static async start({ shape, regions, rttMs, say }: WorldOptions): Promise<World> {
    const shapes = regionsOf(shape, regions);
    const onPostgres = shapes.filter(({ engine }) => engine === 'postgres');
    const databases = new Map(
      await Promise.all(onPostgres.map(async (one) => [one.region, await RegionDatabase.start(one)] as const)),
    );
    const nodesOf = (one: RegionShape) => databases.get(one.region)?.storesOf(one) ?? one.nodes;
    const cluster = await newCluster(Object.fromEntries(shapes.map((one) => [one.region, nodesOf(one)])), rttMs);
    const world = new World(cluster, shapes, databases, say);
    try {
      await Promise.all(world.nodes.map((node) => world.#start(node)));
      await world.#isWell();
    } catch (error) {
      await world.remove();
      throw error;
    }
    return world;
  }

  get majority(): number {
    return Math.floor(this.regions.length / 2) + 1;
  }

  url(node: string): string {
    return this.#cluster.url(node);
  }

  /** SIGKILL. */
  async kill(place: string): Promise<void> {
    const alive = this.#at(place).filter((node) => this.#life.get(node) !== 'down');
    if (alive.length === 0) return;
    this.#fault(`kill ${place}`);
    for (const node of alive) this.#life.set(node, 'down');
    await Promise.all(alive.map((node) => this.#cluster.process(node).kill()));
  }

  /** On what it has left on disk. */
  async restart(place: string): Promise<void> {
    const dead = this.#at(place).filter((node) => this.#life.get(node) === 'down');
    if (dead.length === 0) return;
    this.#say(`start ${place}`);
    await Promise.all(dead.map((node) => this.#start(node)));
  }

  /** Its disk is lost; it comes back under its old name with an empty one. */
  async wipe(region: string): Promise<void> {
    for (const node of this.#at(region)) this.onDiskLost(node);
    await this.kill(region);
    this.#fault(`wipe ${region}`);
    await this.#databases.get(region)?.wipe();
    for (const node of this.#at(region)) await rm(this.#cluster.storeFolder(node), { recursive: true, force: true });
  }

  /** SIGSTOP: it stands still in the middle of whatever it does. */
  pause(place: string): void {
    const up = this.#at(place).filter((node) => this.#life.get(node) === 'up');
    if (up.length === 0) return;
    this.#fault(`pause ${place}`);
    for (const node of up) {
      this.#life.set(node, 'paused');
      process.kill(this.#cluster.process(node).pid, 'SIGSTOP');
    }
  }

  /**
   * SIGSTOP of a node on PostgreSQL in the middle of a transaction, so that the store is locked. Needs a load.
   * @throws Error where it does not come about
   */
  async pauseInTransaction(node: string): Promise<void> {
    const database = this.#databases.get(this.regionOf(node));
    for (let tries = 0; tries < PAUSE_TRIES_MAX; tries++) {
      this.pause(node);
      await sleep(STALLED_MS);
      if (await database?.hasStalled(STALLED_MS / 2)) return;
      await this.resume(node);
      await sleep(tries);
    }
    throw new Error(`${node} was never seen in the middle of a transaction`);
  }

  regionOf(node: string): string {
    return this.#cluster.place(node).region;
  }

  /** SIGCONT: it goes on as if no time had passed. */
  async resume(place: string): Promise<void> {
    const paused = this.#at(place).filter((node) => this.#life.get(node) === 'paused');
    if (paused.length === 0) return;
    this.#say(`resume ${place}`);
    for (const node of paused) {
      process.kill(this.#cluster.process(node).pid, 'SIGCONT');
      this.#life.set(node, 'up');
    }
    await Promise.all(paused.map((node) => this.#tell(node)));
  }

  /** From now on these links are cut, both ways or from the first to the second only, and no others. */
  async cut(both: readonly RegionPair[], oneWay: readonly RegionPair[] = []): Promise<void> {
    this.#cut = both;
    this.#cutOneWay = oneWay;
    const pairs = [...both.map((pair) => pair.join(' ╳ ')), ...oneWay.map((pair) => pair.join(' ↛ '))];
    if (pairs.length > 0) this.#fault(pairs.join(', '));
    else this.#say('links restored');
    await Promise.all(this.nodes.map((node) => this.#tell(node)));
  }

  /** Cuts all links between the groups. */
  split(...groups: readonly (readonly string[])[]): Promise<void> {
    const pairs = groups.flatMap((group, at) =>
      groups.slice(at + 1).flatMap((other) => group.flatMap((one) => other.map((two): RegionPair => [one, two]))),
    );
    return this.cut(pairs);
  }

  setClock(region: string, offsetSeconds: number): void {
    this.#fault(`clock of ${region} ${offsetSeconds < 0 ? '' : '+'}${offsetSeconds} s`);
    for (const node of this.#at(region)) this.#clocks.get(node)?.set(offsetSeconds);
  }

  /** Of a region's PostgreSQL: SIGKILL, or the orderly end that an upgrade gives it. */
  async endDatabase(region: string, isOrderly: boolean): Promise<void> {
    this.#fault(`${isOrderly ? 'stop' : 'kill'} the database of ${region}`);
    await this.#databases.get(region)?.end(isOrderly);
  }

  /** It runs again, and takes connections. */
  async healDatabase(region: string): Promise<void> {
    this.#say(`the database of ${region} is healed`);
    await this.#databases.get(region)?.heal();
  }

  /** All of a region's connections to its database break; where `isRefusing`, no new one is taken. */
  cutDatabase(region: string, isRefusing: boolean): void {
    this.#fault(`${isRefusing ? 'refuse' : 'cut'} the database of ${region}`);
    const database = this.#databases.get(region);
    if (isRefusing) database?.refuse();
    else database?.cut();
  }

  /** Of the nodes that share a store: SIGSTOP, or SIGKILL with all that it held. */
  async endCache(region: string, isPause: boolean): Promise<void> {
    this.#fault(`${isPause ? 'pause' : 'kill'} the cache of ${region}`);
    const database = this.#databases.get(region);
    if (isPause) database?.pauseCache();
    else await database?.killCache();
  }

  async healCache(region: string): Promise<void> {
    this.#say(`the cache of ${region} is healed`);
    await this.#databases.get(region)?.healCache();
  }

  breakNextCommit(region: string, fault: CommitFault): void {
    this.#fault(`next commit in ${region}: ${typeof fault === 'string' ? fault : fault.sqlState}`);
    this.#databases.get(region)?.breakNextCommit(fault);
  }

  /** How many commits are to break in a region, and have not come yet. */
  commitFaultsPending(region: string): number {
    return this.#databases.get(region)?.faultsPending ?? 0;
  }

  /** Ends all faults: everything runs, all links are there, all clocks are right. Resolves once all hear from all. */
  async heal(): Promise<void> {
    for (const clock of this.#clocks.values()) clock.set(0);
    await Promise.all([...this.#databases.values()].map((database) => database.heal()));
    this.#noteEnds();
    await Promise.all(this.nodes.map((node) => this.resume(node)));
    await Promise.all(this.nodes.map((node) => this.restart(node)));
    await this.cut([]);
    await this.#isWell();
  }

  /** Whether a region answers quorums and promises: it is there, and knows all that it must. */
  async isFilled(region: string): Promise<boolean> {
    const { body } = await ask(`${this.url(this.#at(region)[0] as string)}/health`, { timeoutMs: TELL_MS_MAX });
    return (body?.store as { isFilled?: boolean } | undefined)?.isFilled === true;
  }

  /** How nodes ended by themselves; empty where all run that should. */
  unexpectedEnds(): readonly string[] {
    this.#noteEnds();
    return this.#ends;
  }

  /** They count as killed from now on, so that `heal` starts them again. */
  #noteEnds(): void {
    for (const node of this.nodes) {
      const process = this.#cluster.process(node);
      if (this.#life.get(node) === 'down' || !process.end) continue;
      this.#life.set(node, 'down');
      this.#ends.push(`${node} ended by itself (${JSON.stringify(process.end)}):\n${process.tail()}`);
    }
  }

  /** All that the processes of each node said, in their order. */
  logs(): ReadonlyMap<string, string> {
    const byNode = Map.groupBy(this.#runs, ({ node }) => node);
    const textOf = ({ process }: { readonly process: MeridianProcess }) =>
      [...process.stdout, ...process.stderr].join('\n');
    return new Map([...byNode].map(([node, runs]) => [node, `${runs.map(textOf).join('\n---\n')}\n`]));
  }

  /** Kills what still runs, and removes its data. */
  async remove(): Promise<void> {
    await this.#cluster.remove();
    await Promise.all([...this.#databases.values()].map((database) => database.remove()));
  }

  #at(place: string): readonly string[] {
    return this.#nodesOf.get(place) ?? [place];
  }

  #fault(text: string): void {
    this.faults++;
    this.#say(text);
  }

  async #start(node: string): Promise<void> {
    const started = this.#cluster.start(node, {
      args: ['--wan-lab'],
      ...(this.hasFalseClocks ? { env: this.#clocks.get(node)?.env ?? {} } : {}),
    });
    this.#runs.push({ node, process: this.#cluster.process(node) });
    await started;
    this.#life.set(node, 'up');
    await this.#tell(node);
  }

  /**
   * Makes the links of one node what they should be: it forgets them when it dies, and hears of nothing while it is paused.
   * Its peers hold the split meanwhile, since a link is cut where one of its ends says so.
   */
  async #tell(node: string): Promise<void> {
    const changes = [
      { heal: true, split: this.#cut },
      ...(this.#cutOneWay.length > 0 ? [{ split: this.#cutOneWay, oneWay: true }] : []),
    ];
    for (const body of changes) {
      if (this.#life.get(node) !== 'up') return;
      try {
        const { status } = await ask(`${this.url(node)}/admin/wan`, { method: 'POST', body, timeoutMs: TELL_MS_MAX });
        if (status !== 200) throw new Error(`${node} does not take ${JSON.stringify(body)}: ${status}`);
      } catch (error) {
        if (this.#life.get(node) === 'up' && error instanceof Error && error.message.startsWith(node)) throw error;
        this.#say(`${node} did not hear of its links`);
      }
    }
  }

  async #isWell(): Promise<void> {
    const isWell = async (node: string) => {
      const { body } = await ask(`${this.url(node)}/health`, { timeoutMs: TELL_MS_MAX });
      const peers = (body?.peers ?? []) as readonly { reachable: boolean }[];
      const isFilled = (body?.store as { isFilled?: boolean } | undefined)?.isFilled === true;
      return isFilled && peers.length === this.nodes.length - 1 && peers.every(({ reachable }) => reachable);
    };
    await eventually(async () => (await Promise.all(this.nodes.map(isWell))).every(Boolean), {
      what: 'nodes that are filled and hear from each other',
      withinMs: HEAL_MS_MAX,
      everyMs: 200,
    });
  }
}
