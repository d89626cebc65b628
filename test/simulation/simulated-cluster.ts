import type { NodeName, StoreName } from '@meridian/core/ids';
import type { Layout, Placement } from '@meridian/core/placement/layout';
import type { Partition } from '@meridian/core/placement/partition';
import { PlacementTable } from '@meridian/core/placement/placement-table';
import { decodeRecord } from '@meridian/core/wire/record-codec';
import { decodeRegister, isRegisterBytes } from '@meridian/core/wire/register-codec';
import { SharedStore } from '@meridian/server/adapters/shared/shared-store';
import { keyedSeal } from '@meridian/server/adapters/system/keyed-seal';
import { xxh3Hashes } from '@meridian/server/adapters/system/xxh3-hashes';
import type { StreamLimits } from '@meridian/server/node/limits';
import { MeridianNode } from '@meridian/server/node/node';
import type { PlantedBugs } from '@meridian/server/node/planted-bugs';
import type { Clock } from '@meridian/server/ports/clock';
import type { Log } from '@meridian/server/ports/log';
import type { Random } from '@meridian/server/ports/random';
import { type Store, StoreFailedError } from '@meridian/server/ports/store';
import type { Member } from './member.ts';
import type { SeededRandom } from './seeded-random.ts';
import { type DatabaseBugs, SimulatedServer } from './simulated-database.ts';
import { SimulatedNetwork } from './simulated-network.ts';
import { SimulatedDisk, SimulatedStore, type StoreBugs } from './simulated-store.ts';
import type { Trace } from './trace.ts';
import { ProcessClock, type VirtualTime } from './virtual-time.ts';
import { type StoreWatcher, watchedStore } from './watched-store.ts';

/** So long a supervisor waits. */
const RESTART_MS = 1_000;

export interface Bugs {
  readonly node: PlantedBugs;
  readonly store: StoreBugs;
  readonly database?: DatabaseBugs;
}

/** Small, so that a few dozen keys make a catch-up of many batches. */
const STREAM_LIMITS: StreamLimits = { batchRowsMax: 4, batchBytesMax: 2_000, windowBytes: 3_000 };

export const SEAL = keyedSeal(new Uint8Array(32).fill(7));

/** A cluster of real nodes on simulated ports. */
export class SimulatedCluster {
  readonly time: VirtualTime;
  readonly network: SimulatedNetwork;
  readonly placement: PlacementTable;
  /** What the cluster file says to a node that starts now. */
  layout: Layout;
  readonly members: readonly Member[];
  readonly log: string[] = [];
  readonly #random: SeededRandom;
  readonly #bugs: Bugs;
  readonly #watcher: StoreWatcher;
  #lastJumpMs = 0;

