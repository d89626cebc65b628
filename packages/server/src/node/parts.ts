import type { NodeName, RegionName, StoreName } from '@meridian/core/ids';
import type { PlacementTable } from '@meridian/core/placement/placement-table';
import type { Clock } from '../ports/clock.ts';
import type { Hashes } from '../ports/hash.ts';
import type { Log } from '../ports/log.ts';
import type { Meter } from '../ports/meter.ts';
import type { Random } from '../ports/random.ts';
import type { Seal } from '../ports/seal.ts';
import type { Store } from '../ports/store.ts';
import type { Transport } from '../ports/transport.ts';
import type { StreamLimits } from './limits.ts';
import type { PlantedBugs } from './planted-bugs.ts';

/** What a node is made of. The composition root chooses the adapters; the simulator hands in its own. */
export interface NodeParts {
  readonly node: NodeName;
  readonly region: RegionName;
  readonly storeName: StoreName;
  readonly placement: PlacementTable;
  readonly store: Store;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly seal: Seal;
  readonly hashes: Hashes;
  readonly log: Log;
  readonly meter?: Meter;
  readonly version: string;
  /** The defaults, where not given. */
  readonly streamLimits?: StreamLimits;
  /** Faults for the simulator to find. Empty everywhere else. */
  readonly plantedBugs?: PlantedBugs;
}
