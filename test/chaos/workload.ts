import type { SeededRandom } from '../simulation/seeded-random.ts';
import type { World } from './world.ts';

/** How the namespaces of a run are called and used. */
export interface Access {
  /** Registers, counters and sets, with conditions. */
  readonly strong: string;
  /** Registers that are only read and written, at level `strong`, in an eventual namespace; sessions too. */
  readonly eventual: string;
  readonly level: 'strong' | 'quorum';
  /** Without them every conditional write is a blind one: the checks must find that. */
  readonly hasConditions: boolean;
}

/** What all clients of a run share. */
export interface Workload {
  readonly world: World;
  readonly access: Access;
  readonly isOver: () => boolean;
  /** Waits so long that all clients together send as many requests as they should. */
  readonly pace: (random: SeededRandom) => Promise<void>;
  /** Keys are left behind after a while, so that what nobody answered does not pile up on them for ever. */
  readonly epoch: () => number;
}

export function keyUrl({ world }: Workload, node: string, namespace: string, key: string, level: string): string {
  return `${world.url(node)}/namespaces/${namespace}/kv/${encodeURIComponent(key)}?consistency=${level}`;
}