  constructor(
    layout: Layout,
    time: VirtualTime,
    random: SeededRandom,
    trace: Trace,
    bugs: Bugs,
    watcher: StoreWatcher,
  ) {
    this.layout = layout;
    this.time = time;
    this.#random = random;
    this.#bugs = bugs;
    this.#watcher = watcher;
    this.placement = new PlacementTable(layout, xxh3Hashes.text);
    const regionAt = (node: NodeName): number =>
      layout.regions.findIndex((region) => region.nodes.some(({ name }) => name === node));
    this.network = new SimulatedNetwork(time, random.fork(), trace, (from, to) =>
      regionAt(from) === regionAt(to) ? 1 : 20 + 15 * (regionAt(from) + regionAt(to)),
    );
    const servers = new Map<StoreName, SimulatedServer>();
    for (const { name } of this.placement.allStores()) {
      if (this.placement.nodesOf(name).length > 1) servers.set(name, this.#newServer());
    }
    this.members = layout.regions.flatMap((region) =>
      region.nodes.map(
        (node): Member => ({
          name: node.name,
          region: region.name,
          storeName: node.store,
          disk: servers.get(node.store) ?? new SimulatedDisk(),
          clockOffsetMs: 0,
          process: undefined,
        }),
      ),
    );
  }

  #newServer(): SimulatedServer {
    const { time } = this;
    const clock = {
      monotonicMs: () => time.nowMs,
      timer: (delayMs: number, fire: () => void) => time.at(delayMs, fire),
    };
    return new SimulatedServer(clock, this.#bugs.database);
  }

  get alive(): readonly Member[] {
    return this.members.filter(({ process }) => process !== undefined);
  }

  async start(member: Member): Promise<void> {
    const clock = new ProcessClock(this.time, member.clockOffsetMs);
    const random = this.#random.fork();
    const { store, letGo } = this.#open(member, clock, random);
    const transport = this.network.transport(member.name, (fire) => clock.whenAwake(fire));
    // Every node reads its own copy of the cluster file.
    const placement = new PlacementTable(this.layout, xxh3Hashes.text);
    const node = new MeridianNode({
      node: member.name,
      region: member.region,
      storeName: member.storeName,
      placement,
      store: watchedStore(store, member, this.#watcher),
      transport,
      clock,
      random,
      seal: SEAL,
      hashes: xxh3Hashes,
      log: this.#logOf(member),
      version: 'simulated',
      streamLimits: STREAM_LIMITS,
      plantedBugs: this.#bugs.node,
    });
    const process = { node, clock, transport, store, letGo };
    member.process = process;
    this.#witnessDisk(member);
    try {
      await node.start();
    } catch (error) {
      if (!(error instanceof StoreFailedError)) throw error;
      if (member.process === process) await this.#startAgain(member);
    }
  }

  /** Its database went away while it started: the process ends, and a supervisor starts it again. */
  async #startAgain(member: Member): Promise<void> {
    this.crash(member);
    await this.time.sleep(RESTART_MS);
    if (!member.process) await this.start(member);
  }

  #open(member: Member, clock: Clock, random: Random): { store: Store; letGo: () => void } {
    const { disk, storeName } = member;
    const onError = (error: unknown): void => this.#note(member, String(error));
    if (disk instanceof SimulatedServer) {
      const database = disk.connect(storeName, clock, random);
      const store = new SharedStore({ database, storeName, clock, random, onError });
      return { store, letGo: () => database.halt() };
    }
    const store = new SimulatedStore({ disk, storeName, clock, random, bugs: this.#bugs.store, onError });
    return { store, letGo: () => disk.crash(this.#random) };
  }

  /** Of what was under way at a crash, nobody was told what the disk has kept. */
  #witnessDisk(member: Member): void {
    for (const [key, record] of member.disk.durableRows()) {
      if (isRegisterBytes(record)) this.#watcher.onRegisterDurable(member, key, decodeRegister(record));
      else this.#watcher.onDurable(member, key, decodeRecord(record));
    }
  }

  /** The process is gone between two instructions; of what was not synced a part may be. */
  crash(member: Member): void {
    const process = member.process;
    if (!process) return;
    member.process = undefined;
    process.clock.kill();
    process.transport.kill('connection reset');
    process.letGo();
  }

  /** The process ends, and another disk is put in the place of the one it had: an empty one, or a copy from earlier. */
  replaceDisk(member: Member, disk = new SimulatedDisk()): void {
    this.crash(member);
    member.disk = disk;
  }

  jumpClock(member: Member, offsetMs: number): void {
    this.#lastJumpMs = this.time.nowMs;
    member.clockOffsetMs = offsetMs;
    if (member.process) member.process.clock.offsetMs = offsetMs;
  }

  /** The process is stopped: it does and hears nothing until it goes on, and then everything at once. */
  pause(member: Member): void {
    member.process?.clock.pause();
  }

  resume(member: Member): void {
    member.process?.clock.resume();
  }

  /** When a clock was last wrong: now, where one is. */
  get lastWrongClockMs(): number {
    return this.members.some(({ clockOffsetMs }) => clockOffsetMs !== 0) ? this.time.nowMs : this.#lastJumpMs;
  }

  holders(placement: Placement, partition: Partition): readonly Member[] {
    const stores = new Set(this.placement.replicas(placement, partition).map(({ store }) => store));
    return this.onePerStore().filter(({ storeName }) => stores.has(storeName));
  }

  /** Of nodes that share a store one stands for all: one that knows how it is, where there is one. */
  onePerStore(): readonly Member[] {
    const known = new Map<StoreName, Member>();
    for (const member of this.members) {
      const other = known.get(member.storeName);
      if (!other || (!isFilled(other) && isFilled(member))) known.set(member.storeName, member);
    }
    return [...known.values()];
  }

  #note(member: Member, line: string): void {
    this.log.push(`${Math.round(this.time.nowMs)} ${member.name} ${line}`);
  }

  #logOf(member: Member): Log {
    const write = (fields: object, event: string): void => this.#note(member, `${event} ${JSON.stringify(fields)}`);
    return { debug: () => undefined, info: write, warn: write, error: write };
  }
}

function isFilled({ process }: Member): boolean {
  return process?.node.figures().isFilled === true;
}
