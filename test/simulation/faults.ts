import { MERGE, REQUEST } from '@meridian/core/wire/messages';
import { isNews, isPrepare } from '@meridian/server/node/register-messages.testing';
import { isWhole, type Member } from './member.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import { SimulatedServer } from './simulated-database.ts';
import { CALM } from './simulated-network.ts';
import { SimulatedDisk } from './simulated-store.ts';

const HOUR_MS = 3_600_000;

/** What goes wrong more often than else: lost disks, or writes that come to a minority of their replicas only. */
export type Leaning = 'disks' | 'minorities' | undefined;

/** What goes wrong in a run, at random times, until `stop`. */
export class Faults {
  readonly #cluster: SimulatedCluster;
  readonly #random: SeededRandom;
  readonly #tell: (line: string) => void;
  readonly #leaning: Leaning;
  readonly #onWipe: (member: Member) => void;
  #isOver = false;
  #isStaged = false;

  /** `onWipe` is told before the disk is gone. */
  constructor(
    cluster: SimulatedCluster,
    random: SeededRandom,
    tell: (line: string) => void,
    onWipe: (member: Member) => void,
    leaning: Leaning,
  ) {
    this.#leaning = leaning;
    this.#onWipe = onWipe;
    this.#cluster = cluster;
    this.#random = random;
    this.#tell = tell;
  }

  async run(): Promise<void> {
    if (this.#random.chance(0.6)) this.#weather();
    while (!this.#isOver) {
      await this.#cluster.time.sleep(this.#random.between(100, 1_600));
      if (!this.#isOver) this.#one();
    }
  }

  #one(): void {
    if (this.#isStaged) return;
    if (this.#leaning === 'disks' && this.#random.chance(0.5)) {
      if (this.#random.chance(0.5)) this.#wipe();
      else this.#stage(this.#wipeOfOneUnheard());
      return;
    }
    if (this.#leaning === 'minorities' && this.#random.chance(0.3)) {
      this.#stage(this.#writesUnheard());
      return;
    }
    const kinds = [
      () => this.#weather(),
      () => this.#weather(),
      () => this.#split(),
      () => this.#halves(),
      () => this.#oneWay(),
      () => this.#ring(),
      () => this.#heal(),
      () => this.#heal(),
      () => this.#crash(),
      () => this.#crash(),
      () => this.#powerLoss(),
      () => this.#pause(),
      () => this.#wipe(),
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
      if (other !== alone) this.#cutBoth(alone, other);
    }
  }

  #halves(): void {
    const left = this.#cluster.members.filter(() => this.#random.chance(0.5));
    const right = this.#cluster.members.filter((member) => !left.includes(member));
    this.#tell(`halves: ${namesOf(left)} | ${namesOf(right)}`);
    for (const one of left) for (const other of right) this.#cutBoth(one, other);
  }

  /** Each sees its neighbours only: majorities that overlap, and no two alike. */
  #ring(): void {
    const { members } = this.#cluster;
    this.#tell('ring split');
    for (const [at, one] of members.entries()) {
      for (const [otherAt, other] of members.entries()) {
        const steps = Math.abs(at - otherAt);
        // Of three all are neighbours: the first and the last are cut, and the middle one sees both.
        const isNeighbour = steps <= 1 || (members.length > 3 && steps === members.length - 1);
        if (!isNeighbour && at < otherAt) this.#cutBoth(one, other);
      }
    }
  }

  #cutBoth(one: Member, other: Member): void {
    this.#cluster.network.cut(one.name, other.name);
    this.#cluster.network.cut(other.name, one.name);
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
    // Often so soon that what it had asked is answered in its next life.
    this.#restartWithin(member, this.#random.chance(0.3) ? 60 : 6_000);
  }

