import { normalize } from 'node:path';
import type { ClusterDocument } from './cluster-schema.ts';
import { hint } from './nearest.ts';

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
  distinct(
    nodes.map(({ store, at }) => ({ value: normalize(`${store}/.`), at: `${at}.store` })),
    'embedded store',
    complain,
  );
  distinct(
    nodes.map(({ storeName, name, at }) => ({ value: storeName ?? name, at: `${at}.storeName` })),
    'store name',
    complain,
  );
  checkLinks(file, complain);
}

function checkEngine(node: { store: string; cache?: string; at: string }, complain: Complain): void {
  if (/^postgres(ql)?:/i.test(node.store)) {
    throw complain(`${node.at}.store`, 'PostgreSQL stores are not built yet; name a folder for an embedded store');
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(node.store))
    throw complain(`${node.at}.store`, `no engine is known for '${node.store}'`);
  if (node.cache !== undefined) throw complain(`${node.at}.cache`, 'caches are not built yet; leave the field out');
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
