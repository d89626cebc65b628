import type { SeededRandom } from '../simulation/seeded-random.ts';
import type { World } from './world.ts';

/** What a nemesis works with. Both calls end at once when its time is over. */
export interface Nemesis {
  readonly world: World;
  readonly random: SeededRandom;
  readonly isOver: () => boolean;
  readonly wait: (lowMs: number, highMs?: number) => Promise<void>;
}

export interface Mix {
  readonly name: string;
  readonly description: string;
  readonly needsClocks?: boolean;
  /** Faults of databases, and of nodes that share one. */
  readonly needsDatabases?: boolean;
  /** One round of faults. Rounds follow each other until the time is over; then all is healed, whatever state this leaves. */
  readonly round: (nemesis: Nemesis) => Promise<void>;
}
