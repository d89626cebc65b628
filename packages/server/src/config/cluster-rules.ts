import { normalize } from 'node:path';
import type { ClusterDocument } from './cluster-schema.ts';
import { hint } from './nearest.ts';
import { parsePostgresUrl } from './postgres-url.ts';
import { parseRedisUrl } from './redis-url.ts';
import { storePlace } from './store-place.ts';

type Complain = (at: string, problem: string) => Error;

/** What a schema cannot say of a cluster file. Throws what `complain` makes of the first rule broken. */
export function checkClusterRules(file: ClusterDocument, complain: Complain): void {
  const nodes = file.regions.flatMap((region, r) =>
    region.nodes.map((node, n) => ({ ...node, at: `regions[${r}].nodes[${n}]` })),
  );
  for (const node of nodes) checkEngine(node, complain);
  for (const node of nodes) {
    checkAddress(node.http, `${node.at}.http`, complain);
    checkAddress(node.peer, `${node.at}.peer`, complain);
  }
  distinct(
    file.regions.map(({ name }, r) => ({ value: name, at: `regions[${r}].name` })),
    'region',
    complain,
  );
  distinct(
    nodes.map(({ name, at }) => ({ value: name, at: `${at}.name` })),
    'node',
    complain,
  );
  const addresses = nodes.flatMap(({ http, peer, at }) => [
    { value: http, at: `${at}.http` },
    { value: peer, at: `${at}.peer` },
  ]);
  distinct(addresses, 'address', complain);
  checkStores(nodes, complain);
  checkLinks(file, complain);
}

interface NodeAt {
  readonly name: string;
  readonly store: string;
  readonly storeName?: string;
  readonly capacity?: number;
  readonly cache?: string;
  readonly at: string;
}

function checkEngine(node: NodeAt, complain: Complain): void {
  const place = storePlace(node.store);
  if (!place) throw complain(`${node.at}.store`, `no engine is known for '${withoutPassword(node.store)}'`);
  const problem = place.kind === 'postgres' ? problemOf(() => parsePostgresUrl(node.store)) : undefined;
  if (problem !== undefined) throw complain(`${node.at}.store`, problem);
  if (node.cache === undefined) return;
  const { cache } = node;
  const cacheProblem = problemOf(() => parseRedisUrl(cache, 'cache'));
  if (cacheProblem !== undefined) throw complain(`${node.at}.cache`, cacheProblem.replace(/^cache: /, ''));
  if (place.kind === 'folder')
    throw complain(
      `${node.at}.cache`,
      'an embedded store needs no cache: reads of it are in memory; leave the field out',
    );
}

function problemOf(parse: () => unknown): string | undefined {
  try {
    parse();
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
}

/** A password never gets into a message. */
function withoutPassword(store: string): string {
  return store.replace(/\/\/[^@/]*@/, '//');
}

/** Folders are of one node each; a database is of the nodes of one region that name it, under one store name. */
function checkStores(nodes: readonly NodeAt[], complain: Complain): void {
  const databases = new Map<string, NodeAt[]>();
  for (const node of nodes) {
    const place = storePlace(node.store);
    if (place?.kind === 'postgres') databases.set(place.database, [...(databases.get(place.database) ?? []), node]);
  }
  const folders = nodes.filter(({ store }) => storePlace(store)?.kind === 'folder');
  distinct(
    folders.map(({ store, at }) => ({ value: normalize(`${store}/.`), at: `${at}.store` })),
    'embedded store',
    complain,
  );
  for (const sharing of databases.values()) checkSharing(sharing, complain);
  const named = [
    ...folders.map(({ storeName, name, at }) => ({ value: storeName ?? name, at: `${at}.storeName` })),
    ...[...databases.values()].map((sharing) => {
      const first = sharing.find(({ storeName }) => storeName) ?? (sharing[0] as NodeAt);
      return { value: first.storeName ?? first.name, at: `${first.at}.storeName` };
    }),
  ];
  distinct(named, 'store name', complain);
}

function checkSharing(sharing: readonly NodeAt[], complain: Complain): void {
  const first = sharing[0] as NodeAt;
  const regionOf = ({ at }: NodeAt): string => at.slice(0, at.indexOf('.'));
  for (const node of sharing) {
    if (regionOf(node) !== regionOf(first))
      throw complain(`${node.at}.store`, `the database is that of ${first.at} already, in another region`);
    for (const field of ['storeName', 'capacity'] as const) {
      const other = sharing.find((one) => one[field] !== undefined && one[field] !== node[field]);
      if (node[field] !== undefined && other)
        throw complain(`${node.at}.${field}`, `${other.at} shares the store, and has '${other[field]}' here`);
    }
  }
}

const ADDRESS = /^(?:\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?):(\d{1,5})$/;

function checkAddress(address: string, at: string, complain: Complain): void {
  const port = Number(ADDRESS.exec(address)?.[1] ?? 0);
  if (port < 1 || port > 65_535) throw complain(at, `'${address}' is not host:port with a port from 1 to 65535`);
}

function distinct(named: readonly { value: string; at: string }[], what: string, complain: Complain): void {
  const seen = new Map<string, string>();
  for (const { value, at } of named) {
    const first = seen.get(value);
    if (first !== undefined) throw complain(at, `the ${what} '${value}' is taken by ${first} already`);
    seen.set(value, at);
  }
}

function checkLinks(file: ClusterDocument, complain: Complain): void {
  const names = file.regions.map((region) => region.name);
  const seen = new Map<string, string>();
  for (const link of Object.keys(file.wan?.rtt ?? {})) {
    const at = `wan.rtt["${link}"]`;
    const ends = link.split('|');
    if (ends.length !== 2 || ends[0] === ends[1]) throw complain(at, "a link is named 'region|region', of two regions");
    const unknown = ends.find((end) => !names.includes(end));
    if (unknown !== undefined) throw complain(at, `there is no region '${unknown}'${hint(unknown, names)}`);
    const canonical = ends.toSorted().join('|');
    const first = seen.get(canonical);
    if (first !== undefined) throw complain(at, `the link is named already, by "${first}"`);
    seen.set(canonical, link);
  }
}
