import type { StoreName } from '@meridian/core/ids';
import { SeededRandom } from '../../../../test/simulation/seeded-random.ts';
import { SimulatedDisk, SimulatedStore } from '../../../../test/simulation/simulated-store.ts';
import { ProcessClock, VirtualTime } from '../../../../test/simulation/virtual-time.ts';

/** A simulated store and what it stands on, without a node around it. */
export interface StoreAlone {
  readonly time: VirtualTime;
  readonly clock: ProcessClock;
  readonly disk: SimulatedDisk;
  readonly store: SimulatedStore;
  /** Opens the store that is on another disk. */
  readonly open: (disk: SimulatedDisk) => SimulatedStore;
}

/** Runs `play` on a new store called us-1, as virtual time passes. */
export async function onStore(play: (alone: StoreAlone) => Promise<void>): Promise<void> {
  const time = new VirtualTime();
  const clock = new ProcessClock(time, 0);
  const disk = new SimulatedDisk();
  // What fails is told to who asked.
  const onError = () => undefined;
  const random = new SeededRandom(1);
  const open = (on: SimulatedDisk) =>
    new SimulatedStore({ disk: on, storeName: 'us-1' as StoreName, clock, random, onError });
  let isDone = false;
  const played = play({ time, clock, disk, store: open(disk), open }).finally(() => {
    isDone = true;
  });
  // Awaited below; a failure before that is no unhandled one.
  played.catch(() => undefined);
  await time.run(() => isDone);
  await played;
}
