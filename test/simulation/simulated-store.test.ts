import type { RecordKey, StoreName } from '@meridian/core/ids';
import type { Clock } from '@meridian/server/ports/clock';
import type { Random } from '@meridian/server/ports/random';
import { StoreFailedError, StoreFullError } from '@meridian/server/ports/store';
import { describe, expect, it } from 'vitest';
import { SimulatedDisk, SimulatedStore, type StoreBugs } from './simulated-store.ts';

/** Time stands still until a test turns it. */
class HandClock implements Clock {
  nowMs = 0;
  #timers: { atMs: number; fire: () => void }[] = [];

  wallMs = () => this.nowMs;
  monotonicMs = () => this.nowMs;

  timer(delayMs: number, fire: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  soon(fire: () => void): void {
    this.timer(0, fire);
  }

  async turn(forMs: number): Promise<void> {
    const endMs = this.nowMs + forMs;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const [next] = this.#timers.sort((left, right) => left.atMs - right.atMs);
      if (!next || next.atMs > endMs) break;
      this.#timers.shift();
      this.nowMs = next.atMs;
      next.fire();
    }
    this.nowMs = endMs;
  }
}

/** The same numbers in each run. */
class CountingRandom implements Random {
  #state = 1;

  uint32(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#state;
  }

  id(length: number): string {
    return this.uint32().toString(36).padEnd(length, '0').slice(0, length);
  }
}

const LONG_MS = 1_000;
const fixed = (uint32: number): Random => ({ uint32: () => uint32, id: () => 'fixed' });
const LOSES_ALL = fixed(0);

function lab() {
  const clock = new HandClock();
  const random = new CountingRandom();
  const disk = new SimulatedDisk();
  const open = (bugs: StoreBugs = {}) =>
    new SimulatedStore({ disk, storeName: 'us-1' as StoreName, clock, random, bugs });
  return { clock, random, disk, open };
}

/** Writes `value` under `name`, and says what became of it. */
function put(store: SimulatedStore, name: string, value = 1): { outcome: unknown } {
  const key = name as RecordKey;
  const told: { outcome: unknown } = { outcome: 'pending' };
  const update = store.update([key], () => ({ writes: [{ key, record: Uint8Array.of(value) }], result: 'written' }));
  update.then(
    (result) => {
      told.outcome = result;
    },
    (failure: unknown) => {
      told.outcome = failure;
    },
  );
  return told;
}

const get = (store: SimulatedStore, name: string) => store.get(name as RecordKey);

describe('a simulated disk at a crash', () => {
  it('keeps what was acknowledged and loses what was not synced; its promises never settle', async () => {
    const { clock, disk, open } = lab();
    const store = open();
    const acknowledged = put(store, 'a');
    await clock.turn(LONG_MS);
    expect(acknowledged.outcome).toBe('written');
    disk.slowness = 1_000_000;
    const lost = put(store, 'b');
    await clock.turn(LONG_MS);
    expect(await get(store, 'b')).toBeUndefined();
    disk.crash(LOSES_ALL);
    disk.slowness = 1;
    const reopened = open();
    await clock.turn(LONG_MS);
    expect(lost.outcome).toBe('pending');
    expect(await get(reopened, 'a')).toEqual(Uint8Array.of(1));
    expect(await get(reopened, 'b')).toBeUndefined();
    expect([reopened.isNew, reopened.id, reopened.sequence]).toEqual([false, store.id, 1]);
  });

  it('keeps a commit that was whole on disk and never acknowledged, by chance', async () => {
    const { clock, disk, open } = lab();
    const store = open();
    disk.slowness = 1_000_000;
    const unknown = put(store, 'a');
    await clock.turn(LONG_MS);
    disk.crash(fixed(1));
    const reopened = open();
    expect(unknown.outcome).toBe('pending');
    expect(await get(reopened, 'a')).toEqual(Uint8Array.of(1));
    expect(reopened.sequence).toBe(1);
  });

  it('leaves a dead process nothing to say or to write', async () => {
    const { clock, disk, open } = lab();
    const dead = open();
    disk.crash(LOSES_ALL);
    const heard: string[] = [];
    const calls = [get(dead, 'a'), dead.setNote('a', '1'), dead.close(), dead.figures(), dead.renewId()];
    for (const call of calls) {
      call.then(
        () => heard.push('settled'),
        () => heard.push('settled'),
      );
    }
    const store = open();
    const late = put(dead, 'a');
    const alive = put(store, 'b');
    await clock.turn(LONG_MS);
    expect([heard, late.outcome, alive.outcome]).toEqual([[], 'pending', 'written']);
    expect(await get(store, 'a')).toBeUndefined();
  });

  it('is refused to a second process, and copied as a backup', async () => {
    const { clock, disk, open } = lab();
    const store = open();
    put(store, 'a');
    await clock.turn(LONG_MS);
    const backup = disk.copy();
    expect(() => open()).toThrow(expect.objectContaining({ problem: 'IN_USE' }));
    put(store, 'a', 2);
    await clock.turn(LONG_MS);
    const restored = new SimulatedStore({
      disk: backup,
      storeName: 'us-1' as StoreName,
      clock,
      random: new CountingRandom(),
    });
    expect(await get(restored, 'a')).toEqual(Uint8Array.of(1));
    expect(restored.id).toBe(store.id);
  });
});