  #restartWithin(member: Member, limitMs: number): void {
    this.#cluster.time.at(this.#random.between(10, limitMs), () => {
      if (member.process || this.#isOver) return;
      this.#tell(`restart ${member.name}`);
      void this.#cluster.start(member);
    });
  }

  /** All at once. */
  #powerLoss(): void {
    if (this.#random.chance(0.5)) return;
    this.#tell('all lose power');
    for (const member of this.#cluster.alive) {
      this.#cluster.crash(member);
      this.#restartWithin(member, 1_500);
    }
  }

  /** Past every timeout. */
  #pause(): void {
    const member = this.#random.pick(this.#cluster.members);
    const { process } = member;
    if (!process || process.clock.isPaused) return;
    this.#tell(`pause ${member.name}`);
    this.#cluster.pause(member);
    this.#cluster.time.at(this.#random.between(500, 9_000), () => {
      if (member.process !== process) return;
      this.#tell(`resume ${member.name}`);
      this.#cluster.resume(member);
    });
  }

  /** One disk at a time: what a majority has is on another as long as no second one is lost before the first is filled again. */
  #wipe(): void {
    const member = this.#random.pick(this.#cluster.members.filter(({ disk }) => disk instanceof SimulatedDisk));
    if (!this.#cluster.members.every(isWhole)) return;
    this.#lose(member);
    // Sometimes the new one hears of others first, and of one only later.
    const other = this.#random.pick(this.#cluster.members);
    if (other !== member && this.#random.chance(0.4)) {
      this.#tell(`split ${member.name} from ${other.name}`);
      this.#cutBoth(member, other);
    }
    this.#restartWithin(member, this.#leaning === 'disks' ? 300 : 3_000);
    const others = this.#cluster.members.filter((candidate) => candidate !== member);
    void this.#cutOffOnceFilled(member, others).catch(() => undefined);
  }

  #lose(member: Member): void {
    this.#tell(`wipe ${member.name}`);
    this.#onWipe(member);
    this.#cluster.replaceDisk(member);
  }

  /** Nothing else goes wrong before it has come to its end. */
  #stage(play: Promise<void>): void {
    this.#isStaged = true;
    const end = () => {
      this.#isStaged = false;
    };
    play.then(end, end);
  }

  /** For a while what one node writes comes to no other: who reads it there has seen what a majority may not have. */
  async #writesUnheard(): Promise<void> {
    const { network, members, time } = this.#cluster;
    const writing = this.#random.pick(members);
    this.#tell(`what ${writing.name} writes comes to no other`);
    network.isLost = (from, _to, message) =>
      from === writing.name && (isNews(message) || (message[0] === REQUEST && message[4][0] === MERGE));
    await time.sleep(this.#random.between(200, 2_000));
    network.isLost = () => false;
  }

  /**
   * For a while one node's promises to itself reach nobody, and nobody hears from another what was chosen. Then the disk of
   * that other is lost, and the new one hears of the promises before it hears of what was accepted below them; and from the
   * one alone that accepted it.
   */
  async #wipeOfOneUnheard(): Promise<void> {
    const { network, members, time } = this.#cluster;
    const lost = this.#random.pick(members.filter(({ disk }) => disk instanceof SimulatedDisk));
    const promising = this.#random.pick(members.filter((member) => member !== lost));
    const others = members.filter((member) => member !== lost && member !== promising);
    if (!members.every(isWhole)) return;
    this.#tell(`${promising.name} asks for promises unheard, and ${lost.name} says unheard what is chosen`);
    network.isLost = (from, to, message) =>
      (from === promising.name && isPrepare(message)) ||
      (from === lost.name && (isNews(message) || (to === promising.name && message[0] === REQUEST)));
    await time.sleep(this.#random.between(200, 1_200));
    network.isLost = () => false;
    if (this.#isOver || !members.every(isWhole)) return;
    for (const other of others) for (const one of [lost, promising]) this.#cutBoth(one, other);
    this.#lose(lost);
    this.#restartWithin(lost, 100);
    await time.sleep(this.#random.between(500, 1_500));
    if (this.#isOver) return;
    for (const other of others) network.mend(lost.name, other.name);
    await this.#cutOffOnceFilled(lost, others);
  }

  /** What a store has that is filled anew shows once those who had told it cannot be asked. */
  async #cutOffOnceFilled(filled: Member, candidates: readonly Member[]): Promise<void> {
    const { time, members } = this.#cluster;
    for (let tries = 0; !filled.process?.node.figures().isFilled; tries++) {
      if (tries > 400 || this.#isOver) return;
      await time.sleep(25);
    }
    if (this.#isOver || this.#random.chance(0.3)) return;
    const alone = this.#random.pick(candidates);
    this.#tell(`split ${alone.name} from all, once ${filled.name} is filled`);
    for (const other of members) if (other !== alone) this.#cutBoth(alone, other);
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
    const member = this.#random.pick(this.#cluster.members);
    const { disk, name } = member;
    if (disk instanceof SimulatedServer) {
      this.#database(member, disk);
      return;
    }
    const kind = this.#random.below(3);
    this.#tell(`disk of ${name}: ${['slow', 'failing', 'full'][kind]}`);
    if (kind === 0) disk.slowness = this.#random.between(5, 100);
    if (kind === 1) disk.failureShare = this.#random.between(0.05, 0.5);
    if (kind === 1) disk.doubtShare = this.#random.pick([0, 0.5]);
    if (kind === 2) disk.isFull = true;
    this.#cluster.time.at(this.#random.between(200, 3_000), () => mend({ disk }));
  }

  #database(member: Member, server: SimulatedServer): void {
    const kind = this.#random.below(4);
    this.#tell(`database of ${member.name}: ${['slow', 'breaking connections', 'down', 'fails over'][kind]}`);
    if (kind === 3) {
      // As with lost disks: one at a time.
      if (!this.#cluster.members.every(isWhole)) return;
      this.#onWipe(member);
      server.failOver();
      return;
    }
    if (kind === 0) server.slowness = this.#random.between(5, 100);
    if (kind === 1) server.breakShare = this.#random.between(0.05, 0.5);
    if (kind === 2) server.stop();
    this.#cluster.time.at(this.#random.between(200, 4_000), () => mend({ disk: server }));
  }

  /** All faults end: links, disks, processes and clocks are well. */
  async stop(): Promise<void> {
    this.#isOver = true;
    this.#cluster.network.weather = CALM;
    this.#cluster.network.isLost = () => false;
    this.#cluster.network.heal();
    for (const member of this.#cluster.members) {
      mend(member);
      this.#cluster.resume(member);
      this.#cluster.jumpClock(member, 0);
      if (!member.process) await this.#cluster.start(member);
    }
  }
}

function mend({ disk }: Pick<Member, 'disk'>): void {
  disk.slowness = 1;
  if (disk instanceof SimulatedServer) {
    disk.breakShare = 0;
    disk.isDown = false;
    return;
  }
  disk.failureShare = 0;
  disk.doubtShare = 0;
  disk.isFull = false;
}

function namesOf(members: readonly Member[]): string {
  return members.map(({ name }) => name).join(' ');
}
