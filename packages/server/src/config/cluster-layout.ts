import type { NodeName, RegionName, StoreName } from '@meridian/core/ids';
import type { Layout, LayoutRegion, LayoutStore } from '@meridian/core/placement/layout';
import type { ClusterFile, ClusterNode, ClusterRegion } from './cluster-file.ts';
import { parseRedisUrl } from './redis-url.ts';

/** The first layout: what the cluster file says stands where. */
export function layoutOf(file: ClusterFile): Layout {
  return { version: 1, cluster: file.cluster, regions: file.regions.map(layoutRegion) };
}

/** One for all nodes that share it. */
function storesOf({ name, nodes }: ClusterRegion): LayoutStore[] {
  const first = nodes.filter(({ storeName }, at) => nodes.findIndex((node) => node.storeName === storeName) === at);
  return first.map(({ storeName, capacity }) => ({
    name: storeName as StoreName,
    region: name as RegionName,
    capacity,
  }));
}

function layoutRegion(region: ClusterRegion): LayoutRegion {
  const name = region.name as RegionName;
  return {
    name,
    latitude: region.latitude,
    longitude: region.longitude,
    stores: storesOf(region),
    nodes: region.nodes.map((node) => ({
      name: node.name as NodeName,
      region: name,
      store: node.storeName as StoreName,
      http: node.http,
      peer: node.peer,
    })),
  };
}

/** Nodes that share the store of this one and have another cache, or none where it has one: what it writes, theirs is not told. */
export function nodesOfOtherCache(region: ClusterRegion, node: ClusterNode): string[] {
  const others = region.nodes.filter(({ name, storeName }) => name !== node.name && storeName === node.storeName);
  return others.filter((other) => cachePlace(other) !== cachePlace(node)).map(({ name }) => name);
}

/** The same for all URLs that lead to the same entries. A Redis Cluster is found from any of its servers. */
function cachePlace({ cache }: ClusterNode): string | undefined {
  if (cache === undefined) return undefined;
  const { servers, isCluster, database, prefix } = parseRedisUrl(cache, 'cache');
  const [server] = servers;
  return `${isCluster ? 'cluster' : `${server?.host}:${server?.port}/${database}`} ${prefix}`;
}
