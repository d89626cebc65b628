import { SharedStore } from '@meridian/server/adapters/shared/shared-store';
import type { Clock } from '@meridian/server/ports/clock';
import { SimulatedServer } from '../simulation/simulated-database.ts';
import { systemRandom } from '../support/system-random.ts';
import { describeSharedNodes } from './shared-nodes.ts';
import { describeStore, STORE_NAME } from './store.ts';

const clock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  timer: (delayMs, fire) => {
    const timer = delayMs > 10 ? setTimeout(fire, delayMs) : setImmediate(fire);
    return () => (delayMs > 10 ? clearTimeout(timer as NodeJS.Timeout) : clearImmediate(timer as NodeJS.Immediate));
  },
  soon: (fire) => void setImmediate(fire),
};

async function makeMedium() {
  const server = new SimulatedServer(clock);
  return {
    open: async () => {
      const database = server.connect(STORE_NAME, clock, systemRandom);
      return new SharedStore({ database, storeName: STORE_NAME, clock, random: systemRandom });
    },
    dispose: async () => undefined,
  };
}

describeStore('shared', makeMedium, { isExclusive: false, propertyRuns: 100 });
describeSharedNodes('shared', makeMedium, (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)));
