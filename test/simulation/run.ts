import type { NodeName, RecordKey, RegionName, StoreName } from '@meridian/core/ids';
import type { Layout, LayoutRegion } from '@meridian/core/placement/layout';
import { CHANGES, type Message } from '@meridian/core/wire/messages';
import { NO_BUGS } from '@meridian/server/node/planted-bugs';
import { Clients } from './clients.ts';
import { Faults, type Leaning } from './faults.ts';
import { InvariantBroken } from './invariant-broken.ts';
import type { Member } from './member.ts';
import { Oracle } from './oracle.ts';
import { SeededRandom } from './seeded-random.ts';
import { type Bugs, SimulatedCluster } from './simulated-cluster.ts';
import { ALL_NAMESPACES, NAMESPACES, namespaceOf } from './targets.ts';
import { Trace } from './trace.ts';
import { EPOCH_MS, VirtualTime } from './virtual-time.ts';

const NO_FAULTS_PLANTED: Bugs = { node: NO_BUGS, store: {} };
const SETUP_MS = 10_000;
/** How long after the last fault everything must be well again (invariant 11): a suspicion, a reconnection, and a stalled stream's second question. */
const RECOVERY_MS = 20_000;
/** Clients that want one register, in every second seed. */
const CONTENDERS = 10;
/** Within so long after it the replicas hold the same: the comparisons of a store that was replaced among it, and one more try of each. */
const COMPARED_MS = 45_000;
const QUIET_MS = 1_500;
const SAMPLE_MS = 250;
/** Bounds on what waits in a node (invariant 10), for the small windows of the simulation. */
const IN_FLIGHT_BYTES_MAX = 3_000 + 18_000;
const INBOX_BYTES_MAX = 2 * 3_000 + 12_000;

export interface RunResult {
  readonly seed: number;
  readonly hash: string;
  readonly events: number;
  readonly messages: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly virtualMs: number;
  readonly failure:
    | { readonly invariant: number; readonly message: string; readonly story: readonly string[] }
    | undefined;
}

/** `isShared`: all nodes stand on one store. */
function region(name: string, nodes: number, isShared = false): LayoutRegion {
  const regionName = name as RegionName;
  const names = Array.from({ length: nodes }, (_none, at) => `${name}-${at + 1}`);
  const stores = isShared ? names.slice(0, 1) : names;
  return {
    name: regionName,
    latitude: 0,
    longitude: 0,
    stores: stores.map((store) => ({ name: store as StoreName, region: regionName, capacity: 1 })),
    nodes: names.map((node) => ({
      name: node as NodeName,
      region: regionName,
      store: (isShared ? names[0] : node) as StoreName,
      http: '-',
      peer: '-',
    })),
  };
}

/**
 * Every third seed has two nodes in its first region, so that a key's node is not always the one that was asked; every fourth
 * has two or three nodes on one store in its second; every fifth has five regions.
 */
function layoutFor(seed: number): Layout {
  const more = seed % 5 === 0 ? [region('sa-east', 1), region('af-south', 1)] : [];
  return {
    version: 1,
    cluster: 'simulated',
    regions: [
      region('us-east', seed % 3 === 0 ? 2 : 1),
      seed % 4 === 2 ? region('eu-central', seed % 8 === 2 ? 2 : 3, true) : region('eu-central', 1),
      region('ap-northeast', 1),
      ...more,
    ],
  };
}

/** Every seventh loses disks most of all; those whose clients want one key at level strong lose what is written to a minority. */
function leaningOf(seed: number): Leaning {
  if (seed % 7 === 0) return 'disks';
  return seed % 4 === 3 ? 'minorities' : undefined;
}

/** One run: start, faults under load, heal, wait, check. Everything in it follows from `seed`. */
export async function runSeed(seed: number, bugs: Bugs = NO_FAULTS_PLANTED): Promise<RunResult> {
  const run = new Run(seed, bugs);
  const failure = await run.play().then(
    () => undefined,
    (error: unknown) => run.failureOf(error),
  );
  return run.result(failure);
}

class Run {
  readonly #seed: number;
  readonly #time = new VirtualTime();
  readonly #trace = new Trace();
  readonly #oracle = new Oracle();
  readonly #cluster: SimulatedCluster;
  readonly #clients: Clients;
  readonly #faults: Faults;
  readonly #chaosMs: number;
  readonly #clientCount: number;
  readonly #contenders: number;
  readonly #story: string[] = [];
  #broken: unknown;

