/** What the regions of a run stand on. */
export const SHAPES = {
  embedded: 'every region one node with an embedded store',
  mixed: 'us-east embedded, eu-central two nodes on one PostgreSQL with a Redis, ap-northeast one node on another',
} as const;

export type ShapeName = keyof typeof SHAPES;

export interface RegionShape {
  readonly region: string;
  readonly nodes: readonly string[];
  readonly engine: 'embedded' | 'postgres';
}

const REGIONS = ['us-east', 'eu-central', 'ap-northeast', 'sa-east', 'af-south'] as const;
type Region = (typeof REGIONS)[number];

/** Of the mixed shape, the regions on PostgreSQL and their nodes; the others are embedded. */
const ON_POSTGRES: Partial<Record<Region, number>> = { 'eu-central': 2, 'ap-northeast': 1 };

export function regionsOf(shape: ShapeName, count: number): readonly RegionShape[] {
  return REGIONS.slice(0, count).map((region) => {
    const sharing = shape === 'mixed' ? ON_POSTGRES[region] : undefined;
    const nodes = Array.from({ length: sharing ?? 1 }, (_, at) => `${region}-${at + 1}`);
    return { region, nodes, engine: sharing === undefined ? 'embedded' : 'postgres' };
  });
}

export function isShapeName(name: string): name is ShapeName {
  return Object.hasOwn(SHAPES, name);
}
