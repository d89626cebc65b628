import type { NodeName, RegionName, StoreName } from '@meridian/core/ids';
import type { Layout, LayoutRegion } from '@meridian/core/placement/layout';
import type { Message } from '@meridian/core/wire/messages';
import { type Member, ownDisk } from '../../../../test/simulation/member.ts';
import { SeededRandom } from '../../../../test/simulation/seeded-random.ts';
import { SimulatedCluster } from '../../../../test/simulation/simulated-cluster.ts';
import { SimulatedDisk } from '../../../../test/simulation/simulated-store.ts';
import { Trace } from '../../../../test/simulation/trace.ts';
import { VirtualTime } from '../../../../test/simulation/virtual-time.ts';
import type { MeridianNode } from './node.ts';
import { NO_BUGS } from './planted-bugs.ts';
import type { ReadAnswer, RequestOptions } from './service.ts';

/**
 * Region name -> how many nodes, each on a store of its own; or how many on one. Nodes are called `<region>-1`, `<region>-2`, and
 * each store like the first of its nodes.
 */
export type Regions = Readonly<Record<string, number | { readonly sharing: number }>>;

export const THREE_REGIONS: Regions = { us: 1, eu: 1, ap: 1 };

const SETTLE_MS = 8_000;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Whether a message goes on its way. One that does not is lost without a word. */
export type Passes = (from: string, to: string, message: Message) => boolean;

/** A cluster of real nodes on simulated ports, with the moves that tests make. */
export class TestCluster {
  readonly time = new VirtualTime();
  readonly simulated: SimulatedCluster;
  passes: Passes = () => true;

  constructor(regions: Regions) {
    const watcher = {
      onDecision: () => undefined,
      onDurable: () => undefined,
      onRegisterDurable: () => undefined,
    };
    const bugs = { node: NO_BUGS, store: {} };
    this.simulated = new SimulatedCluster(
      layoutOf(regions),
      this.time,
      new SeededRandom(1),
      new Trace(0),
      bugs,
      watcher,
    );
    const { network } = this.simulated;
    const send = network.send.bind(network);
    network.send = (from, to, message) =>
      network.link(from, to).isUp && !this.passes(from, to, message) ? true : send(from, to, message);
  }

  member(node: string): Member {
    const member = this.simulated.members.find(({ name }) => name === node);
    if (!member) throw new Error(`no node is called ${node}`);
    return member;
  }

  /** The disk of a node that has its store to itself. */
  disk(node: string): SimulatedDisk {
    return ownDisk(this.member(node));
  }

  node(node: string): MeridianNode {
    const process = this.member(node).process;
    if (!process) throw new Error(`${node} is not running`);
    return process.node;
  }

  storeId(node: string): string {
    return this.member(node).process?.store.id ?? '';
  }

  async startAll(): Promise<void> {
    for (const member of this.simulated.members) await this.simulated.start(member);
    await this.settle();
  }

  /** Nodes that start from now on find this in their cluster file. They and their stores stay those of before. */
  changeClusterFile(change: (region: LayoutRegion) => LayoutRegion): void {
    const { layout } = this.simulated;
    this.simulated.layout = { ...layout, regions: layout.regions.map(change) };
  }

  start(node: string): Promise<void> {
    return this.simulated.start(this.member(node));
  }

  crash(node: string): void {
    this.simulated.crash(this.member(node));
  }

  /** The disk of a node is lost, and an empty one put in its place. */
  wipe(node: string): void {
    this.crash(node);
    this.member(node).disk = new SimulatedDisk();
  }

  settle(): Promise<void> {
    return this.time.sleep(SETTLE_MS);
  }

  split(left: string, right: string): void {
    this.simulated.network.cut(left as NodeName, right as NodeName);
    this.simulated.network.cut(right as NodeName, left as NodeName);
  }

  heal(): void {
    this.simulated.network.heal();
  }

  put(
    node: string,
    key: string,
    value: string,
    more: Partial<RequestOptions> & { context?: string; in?: string } = {},
  ) {
    const { context, in: namespace = 'default', ...rest } = more;
    const body = { body: encoder.encode(value), contentType: 'text/plain' };
    return this.node(node).put(namespace, key, body, context, optionsOf(rest));
  }

  async get(
    node: string,
    key: string,
    more: Partial<RequestOptions> & { in?: string } = {},
  ): Promise<readonly string[]> {
    const { in: namespace = 'default', ...rest } = more;
    return valuesOf(await this.node(node).get(namespace, key, optionsOf(rest)));
  }
}

/** us-1 is down, on a disk from before its write of `young`, of which only eu-1 has heard; ap-1 is cut off from it. */
export async function crashOntoOlderDisk(cluster: TestCluster): Promise<void> {
  await cluster.put('us-1', 'old', 'kept');
  await cluster.settle();
  const older = cluster.disk('us-1').copy();
  cluster.split('us-1', 'ap-1');
  await cluster.put('us-1', 'young', 'one');
  await cluster.settle();
  cluster.crash('us-1');
  cluster.member('us-1').disk = older;
}

export function optionsOf(more: Partial<RequestOptions> = {}): RequestOptions {
  return { requestId: 'test', level: 'eventual', timeoutMs: 2_000, ...more };
}

export function valuesOf({ values }: ReadAnswer): readonly string[] {
  return values.map(({ body }) => decoder.decode(body));
}

/** Runs `play` on a new cluster, all of whose nodes are running and filled, as virtual time passes. */
export async function onCluster(regions: Regions, play: (cluster: TestCluster) => Promise<void>): Promise<void> {
  const cluster = new TestCluster(regions);
  let isDone = false;
  const played = cluster
    .startAll()
    .then(() => play(cluster))
    .finally(() => {
      isDone = true;
    });
  // Awaited below; a failure before that is no unhandled one.
  played.catch(() => undefined);
  await cluster.time.run(() => isDone);
  await played;
}

/** What an error of the table is called, or how it was that there was none. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'no error';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

export function layoutOf(regions: Regions): Layout {
  return {
    version: 1,
    cluster: 'test',
    regions: Object.entries(regions).map(([region, count]) => regionOf(region as RegionName, count)),
  };
}

function regionOf(name: RegionName, count: Regions[string]): LayoutRegion {
  const length = typeof count === 'number' ? count : count.sharing;
  const names = Array.from({ length }, (_none, at) => `${name}-${at + 1}`);
  const stores = typeof count === 'number' ? names : names.slice(0, 1);
  return {
    name,
    latitude: 0,
    longitude: 0,
    stores: stores.map((store) => ({ name: store as StoreName, region: name, capacity: 1 })),
    nodes: names.map((node) => ({
      name: node as NodeName,
      region: name,
      store: (stores.includes(node) ? node : stores[0]) as StoreName,
      http: '-',
      peer: '-',
    })),
  };
}
