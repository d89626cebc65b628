import { type NamespaceId, recordKey, type StoreName } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../../test/simulation/seeded-random.ts';
import { SimulatedDisk, SimulatedStore } from '../../../../test/simulation/simulated-store.ts';
import { ProcessClock, VirtualTime } from '../../../../test/simulation/virtual-time.ts';
import { Purge } from './purge.ts';

const GONE = 'shop.1' as NamespaceId;
const NEXT = 'shop.10' as NamespaceId;

describe('a purge', () => {
  it('removes all of one namespace, what came late too, and leaves its neighbours', async () => {
    const time = new VirtualTime();
    const clock = new ProcessClock(time, 0);
    const disk = new SimulatedDisk();
    const random = new SeededRandom(1);
    const store = new SimulatedStore({ disk, storeName: 's' as StoreName, clock, random });
    const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
    const purge = new Purge(store, clock, silent);
    const write = (id: NamespaceId, count: number) => {
      const keys = Array.from({ length: count }, (_none, at) => recordKey(id, `key-${at}`));
      return store.update(keys, () => ({
        writes: keys.map((key) => ({ key, record: new Uint8Array(1) })),
        result: undefined,
      }));
    };
    const left = () => [...disk.durableKeys()].map((key) => key.slice(0, key.indexOf('\0')));
    let isDone = false;
    const played = (async () => {
      await write(GONE, 600);
      await write(NEXT, 3);
      purge.start(GONE);
      await time.sleep(1_000);
      expect(left()).toEqual([NEXT, NEXT, NEXT]);
      await write(GONE, 5);
      await time.sleep(61_000);
      expect(left()).toEqual([NEXT, NEXT, NEXT]);
      await write(GONE, 5);
      purge.stop();
      purge.start(GONE);
      await time.sleep(61_000);
      expect(left()).toHaveLength(8);
    })().finally(() => {
      isDone = true;
    });
    await time.run(() => isDone);
    await played;
  });
});
