import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientOptions, MeridianClient } from '@meridian/client/client';
import type { WanChange } from '@meridian/client/types';
import { makeSecret } from '@meridian/server/config/secret-file';
import { eventually } from './eventually.ts';
import { freeBasePort } from './free-ports.ts';
import { MeridianProcess } from './meridian-process.ts';

/** Where a node's store is, if not in a folder of its own, and what stands in front of it. */
export interface NodeStore {
  readonly name: string;
  /** As in a cluster file. Nodes of a region that name the same database share it. */
  readonly store: string;
  readonly storeName?: string | undefined;
  readonly cache?: string | undefined;
}

/** Nodes by region; of one that is only named, the store is a folder of its own. */
export type Shape = Readonly<Record<string, readonly (string | NodeStore)[]>>;

interface Place {
  readonly region: string;
  readonly http: string;
  readonly peer: string;
}

export interface StartOptions {
  /** Further arguments of `serve`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const PEER_PORT_OFFSET = 1_000;
const READY_MS_MAX = 30_000;

/** A cluster file in a folder of its own, and the nodes that were started on it. */
export async function newCluster(shape: Shape, rttMs = 0): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), 'meridian-cluster-'));
  const names = Object.entries(shape).flatMap(([region, nodes]) =>
    nodes.map((node) => ({ region, node: nodeStoreOf(node).name })),
  );
  const basePort = await freeBasePort(names.length, PEER_PORT_OFFSET);
  const places = new Map(
    names.map(({ region, node }, at) => [
      node,
      { region, http: `127.0.0.1:${basePort + at}`, peer: `127.0.0.1:${basePort + PEER_PORT_OFFSET + at}` },
    ]),
  );
  const cluster = new Cluster(folder, places);
  makeSecret(join(folder, 'cluster.secret'));
  await writeFile(cluster.file, clusterText(shape, places, rttMs));
  return cluster;
}

export class Cluster {
  readonly folder: string;
  readonly file: string;
  readonly #places: ReadonlyMap<string, Place>;
  readonly #processes = new Map<string, MeridianProcess>();

  constructor(folder: string, places: ReadonlyMap<string, Place>) {
    this.folder = folder;
    this.file = join(folder, 'cluster.yaml');
    this.#places = places;
  }

  /** Starts one node, and resolves once it says that it is ready. */
  async start(node: string, options: StartOptions = {}): Promise<MeridianProcess> {
    const process = this.spawn(node, options);
    await process.said(`${node} is ready`, () => process.events('ready').length > 0, READY_MS_MAX);
    return process;
  }

  /** Starts one node and does not wait. */
  spawn(node: string, { args = [], env = {} }: StartOptions = {}): MeridianProcess {
    const process = new MeridianProcess(['serve', '--cluster', this.file, '--node', node, ...args], {
      folder: this.folder,
      env,
    });
    this.#processes.set(node, process);
    return process;
  }

  /** Starts all nodes, and resolves once each hears from each and may answer quorums. */
  async startAll(options: StartOptions = {}): Promise<void> {
    const { nodes } = this;
    await Promise.all(nodes.map((node) => this.start(node, options)));
    await this.isConnected();
  }

  /** Resolves once every node hears from every other, and may answer quorums. */
  async isConnected(withinMs = 20_000): Promise<void> {
    const isConnected = async () => {
      const healths = await Promise.all(this.nodes.map((node) => this.client(node).health()));
      return healths.every(({ peers, store }) => store.isFilled === true && peers.every(({ reachable }) => reachable));
    };
    await eventually(isConnected, { what: 'nodes that are filled and hear from each other', withinMs });
  }

  get nodes(): readonly string[] {
    return [...this.#places.keys()];
  }

  async tellWan(change: WanChange): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.client(node).wan(change)));
  }

  process(node: string): MeridianProcess {
    return this.#processes.get(node) as MeridianProcess;
  }

  place(node: string): Place {
    return this.#places.get(node) as Place;
  }

  url(node: string): string {
    return `http://${this.place(node).http}`;
  }

  client(node: string, options: Omit<ClientOptions, 'endpoint'> = {}): MeridianClient {
    return new MeridianClient({ session: false, ...options, endpoint: this.url(node) });
  }

  storeFolder(node: string): string {
    return join(this.folder, node);
  }

  /** Kills what still runs and removes everything. */
  async remove(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((process) => process.kill()));
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function nodeStoreOf(node: string | NodeStore): NodeStore {
  return typeof node === 'string' ? { name: node, store: `./${node}` } : node;
}

function clusterText(shape: Shape, places: ReadonlyMap<string, Place>, rttMs: number): string {
  const regions = Object.entries(shape).map(([name, nodes], at) => ({
    name,
    latitude: 10 * at,
    longitude: 10 * at,
    nodes: nodes.map(nodeStoreOf).map((node) => ({
      ...node,
      http: places.get(node.name)?.http,
      peer: places.get(node.name)?.peer,
    })),
  }));
  const names = Object.keys(shape);
  const rtt = Object.fromEntries(
    names.flatMap((one, at) => names.slice(at + 1).map((other) => [`${one}|${other}`, rttMs])),
  );
  // JSON is YAML.
  return JSON.stringify({ cluster: 'test', secretFile: './cluster.secret', regions, wan: { rtt } }, undefined, 2);
}
