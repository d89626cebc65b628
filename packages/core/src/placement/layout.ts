import { compareKeys, type NodeName, type RegionName, type StoreName } from '../ids.ts';

export interface LayoutNode {
  readonly name: NodeName;
  readonly region: RegionName;
  readonly store: StoreName;
  /** host:port of the REST API. */
  readonly http: string;
  /** host:port for other nodes. */
  readonly peer: string;
}

export interface LayoutStore {
  readonly name: StoreName;
  readonly region: RegionName;
  /** Its share of the region, relative to the region's other stores; above 0. */
  readonly capacity: number;
}

export interface LayoutRegion {
  readonly name: RegionName;
  readonly latitude: number;
  readonly longitude: number;
  readonly stores: readonly LayoutStore[];
  readonly nodes: readonly LayoutNode[];
}

/** The versioned, agreed document: what stands where. Every node computes the same placement from the same layout. */
export interface Layout {
  readonly version: number;
  readonly cluster: string;
  readonly regions: readonly LayoutRegion[];
}

/** How many replicas of a namespace each region holds; `all` is one in each region of the layout. A region not named holds none. */
export type Placement = 'all' | Readonly<Record<string, number>>;

/** A quorum over more replicas than this would wait for the slowest of too many. */
export const REPLICAS_PER_REGION_MAX = 16;

export type PlacementCheck = { readonly placement: Placement } | { readonly problem: string };

/**
 * Takes a placement that came from outside, as parsed JSON, or says in one sentence what is wrong with it. What it takes
 * names regions of the layout only, each with a whole number from 0 to `REPLICAS_PER_REGION_MAX`, and at least one replica.
 */
export function checkPlacement(placement: unknown, layout: Layout): PlacementCheck {
  if (placement === 'all') return { placement };
  if (typeof placement !== 'object' || placement === null || Array.isArray(placement)) {
    return { problem: 'placement must be "all" or an object of region names with the number of replicas each holds' };
  }
  const known = new Set<string>(layout.regions.map((region) => region.name));
  const counts: [string, number][] = [];
  for (const [region, count] of Object.entries(placement) as [string, unknown][]) {
    if (!known.has(region)) {
      return {
        problem: `placement names ${JSON.stringify(region.slice(0, 64))}; the regions are ${[...known].join(', ')}`,
      };
    }
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 0 || count > REPLICAS_PER_REGION_MAX) {
      return { problem: `placement of ${region} must be a whole number from 0 to ${REPLICAS_PER_REGION_MAX}` };
    }
    counts.push([region, count]);
  }
  if (!counts.some(([, count]) => count > 0)) return { problem: 'placement must give at least one region a replica' };
  return { placement: Object.fromEntries(counts) };
}

/**
 * Layouts of equal texts place every key alike, replicas in the same order. It holds regions in their order, stores and
 * capacities, and neither version nor nodes, which place nothing.
 */
export function layoutFingerprint(layout: Layout): string {
  const regions = layout.regions.map((region) => [
    region.name,
    region.stores
      .map((store): [string, number] => [store.name, store.capacity])
      .sort(([left], [right]) => compareKeys(left, right)),
  ]);
  return JSON.stringify(regions);
}
