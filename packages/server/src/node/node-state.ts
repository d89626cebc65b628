import type { NodeName, RegionName, StoreId, StoreName } from '@meridian/core/ids';
import type { PlacementTable } from '@meridian/core/placement/placement-table';
import type { Clock } from '../ports/clock.ts';
import type { Hashes } from '../ports/hash.ts';
import type { Log } from '../ports/log.ts';
import type { Seal } from '../ports/seal.ts';
import type { Store } from '../ports/store.ts';
import type { Calls } from './calls.ts';
import type { Catalog } from './catalog.ts';
import type { Coverage } from './coverage.ts';
import type { Filling } from './filling.ts';
import type { NodeMetrics } from './node-metrics.ts';
import type { Peers } from './peers.ts';
import type { PlantedBugs } from './planted-bugs.ts';
import type { Replica } from './replica.ts';

/** Where this node stands. */
export interface Self {
  readonly node: NodeName;
  readonly region: RegionName;
  readonly store: StoreName;
  whoAmI(): { readonly node: NodeName; readonly region: RegionName; readonly store: StoreId };
}

/** The parts of a running node that request paths work with. Built once, by `wireNode`. */
export interface NodeState {
  readonly self: Self;
  readonly placement: PlacementTable;
  readonly store: Store;
  readonly replica: Replica;
  readonly catalog: Catalog;
  readonly coverage: Coverage;
  readonly filling: Filling;
  readonly peers: Peers;
  readonly calls: Calls;
  readonly clock: Clock;
  readonly seal: Seal;
  readonly hashes: Hashes;
  readonly log: Log;
  readonly metrics: NodeMetrics;
  readonly bugs: PlantedBugs;
  /** Resolves once this store may take writes: it has compared itself with its peers, or waited long enough for them. */
  readonly readyToWrite: () => Promise<void> | undefined;
}
