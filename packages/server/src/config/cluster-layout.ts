import type { NodeName, RegionName, StoreName } from '@meridian/core/ids';
import type { Layout, LayoutRegion, LayoutStore } from '@meridian/core/placement/layout';
import type { ClusterFile, ClusterRegion } from './cluster-file.ts';

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
