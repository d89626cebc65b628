import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { checkClusterRules } from './cluster-rules.ts';
import { ClusterDocument } from './cluster-schema.ts';
import { schemaProblem } from './schema-problem.ts';
import { SettingError } from './setting-error.ts';
import { storePlace } from './store-place.ts';
import { estimatedRttMs, linkName, measuredRttMs } from './wan-places.ts';
import { parseYaml } from './yaml-text.ts';

export interface ClusterNode {
  readonly name: string;
  /** host:port of the REST API. */
  readonly http: string;
  /** host:port for other nodes. */
  readonly peer: string;
  /** The folder of an embedded store, absolute; or the URL of a database. */
  readonly store: string;
  readonly cache?: string;
  /** Where the store stands on its region's ring. */
  readonly storeName: string;
  /** Weight of the store within its region; above 0. */
  readonly capacity: number;
}

export interface ClusterRegion {
  readonly name: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly nodes: readonly ClusterNode[];
}

/** A cluster file that was read and checked: names, addresses and stores are distinct, paths are absolute. */
export interface ClusterFile {
  /** As it was named; for messages. */
  readonly path: string;
  readonly cluster: string;
  /** Absolute. */
  readonly secretFile: string;
  readonly regions: readonly ClusterRegion[];
  /** Round trips that the file names, in milliseconds, by `linkName`. */
  readonly wanRttMs: ReadonlyMap<string, number>;
}

/** @throws SettingError, one line, where the file is missing, unreadable or says something impossible. */
export function readClusterFile(path: string): ClusterFile {
  return parseClusterFile(path, textOf(path));
}

/** Like `readClusterFile`, of a text already read; relative paths in it are relative to the folder of `path`. */
export function parseClusterFile(path: string, text: string): ClusterFile {
  const document = parseYaml(path, text);
  const problem = schemaProblem(ClusterDocument, document);
  if (problem) throw new SettingError(where(path, problem.path), problem.problem);
  const folder = dirname(resolve(path));
  const written = document as ClusterDocument;
  checkClusterRules(written, (at, what) => new SettingError(where(path, at), what));
  return {
    path,
    cluster: written.cluster,
    secretFile: resolve(folder, written.secretFile),
    regions: written.regions.map((region) => ({
      ...region,
      nodes: region.nodes.map((node) => resolveNode(node, region.nodes, folder)),
    })),
    wanRttMs: new Map(
      Object.entries(written.wan?.rtt ?? {}).map(([link, rttMs]) => {
        const [one = '', other = ''] = link.split('|');
        return [linkName(one, other), rttMs];
      }),
    ),
  };
}

type WrittenNode = ClusterDocument['regions'][number]['nodes'][number];

function resolveNode(node: WrittenNode, nodes: readonly WrittenNode[], folder: string): ClusterNode {
  const place = storePlace(node.store);
  if (place?.kind !== 'postgres') {
    return {
      ...node,
      store: resolve(folder, node.store),
      storeName: node.storeName ?? node.name,
      capacity: node.capacity ?? 1,
    };
  }
  const sharing = nodes.filter((other) => databaseOf(other) === place.database);
  return {
    ...node,
    storeName: sharing.find(({ storeName }) => storeName)?.storeName ?? sharing[0]?.name ?? node.name,
    capacity: sharing.find(({ capacity }) => capacity)?.capacity ?? 1,
  };
}

function databaseOf(node: WrittenNode): string | undefined {
  const place = storePlace(node.store);
  return place?.kind === 'postgres' ? place.database : undefined;
}

export function findNode(file: ClusterFile, name: string): { region: ClusterRegion; node: ClusterNode } | undefined {
  for (const region of file.regions) {
    const node = region.nodes.find((candidate) => candidate.name === name);
    if (node) return { region, node };
  }
  return undefined;
}

/**
 * The round trip of a link, in milliseconds: as the file names it, else as measured between such regions, else as
 * estimated from their places; 0 within a region.
 */
export function linkRttMs(file: ClusterFile, one: string, other: string): number {
  if (one === other) return 0;
  const known = file.wanRttMs.get(linkName(one, other)) ?? measuredRttMs(one, other);
  if (known !== undefined) return known;
  const [from, to] = [one, other].map((name) => file.regions.find((region) => region.name === name));
  return from && to ? estimatedRttMs(from, to) : 0;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new SettingError(path, code === 'ENOENT' ? 'there is no such cluster file' : `cannot be read (${code})`);
  }
}

function where(path: string, at: string): string {
  return at === '' ? path : `${path}: ${at}`;
}
