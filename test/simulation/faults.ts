import type { Member } from './member.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import { CALM } from './simulated-network.ts';

const HOUR_MS = 3_600_000;

/** What goes wrong in a run, at random times, until `stop`. */
export class Faults {
  readonly #cluster: SimulatedCluster;
  readonly #random: SeededRandom;
  readonly #tell: (line: string) => void;
  #isOver = false;

  constructor(cluster: SimulatedCluster, random: SeededRandom, tell: (line: string) => void) {
    this.#cluster = cluster;
    this.#random = random;
    this.#tell = tell;
  }

  async run(): Promise<void> {
    while (!this.#isOver) {
      await this.#cluster.time.sleep(this.#random.between(200, 2_500));
      if (!this.#isOver) this.#one();
    }
  }

  #one(): void {
    const kinds = [
      () => this.#weather(),
      () => this.#weather(),
      () => this.#split(),
      () => this.#split(),
      () => this.#oneWay(),
      () => this.#heal(),
      () => this.#heal(),
      () => this.#crash(),
      () => this.#crash(),
      () => this.#reset(),
      () => this.#clock(),
      () => this.#disk(),
    ];
    this.#random.pick(kinds)();
  }

  #weather(): void {
    const { network } = this.#cluster;
    const isBad = this.#random.chance(0.7);
    network.weather = isBad
      ? {
          loss: this.#random.between(0, 0.3),
          duplication: this.#random.between(0, 0.2),
          reordering: this.#random.between(0, 0.3),
          jitterMs: this.#random.between(1, 40),
        }
      : CALM;
    this.#tell(`weather ${JSON.stringify(network.weather)}`);
  }

  #split(): void {
    const alone = this.#random.pick(this.#cluster.members);
    const others = this.#random.chance(0.5) ? this.#cluster.members : [this.#random.pick(this.#cluster.members)];
    this.#tell(`split ${alone.name} from ${others.map(({ name }) => name).join(' ')}`);
    for (const other of others) {
      if (other === alone) continue;
      this.#cluster.network.cut(alone.name, other.name);
      this.#cluster.network.cut(other.name, alone.name);
    }
  }

  #oneWay(): void {
    const from = this.#random.pick(this.#cluster.members);
    const to = this.#random.pick(this.#cluster.members);
    if (from === to) return;
    this.#tell(`one-way split ${from.name} > ${to.name}`);
    this.#cluster.network.cut(from.name, to.name);
  }

  #heal(): void {
    this.#tell('heal');
    this.#cluster.network.heal();
  }

  #crash(): void {
    const member = this.#random.pick(this.#cluster.members);
    if (!member.process) return;
    this.#tell(`crash ${member.name}`);
    this.#cluster.crash(member);
    this.#cluster.time.at(this.#random.between(100, 6_000), () => {
      if (member.process || this.#isOver) return;
      this.#tell(`restart ${member.name}`);
      void this.#cluster.start(member);
    });
  }

  #reset(): void {
    const left = this.#random.pick(this.#cluster.members);
    const right = this.#random.pick(this.#cluster.members);
    if (left !== right) this.#cluster.network.breakConnection(left.name, right.name);
  }

  #clock(): void {
    const member = this.#random.pick(this.#cluster.members);
    const offsetMs = this.#random.pick([0, 0, HOUR_MS, -HOUR_MS, 50, -50]);
    this.#tell(`clock of ${member.name} off by ${offsetMs} ms`);
    this.#cluster.jumpClock(member, offsetMs);
  }

  #disk(): void {
    const { disk, name } = this.#random.pick(this.#cluster.members);
    const kind = this.#random.below(3);
    this.#tell(`disk of ${name}: ${['slow', 'failing', 'full'][kind]}`);
    if (kind === 0) disk.slowness = this.#random.between(5, 100);
    if (kind === 1) disk.failureShare = this.#random.between(0.05, 0.5);
    if (kind === 2) disk.isFull = true;
    this.#cluster.time.at(this.#random.between(200, 3_000), () => mend({ disk }));
  }

  /** All faults end: links, disks, processes and clocks are well. */
  async stop(): Promise<void> {
    this.#isOver = true;
    this.#cluster.network.weather = CALM;
    this.#cluster.network.heal();
    for (const member of this.#cluster.members) {
      mend(member);
      this.#cluster.jumpClock(member, 0);
      if (!member.process) await this.#cluster.start(member);
    }
  }
}

function mend({ disk }: Pick<Member, 'disk'>): void {
  disk.slowness = 1;
  disk.failureShare = 0;
  disk.isFull = false;
}
