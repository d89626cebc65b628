import Type, { type Static } from 'typebox';

/** What names of clusters, regions, nodes and stores look like: they stand in ids, file names and URLs. */
export const NAME_PATTERN = '^[a-z0-9][a-z0-9-]{0,62}$';
export const CAPACITY_MAX = 1_000;
/** The longest link that is emulated; the moon is 2.6 s away. */
export const LINK_RTT_MS_MAX = 10_000;

const closed = { additionalProperties: false };
const Name = Type.String({ pattern: NAME_PATTERN });
const Text = Type.String({ minLength: 1 });

const Node = Type.Object(
  {
    name: Name,
    http: Text,
    peer: Text,
    store: Text,
    cache: Type.Optional(Text),
    storeName: Type.Optional(Name),
    capacity: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: CAPACITY_MAX })),
  },
  closed,
);

const Region = Type.Object(
  {
    name: Name,
    latitude: Type.Number({ minimum: -90, maximum: 90 }),
    longitude: Type.Number({ minimum: -180, maximum: 180 }),
    nodes: Type.Array(Node, { minItems: 1 }),
  },
  closed,
);

/** The cluster file as it is written. */
export const ClusterDocument = Type.Object(
  {
    cluster: Name,
    secretFile: Text,
    regions: Type.Array(Region, { minItems: 1 }),
    wan: Type.Optional(
      Type.Object(
        { rtt: Type.Optional(Type.Record(Type.String(), Type.Number({ minimum: 0, maximum: LINK_RTT_MS_MAX }))) },
        closed,
      ),
    ),
  },
  closed,
);

export type ClusterDocument = Static<typeof ClusterDocument>;

/** The fields of each object of the document, for hints. */
export const FIELDS_BY_PATH: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^$/, Object.keys(ClusterDocument.properties)],
  [/^\/regions\/\d+$/, Object.keys(Region.properties)],
  [/^\/regions\/\d+\/nodes\/\d+$/, Object.keys(Node.properties)],
  [/^\/wan$/, ['rtt']],
];
