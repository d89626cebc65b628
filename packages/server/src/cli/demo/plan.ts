import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type ClusterFile, parseClusterFile } from '../../config/cluster-file.ts';
import { hint } from '../../config/nearest.ts';
import { makeSecret } from '../../config/secret-file.ts';
import { SettingError } from '../../config/setting-error.ts';
import { linkName, measuredRttMs, type WanPlace, wanPlace, wanPlaces } from '../../config/wan-places.ts';

import { SUPERUSER } from '../postgres/postgres-server.ts';
import { passwordFileIn } from './region-database.ts';

const CLUSTER = 'demo';
const CLUSTER_FILE = 'cluster.yaml';
const SECRET_FILE = 'cluster.secret';
/** Nodes talk to each other on ports this much above those of their REST APIs. */
const PEER_PORT_OFFSET = 1_000;
/** And to their databases on ports this much above. */
const DATABASE_PORT_OFFSET = 2_000;
const LOOPBACK = '127.0.0.1';

export interface DemoSettings {
  readonly places: readonly WanPlace[];
  readonly basePort: number;
  /** Absolute, and there. */
  readonly dataDir: string;
  readonly engine: Engine;
}

export type Engine = 'lmdb' | 'postgres';

/**
 * Writes the cluster file of the demo and, the first time, its secret. Regions may come to data that is there, and move
 * to other ports; they may not go, for what only they hold would be missing.
 * @throws SettingError where the data belongs to regions that are not asked for
 */
export function prepareDemo(settings: DemoSettings): ClusterFile {
  const path = join(settings.dataDir, CLUSTER_FILE);
  checkOldRegions(path, settings);
  const secretPath = join(settings.dataDir, SECRET_FILE);
  if (!existsSync(secretPath)) makeSecret(secretPath);
  const text = clusterText(settings);
  const file = parseClusterFile(path, text);
  writeFileSync(`${path}.partial`, text);
  renameSync(`${path}.partial`, path);
  return file;
}

/** @throws SettingError for a region whose place is not known. */
export function placesOf(regions: readonly string[]): readonly WanPlace[] {
  return regions.map(placeOf);
}

function placeOf(region: string): WanPlace {
  const place = wanPlace(region);
  if (place) return place;
  const names = wanPlaces().map(({ name }) => name);
  throw new SettingError(
    '--regions',
    `no place is known for '${region}'${hint(region, names) || `; known are ${names.join(', ')}`}`,
  );
}

function checkOldRegions(path: string, { places, dataDir, engine }: DemoSettings): void {
  if (!existsSync(path)) return;
  const oldFile = parseClusterFile(path, readFileSync(path, 'utf8'));
  // The file is written before it is known that the regions can start: of one that never did there is nothing to keep.
  const oldRegions = oldFile.regions.filter(({ nodes }) => nodes.some(({ name }) => hasLeftTraces(name, dataDir)));
  if (oldRegions.length === 0) return;
  const oldEngine = oldRegions.some(({ nodes }) => nodes.some(({ store }) => store.includes('://')))
    ? 'postgres'
    : 'lmdb';
  if (oldEngine !== engine)
    throw new SettingError(
      dataDir,
      `holds data in ${oldEngine}: start with --engine ${oldEngine}, or with another --data-dir`,
    );
  const old = oldRegions.map(({ name }) => name);
  const regions = places.map(({ name }) => name);
  const gone = old.filter((name) => !regions.includes(name));
  if (gone.length === 0) return;
  const all = [...new Set([...old, ...regions])].join(',');
  throw new SettingError(
    dataDir,
    `holds data of ${gone.join(' and ')} too: start with --regions ${all}, or with another --data-dir`,
  );
}

/** Whether anything of this node is there: its store, its database, its log. */
export function hasLeftTraces(node: string, dataDir: string): boolean {
  return readdirSync(dataDir).some((entry) => entry === node || entry.startsWith(`${node}.`));
}

/** The cluster file: one node with a store of its own in each region, and the round trips between them. */
function clusterText({ places, basePort, dataDir, engine }: DemoSettings): string {
  const regions = places.map(({ name, latitude, longitude }, at) => ({
    name,
    latitude,
    longitude,
    nodes: [
      {
        name: nodeNameOf(name),
        http: `${LOOPBACK}:${basePort + at}`,
        peer: `${LOOPBACK}:${basePort + PEER_PORT_OFFSET + at}`,
        store: engine === 'lmdb' ? `./${nodeNameOf(name)}` : databaseUrl(dataDir, databasePort(basePort, at)),
      },
    ],
  }));
  const rtt = Object.fromEntries(
    places.flatMap((one, at) =>
      places.slice(at + 1).map(({ name: other }) => [linkName(one.name, other), measuredRttMs(one.name, other) ?? 0]),
    ),
  );
  const head = '# Written by `meridian demo` at each start. Round trips are measured ones, in milliseconds.\n';
  return (
    head + stringify({ cluster: CLUSTER, secretFile: `./${SECRET_FILE}`, regions, wan: { rtt } }, { lineWidth: 0 })
  );
}

/**
 * What must be free: where the nodes listen, and, of regions that are new, their databases. An older database may still be
 * ending, or run on without its demo; it is ended where it is started.
 */
export function addressesOf({ regions }: ClusterFile, settings: DemoSettings): readonly string[] {
  const { basePort, dataDir, engine } = settings;
  const nodes = regions.flatMap((region) => region.nodes.flatMap(({ http, peer }) => [http, peer]));
  if (engine !== 'postgres') return nodes;
  const databases = regions.flatMap(({ name }, at) =>
    hasLeftTraces(nodeNameOf(name), dataDir) ? [] : [`${LOOPBACK}:${databasePort(basePort, at)}`],
  );
  return [...nodes, ...databases];
}

/** Of the region that stands at this place in the list of regions. */
export function databasePort(basePort: number, at: number): number {
  return basePort + DATABASE_PORT_OFFSET + at;
}

function databaseUrl(dataDir: string, port: number): string {
  return `postgres://${SUPERUSER}@${LOOPBACK}:${port}/postgres?password_file=${encodeURIComponent(passwordFileIn(dataDir))}`;
}

export function nodeNameOf(region: string): string {
  return `${region}-1`;
}
