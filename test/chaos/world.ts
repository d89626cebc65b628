import { rm } from 'node:fs/promises';
import { type Cluster, newCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { ask } from '../support/http.ts';
import type { MeridianProcess } from '../support/meridian-process.ts';
import { FalseClock } from './false-clock.ts';

const NAMES = ['us-east', 'eu-central', 'ap-northeast', 'sa-east', 'af-south'] as const;
export type RegionPair = readonly [string, string];
type Life = 'up' | 'paused' | 'down';

const TELL_MS_MAX = 1_000;
const HEAL_MS_MAX = 60_000;

/** Real regions on this machine, one node each, and what can be done to them. Kills only what it has started. */
export class World {
  readonly regions: readonly string[];
  /** Where clocks can be set off. */
  readonly hasFalseClocks: boolean;
  readonly #cluster: Cluster;
  readonly #clocks = new Map<string, FalseClock>();
  readonly #life = new Map<string, Life>();
  readonly #runs: { readonly region: string; readonly process: MeridianProcess }[] = [];
  readonly #say: (text: string) => void;
  /** How many faults were made. */
  faults = 0;
  /** Told of each disk that is about to be lost. */
  onDiskLost: (region: string) => void = () => undefined;
  #cut: readonly RegionPair[] = [];
  #cutOneWay: readonly RegionPair[] = [];

  private constructor(cluster: Cluster, regions: readonly string[], say: (text: string) => void) {
    this.#cluster = cluster;
    this.regions = regions;
    this.#say = say;
    for (const region of regions) {
      const clock = FalseClock.in(cluster.folder, region);
      if (clock) this.#clocks.set(region, clock);
    }
    this.hasFalseClocks = this.#clocks.size === regions.length;
  }

  /** Starts `count` regions, `rttMs` apart. `say` is told of each fault. */
  static async start(count: number, rttMs: number, say: (text: string) => void): Promise<World> {
    const regions = NAMES.slice(0, count);
    const cluster = await newCluster(Object.fromEntries(regions.map((name) => [name, [nodeOf(name)]])), rttMs);
    const world = new World(cluster, regions, say);
    try {
      await Promise.all(regions.map((region) => world.#start(region)));
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

  url(region: string): string {
    return this.#cluster.url(nodeOf(region));
  }

  /** SIGKILL. */
  async kill(region: string): Promise<void> {
    if (this.#life.get(region) === 'down') return;
    this.#fault(`kill ${region}`);
    this.#life.set(region, 'down');
    await this.#cluster.process(nodeOf(region)).kill();
  }

  /** On what it has left on disk. */
  async restart(region: string): Promise<void> {
    if (this.#life.get(region) !== 'down') return;
    this.#say(`start ${region}`);
    await this.#start(region);
  }

  /** Its disk is lost; it comes back under its old name with an empty one. */
  async wipe(region: string): Promise<void> {
    this.onDiskLost(region);
    await this.kill(region);
    this.#fault(`wipe ${region}`);
    await rm(this.#cluster.storeFolder(nodeOf(region)), { recursive: true, force: true });
  }

  /** SIGSTOP: it stands still in the middle of whatever it does. */
  pause(region: string): void {
    if (this.#life.get(region) !== 'up') return;
    this.#fault(`pause ${region}`);
    this.#life.set(region, 'paused');
    process.kill(this.#cluster.process(nodeOf(region)).pid, 'SIGSTOP');
  }

  /** SIGCONT: it goes on as if no time had passed. */
  async resume(region: string): Promise<void> {
    if (this.#life.get(region) !== 'paused') return;
    this.#say(`resume ${region}`);
    process.kill(this.#cluster.process(nodeOf(region)).pid, 'SIGCONT');
    this.#life.set(region, 'up');
    await this.#tell(region);
  }

  /** From now on these links are cut, both ways or from the first to the second only, and no others. */
  async cut(both: readonly RegionPair[], oneWay: readonly RegionPair[] = []): Promise<void> {
    this.#cut = both;
    this.#cutOneWay = oneWay;
    const pairs = [...both.map((pair) => pair.join(' ╳ ')), ...oneWay.map((pair) => pair.join(' ↛ '))];
    if (pairs.length > 0) this.#fault(pairs.join(', '));
    else this.#say('links restored');
    await Promise.all(this.regions.map((region) => this.#tell(region)));
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
    this.#clocks.get(region)?.set(offsetSeconds);
  }

  /** Ends all faults: everything runs, all links are there, all clocks are right. Resolves once all hear from all. */
  async heal(): Promise<void> {
    for (const clock of this.#clocks.values()) clock.set(0);
    await Promise.all(this.regions.map((region) => this.resume(region)));
    await Promise.all(this.regions.map((region) => this.restart(region)));
    await this.cut([]);
    await this.#isWell();
  }

  /** Whether a region answers quorums and promises: it is there, and knows all that it must. */
  async isFilled(region: string): Promise<boolean> {
    const { body } = await ask(`${this.url(region)}/health`, { timeoutMs: TELL_MS_MAX });
    return (body?.store as { isFilled?: boolean } | undefined)?.isFilled === true;
  }

  /** Resolves to nothing where all nodes still run that should, else to how one ended by itself. */
  unexpectedEnd(): string | undefined {
    const dead = this.regions.find(
      (region) => this.#life.get(region) !== 'down' && this.#cluster.process(nodeOf(region)).end,
    );
    return dead && `${dead} ended by itself: ${this.#cluster.process(nodeOf(dead)).tail()}`;
  }

  /** All that the processes of each region said, in their order. */
  logs(): ReadonlyMap<string, string> {
    const byRegion = Map.groupBy(this.#runs, ({ region }) => region);
    const textOf = ({ process }: { readonly process: MeridianProcess }) =>
      [...process.stdout, ...process.stderr].join('\n');
    return new Map([...byRegion].map(([region, runs]) => [region, `${runs.map(textOf).join('\n---\n')}\n`]));
  }

  /** Kills what still runs, and removes its data. */
  remove(): Promise<void> {
    return this.#cluster.remove();
  }

  #fault(text: string): void {
    this.faults++;
    this.#say(text);
  }

  async #start(region: string): Promise<void> {
    const node = nodeOf(region);
    const started = this.#cluster.start(node, {
      args: ['--wan-lab'],
      ...(this.hasFalseClocks ? { env: this.#clocks.get(region)?.env ?? {} } : {}),
    });
    this.#runs.push({ region, process: this.#cluster.process(node) });
    await started;
    this.#life.set(region, 'up');
    await this.#tell(region);
  }

  /**
   * Makes the links of one region what they should be: it forgets them when it dies, and hears of nothing while it is paused.
   * Its peers hold the split meanwhile, since a link is cut where one of its ends says so.
   */
  async #tell(region: string): Promise<void> {
    const changes = [
      { heal: true, split: this.#cut },
      ...(this.#cutOneWay.length > 0 ? [{ split: this.#cutOneWay, oneWay: true }] : []),
    ];
    for (const body of changes) {
      if (this.#life.get(region) !== 'up') return;
      try {
        const { status } = await ask(`${this.url(region)}/admin/wan`, { method: 'POST', body, timeoutMs: TELL_MS_MAX });
        if (status !== 200) throw new Error(`${region} does not take ${JSON.stringify(body)}: ${status}`);
      } catch (error) {
        if (this.#life.get(region) === 'up' && error instanceof Error && error.message.startsWith(region)) throw error;
        this.#say(`${region} did not hear of its links`);
      }
    }
  }

  async #isWell(): Promise<void> {
    const isWell = async (region: string) => {
      const { body } = await ask(`${this.url(region)}/health`, { timeoutMs: TELL_MS_MAX });
      const peers = (body?.peers ?? []) as readonly { reachable: boolean }[];
      const isFilled = (body?.store as { isFilled?: boolean } | undefined)?.isFilled === true;
      return isFilled && peers.length === this.regions.length - 1 && peers.every(({ reachable }) => reachable);
    };
    await eventually(async () => (await Promise.all(this.regions.map(isWell))).every(Boolean), {
      what: 'regions that are filled and hear from each other',
      withinMs: HEAL_MS_MAX,
      everyMs: 200,
    });
  }
}

function nodeOf(region: string): string {
  return `${region}-1`;
}
