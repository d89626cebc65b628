import type { NodeName, RegionName, StoreName } from '@meridian/core/ids';
import type { MeridianNode } from '@meridian/server/node/node';
import type { Store } from '@meridian/server/ports/store';
import { SimulatedServer } from './simulated-database.ts';
import type { SimulatedTransport } from './simulated-network.ts';
import { SimulatedDisk } from './simulated-store.ts';
import type { ProcessClock } from './virtual-time.ts';

export interface Member {
  readonly name: NodeName;
  readonly region: RegionName;
  readonly storeName: StoreName;
  /** Another one after a wipe. A database where several members share the store. */
  disk: SimulatedDisk | SimulatedServer;
  clockOffsetMs: number;
  /** The running process, if there is one. */
  process: Process | undefined;
}

/** Of a member that has its store to itself. */
export function ownDisk({ disk, name }: Member): SimulatedDisk {
  if (disk instanceof SimulatedDisk) return disk;
  throw new Error(`${name} stands on a database`);
}

/** Whether its store, as its process knows, holds all that it ever said it held; where not, it is one that was lost. */
export function isWhole({ disk, process }: Member): boolean {
  if (disk instanceof SimulatedServer && disk.hasLostUnnoticed) return false;
  return process?.node.figures().isFilled === true;
}

export interface Process {
  readonly node: MeridianNode;
  readonly clock: ProcessClock;
  readonly transport: SimulatedTransport;
  readonly store: Store;
  /** The process is dead: what it has open is as a crash leaves it. */
  readonly letGo: () => void;
}
