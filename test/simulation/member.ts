import type { NodeName, RegionName, StoreName } from '@meridian/core/ids';
import type { MeridianNode } from '@meridian/server/node/node';
import type { SimulatedTransport } from './simulated-network.ts';
import type { SimulatedDisk, SimulatedStore } from './simulated-store.ts';
import type { ProcessClock } from './virtual-time.ts';

export interface Member {
  readonly name: NodeName;
  readonly region: RegionName;
  readonly storeName: StoreName;
  /** Another one after a wipe. */
  disk: SimulatedDisk;
  clockOffsetMs: number;
  /** The running process, if there is one. */
  process: Process | undefined;
}

export interface Process {
  readonly node: MeridianNode;
  readonly clock: ProcessClock;
  readonly transport: SimulatedTransport;
  readonly store: SimulatedStore;
}
