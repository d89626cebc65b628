import type { Clock } from '@meridian/server/ports/clock';
import { SimulatedDisk, SimulatedStore } from '../simulation/simulated-store.ts';
import { systemRandom } from '../support/system-random.ts';
import { describeStore, STORE_NAME } from './store.ts';

const clock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  timer: (_, fire) => {
    const timer = setImmediate(fire);
    return () => clearImmediate(timer);
  },
  soon: (fire) => void setImmediate(fire),
};

describeStore(
  'simulated',
  async () => {
    const disk = new SimulatedDisk();
    return {
      open: async () =>
        new SimulatedStore({ disk, storeName: STORE_NAME, clock, random: systemRandom, onError: () => undefined }),
      dispose: async () => undefined,
    };
  },
  { isExclusive: true, propertyRuns: 100 },
);
