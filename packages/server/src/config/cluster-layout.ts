import type { NodeName, RegionName, StoreName } from '@meridian/core/ids';
import type { Layout, LayoutRegion } from '@meridian/core/placement/layout';
import type { ClusterFile, ClusterRegion } from './cluster-file.ts';

/** The first layout: what the cluster file says stands where. */
export function layoutOf(file: ClusterFile): Layout {
  return { version: 1, cluster: file.cluster, regions: file.regions.map(layoutRegion) };
}

function layoutRegion(region: ClusterRegion): LayoutRegion {
  const name = region.name as RegionName;
  return {
    name,
    latitude: region.latitude,
    longitude: region.longitude,
    stores: region.nodes.map((node) => ({ name: node.storeName as StoreName, region: name, capacity: node.capacity })),
    nodes: region.nodes.map((node) => ({
      name: node.name as NodeName,
      region: name,
      store: node.storeName as StoreName,
      http: node.http,
      peer: node.peer,
    })),
  };
}