describe('faults on request', () => {
  it('fails commits while the disk is full or its syncs fail, keeps nothing of them, and goes on after', async () => {
    const { clock, disk, open } = lab();
    const store = open();
    disk.isFull = true;
    const full = put(store, 'a');
    await clock.turn(LONG_MS);
    disk.isFull = false;
    disk.failureShare = 1;
    const failed = put(store, 'b');
    await clock.turn(LONG_MS);
    disk.failureShare = 0;
    const written = put(store, 'c');
    await clock.turn(LONG_MS);
    expect(full.outcome).toBeInstanceOf(StoreFullError);
    expect(failed.outcome).toBeInstanceOf(StoreFailedError);
    expect(written.outcome).toBe('written');
    expect(store.sequence).toBe(1);
    expect((await store.changes(0 as never, { rowsMax: 9, bytesMax: 99 })).rows.map((row) => row.key)).toEqual(['c']);
  });

  it('takes as long as the disk is slow', async () => {
    const { clock, disk, open } = lab();
    const store = open();
    disk.slowness = 10_000;
    const update = put(store, 'a');
    await clock.turn(LONG_MS);
    expect(update.outcome).toBe('pending');
    await clock.turn(LONG_MS * 100);
    expect(update.outcome).toBe('written');
  });
});

describe('planted bugs', () => {
  it('acknowledges before the sync, and loses it', async () => {
    const { clock, disk, open } = lab();
    const store = open({ acknowledgesBeforeSync: true });
    const told: number[] = [];
    store.onCommit((commit) => told.push(commit.upTo));
    disk.slowness = 1_000_000;
    const first = put(store, 'a');
    await clock.turn(1);
    const second = put(store, 'b');
    await clock.turn(1);
    expect([first.outcome, second.outcome, told]).toEqual(['written', 'written', [1, 2]]);
    disk.crash(fixed(1));
    const reopened = open();
    expect(await get(reopened, 'a')).toEqual(Uint8Array.of(1));
    expect(await get(reopened, 'b')).toBeUndefined();
    expect(reopened.sequence).toBe(1);
  });

  it('shows a commit before it is durable', async () => {
    const { clock, disk, open } = lab();
    const store = open({ showsBeforeDurable: true });
    disk.slowness = 1_000_000;
    const update = put(store, 'a');
    await clock.turn(1);
    expect(update.outcome).toBe('pending');
    expect(await get(store, 'a')).toEqual(Uint8Array.of(1));
    disk.crash(LOSES_ALL);
    expect(await get(open(), 'a')).toBeUndefined();
  });
});