  constructor(seed: number, bugs: Bugs) {
    this.#seed = seed;
    const random = new SeededRandom(seed);
    this.#cluster = new SimulatedCluster(layoutFor(seed), this.#time, random.fork(), this.#trace, bugs, this.#oracle);
    this.#clients = new Clients(this.#cluster, random.fork(), this.#oracle, this.#trace);
    this.#faults = new Faults(
      this.#cluster,
      random.fork(),
      (line) => this.#tell(line),
      (member) => this.#oracle.onWipe(member, (key) => this.#holdersOf(key)),
      leaningOf(seed),
    );
    this.#cluster.network.inspect = (from, to, message) => this.#inspect(from, to, message);
    this.#chaosMs = random.between(8_000, 20_000);
    this.#clientCount = 5 + random.below(4);
    this.#contenders = seed % 2 === 1 ? CONTENDERS : 0;
    this.#oracle.onBroken = (error) => (this.#broken ??= error);
    this.#oracle.registers.holdersOf = (key) => this.#holdersOf(key);
  }

  #inspect(from: NodeName, to: NodeName, message: Message): void {
    const origin = this.#cluster.members.find(({ name }) => name === from);
    if (!origin) return;
    try {
      if (message[0] === CHANGES) for (const [key, bytes] of message[6]) this.#oracle.checkShipped(origin, key, bytes);
      else this.#oracle.registers.inspect(origin, to, message);
    } catch (error) {
      this.#broken ??= error;
    }
  }

  #tell(line: string): void {
    this.#story.push(`${Math.round(this.#time.nowMs)} ${line}`);
    this.#trace.add(line);
  }

  async play(): Promise<void> {
    let isDone = false;
    const script = this.#script().then(
      () => {
        isDone = true;
      },
      (error: unknown) => {
        this.#broken ??= error;
      },
    );
    await this.#time.run(() => isDone || this.#broken !== undefined);
    if (this.#broken) throw this.#broken;
    await script;
  }

  async #script(): Promise<void> {
    await this.#setUp();
    this.#clients.start(this.#clientCount, this.#contenders, this.#seed % 4 === 3, (error) => (this.#broken ??= error));
    void this.#sample().catch((error: unknown) => (this.#broken ??= error));
    void this.#faults.run();
    await this.#time.sleep(this.#chaosMs);
    this.#clients.stop();
    await this.#faults.stop();
    this.#tell('all faults have ended');
    await this.#until('clients to finish', RECOVERY_MS, () => this.#clients.areDone);
    await this.#untilLagEnds('lag to end');
    await this.#everyoneServes();
    await this.#everyoneServesRegisters();
    await this.#untilLagEnds('lag to end again');
    // Where a store was replaced, the others compare what they have of the lost one, region by region.
    const difference = () => this.#oracle.difference((key) => this.#holdersOf(key));
    await this.#until(
      'records to agree:',
      COMPARED_MS,
      () => !difference(),
      () => difference() ?? '',
      2,
    );
    const disagreement = () => this.#oracle.registers.disagreement();
    await this.#until(
      'registers to agree:',
      RECOVERY_MS,
      () => !disagreement(),
      () => disagreement() ?? '',
      2,
    );
    this.#check();
  }

  async #setUp(): Promise<void> {
    for (const member of this.#cluster.members) await this.#cluster.start(member);
    await this.#until('all stores to be filled', SETUP_MS, () =>
      this.#cluster.members.every(({ process }) => process?.node.figures().isFilled),
    );
    for (const { name, placement, conflict, mode } of ALL_NAMESPACES.slice(1)) {
      await this.#cluster.members[0]?.process?.node.putNamespace(
        name,
        { placement, conflict, mode },
        this.#clients.options('quorum'),
      );
    }
  }

  async #until(
    what: string,
    limitMs: number,
    isSo: () => boolean,
    detail: () => string = () => '',
    invariant = 11,
  ): Promise<void> {
    const deadlineMs = this.#time.nowMs + limitMs;
    while (!isSo()) {
      if (this.#time.nowMs > deadlineMs)
        throw new InvariantBroken(invariant, `waited ${limitMs} ms for ${what} ${detail()}`);
      await this.#time.sleep(50);
    }
  }

  /** For a moment it may seem so, just before a store finds out that it lacks something. */
  #untilLagEnds(what: string): Promise<void> {
    let laggedAtMs = this.#time.nowMs;
    const isQuiet = (): boolean => {
      if (this.#lagging().length > 0) laggedAtMs = this.#time.nowMs;
      return this.#time.nowMs - laggedAtMs > QUIET_MS;
    };
    return this.#until(what, RECOVERY_MS, isQuiet, () => this.#lagging().join(', '));
  }

  #lagging(): string[] {
    const lagging: string[] = [];
    for (const { name, process } of this.#cluster.members) {
      const figures = process?.node.figures();
      if (!figures?.isFilled) lagging.push(`${name} is not filled`);
      for (const peer of figures?.peers ?? [])
        if (!peer.reachable || peer.lagMs !== 0) lagging.push(`${name} > ${peer.node}: ${peer.lagMs} ms`);
      if ((figures?.unsettled ?? 0) > 0) lagging.push(`${name} has ${figures?.unsettled} unsettled registers`);
      if ((figures?.stalenessMs ?? 10_000) > 3_000) lagging.push(`${name} is ${figures?.stalenessMs} ms behind`);
    }
    return lagging;
  }

  async #everyoneServes(): Promise<void> {
    for (const member of this.#cluster.members) {
      for (const namespace of NAMESPACES) {
        for (const level of ['eventual', 'session', 'quorum'] as const) {
          const isWritten = await this.#clients.write(member, namespace, 'after', level);
          const answer = await this.#clients.read(member, namespace, 'after', level);
          if (!isWritten || !answer || answer.values.length === 0)
            throw new InvariantBroken(
              11,
              `${member.name} does not serve ${namespace.name} at level ${level} after all faults have ended`,
            );
        }
      }
    }
  }

  async #everyoneServesRegisters(): Promise<void> {
    for (const member of this.#cluster.members) {
      for (const namespace of ALL_NAMESPACES) {
        const place = { namespace, key: 'strong-after' };
        const written = await this.#clients.strong.write(member, place);
        const read = await this.#clients.strong.read(member, place);
        if (!written || typeof read?.body !== 'string')
          throw new InvariantBroken(
            11,
            `${member.name} does not serve registers of ${namespace.name} after all faults have ended`,
          );
      }
    }
  }

  async #sample(): Promise<void> {
    for (;;) {
      await this.#time.sleep(SAMPLE_MS);
      for (const { name, process } of this.#cluster.alive) {
        const figures = process?.node.figures();
        if (!figures) continue;
        const peers = figures.peers.length;
        const { inFlightBytes } = figures.shipping;
        const { inboxBytes } = figures.following;
        if (inFlightBytes > peers * IN_FLIGHT_BYTES_MAX)
          throw new InvariantBroken(10, `${name} has ${inFlightBytes} bytes in flight to ${peers} followers`);
        if (inboxBytes > peers * INBOX_BYTES_MAX)
          throw new InvariantBroken(10, `${name} has ${inboxBytes} bytes waiting to be merged`);
      }
    }
  }

  #holdersOf(key: RecordKey): readonly Member[] {
    const namespace = namespaceOf(key);
    return namespace ? this.#clients.holders(namespace, key) : this.#cluster.onePerStore();
  }

  #check(): void {
    this.#oracle.checkQuiet(
      this.#cluster,
      (key) => this.#holdersOf(key),
      EPOCH_MS + this.#time.nowMs,
      (key) => namespaceOf(key)?.conflict === 'lww',
    );
    this.#clients.history.check();
  }

  failureOf(error: unknown): NonNullable<RunResult['failure']> {
    const invariant = error instanceof InvariantBroken ? error.invariant : 0;
    const message =
      error instanceof InvariantBroken ? error.message : String(error instanceof Error ? error.stack : error);
    return { invariant, message, story: [...this.#story, ...this.#cluster.log.slice(-30), ...this.#trace.last] };
  }

  result(failure: RunResult['failure']): RunResult {
    return {
      seed: this.#seed,
      hash: this.#trace.hash,
      events: this.#time.eventsFired,
      messages: this.#cluster.network.delivered,
      acknowledged: this.#clients.counts.acknowledged + this.#clients.strong.counts.acknowledged,
      reads: this.#clients.counts.reads + this.#clients.strong.counts.reads,
      virtualMs: this.#time.nowMs,
      failure,
    };
  }
}
