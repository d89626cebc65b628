import type { VersionVector } from '@meridian/core/causality/version-vector';
import { type NodeName, recordKey, type Sequence, type StoreId, type StoreName } from '@meridian/core/ids';
import { PlacementTable } from '@meridian/core/placement/placement-table';
import { describe, expect, it } from 'vitest';
import { xxh3Hashes } from '../adapters/system/xxh3-hashes.ts';
import { Catalog, namespaceIdFor } from './catalog.ts';
import { codeOf, layoutOf, onCluster, optionsOf, type TestCluster, THREE_REGIONS } from './cluster.testing.ts';
import { Coverage } from './coverage.ts';
import { Peers } from './peers.ts';
import { NO_BUGS } from './planted-bugs.ts';
import { portableRecord as record } from './portable.testing.ts';
import { onStore, type StoreAlone } from './store.testing.ts';

const eu = 'eu-1.bbbb' as StoreId;
const otherUs = 'us-2.dddd' as StoreId;
const unknown = 'xx-1.eeee' as StoreId;
const placement = new PlacementTable(layoutOf({ us: 2, eu: 1 }), xxh3Hashes.text);
const catalog = new Catalog(placement, xxh3Hashes, 'us-1' as StoreName);

const token = (...entries: (readonly [StoreId, number])[]): VersionVector =>
  new Map(entries.map(([store, sequence]) => [store, sequence as Sequence]));

/** A key of the default namespace that us-1 holds, and us-2 does not. */
const key = (() => {
  const keys = Array.from({ length: 100 }, (_none, at) => recordKey(namespaceIdFor('default', 1), `key-${at}`));
  const held = keys.find((one) => catalog.isHeldHere(one));
  if (held === undefined) throw new Error('us-1 holds no key');
  return held;
})();

function coverageOf({ store, clock }: StoreAlone): Coverage {
  return new Coverage(store, catalog, new Peers([], 'us-1' as NodeName, clock), clock, NO_BUGS);
}

async function follow({ store }: StoreAlone, origin: StoreId, cursor: number, applied: number): Promise<void> {
  const position = { cursor: cursor as Sequence, applied: applied as Sequence, isFilled: true };
  await store.update([], () => ({ writes: [], positions: new Map([[origin, position]]), result: undefined }));
}

const write = ({ store }: StoreAlone): Promise<undefined> =>
  store.update([key], () => ({ writes: [{ key, record: new Uint8Array(1) }], result: undefined }));

describe('what a store claims', () => {
  it('is all of its own writes, of each origin what is applied, and of others nothing', () =>
    onStore(async (alone) => {
      const coverage = coverageOf(alone);
      await write(alone);
      await write(alone);
      await follow(alone, eu, 9, 4);
      expect([alone.store.id, eu, unknown].map(coverage.appliedOf)).toEqual([2, 4, 0]);
    }));

  it('names neither itself nor origins whose index it has only begun to walk', () =>
    onStore(async (alone) => {
      const coverage = coverageOf(alone);
      await write(alone);
      await follow(alone, eu, 9, 4);
      await follow(alone, otherUs, 9, 0);
      expect(coverage.claims()).toEqual(token([eu, 4]));
    }));
});

describe('a session', () => {
  it('is covered for a key by what its replicas have written, whatever other stores have', () =>
    onStore(async (alone) => {
      const coverage = coverageOf(alone);
      await follow(alone, eu, 4, 4);
      expect(coverage.isCovered(key, token())).toBe(true);
      expect(coverage.isCovered(key, token([eu, 4], [otherUs, 7], [unknown, 1]))).toBe(true);
      expect(coverage.isCovered(key, token([eu, 5]))).toBe(false);
      expect(coverage.isCovered(key, token([alone.store.id, 1]))).toBe(false);
      await write(alone);
      expect(coverage.isCovered(key, token([alone.store.id, 1]))).toBe(true);
    }));

  it('is covered for a listing only by all stores that matter', () =>
    onStore(async (alone) => {
      const coverage = coverageOf(alone);
      await follow(alone, eu, 4, 4);
      const isCovered = (...entries: (readonly [StoreId, number])[]): boolean =>
        coverage.isCoveredOf(token(...entries), () => true);
      expect(isCovered([eu, 4])).toBe(true);
      expect(isCovered([eu, 4], [otherUs, 1])).toBe(false);
    }));

  it('is waited for until a claim moves far enough', () =>
    onStore(async (alone) => {
      const coverage = coverageOf(alone);
      const seen: string[] = [];
      const waitFor = async (sequence: number): Promise<void> => {
        const isCovered = await coverage.wait(() => coverage.isCovered(key, token([eu, sequence])), 1_000);
        seen.push(`${sequence} ${isCovered} at ${Math.round(alone.time.nowMs - startedAtMs)}`);
      };
      const startedAtMs = alone.time.nowMs;
      const waiting = [waitFor(0), waitFor(3), waitFor(5), waitFor(6)];
      await alone.time.sleep(200);
      await follow(alone, eu, 5, 3);
      await alone.time.sleep(startedAtMs + 300 - alone.time.nowMs);
      expect(seen).toEqual(['0 true at 0']);
      coverage.onProgress();
      await alone.time.sleep(100);
      await follow(alone, eu, 5, 5);
      await alone.time.sleep(startedAtMs + 500 - alone.time.nowMs);
      coverage.onProgress();
      await Promise.all(waiting);
      expect(seen).toEqual(['0 true at 0', '3 true at 300', '5 true at 500', '6 false at 1000']);
    }));

  it('is not waited for where there is no time, and by nobody once the node stops', () =>
    onStore(async (alone) => {
      const coverage = coverageOf(alone);
      const startedAtMs = alone.time.nowMs;
      let timersSet = 0;
      const timer = alone.clock.timer.bind(alone.clock);
      alone.clock.timer = (...given) => {
        timersSet += 1;
        return timer(...given);
      };
      expect([await coverage.wait(() => false, 0), timersSet]).toEqual([false, 0]);
      const waiting = [coverage.wait(() => false, 60_000), coverage.wait(() => false, 60_000)];
      coverage.stop();
      expect(await Promise.all(waiting)).toEqual([false, false]);
      expect(alone.time.nowMs).toBe(startedAtMs);
    }));
});

describe('a session with writes of an id that nobody here has heard of', () => {
  const read = (cluster: TestCluster, node: string, session: string, timeoutMs: number): Promise<string> =>
    codeOf(cluster.get(node, 'key', { level: 'session', session, timeoutMs }));

  it('waits for them: a store that is cut off may have taken it since', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.put('eu-1', 'key', 'old');
      await cluster.settle();
      cluster.crash('eu-1');
      for (const other of ['us-1', 'ap-1']) cluster.split(other, 'eu-1');
      const before = cluster.disk('eu-1');
      await cluster.start('eu-1');
      const { head } = await cluster.put('eu-1', 'key', 'new');
      expect(cluster.disk('eu-1')).toBe(before);
      for (const _time of [1, 2]) {
        expect(await read(cluster, 'us-1', head.session, 500)).toBe('SESSION_NOT_COVERED');
        await cluster.time.sleep(20_000);
      }
      cluster.heal();
      await cluster.time.sleep(20_000);
      expect(await cluster.get('us-1', 'key', { level: 'session', session: head.session })).toEqual(['new']);
    }));

  it('is served at the first try once all other nodes have told that it is none of theirs, and as long as one has not, not', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.settle();
      const former = record('key', 'eu-1.ofaclustergone' as StoreId, 7);
      await cluster.node('us-1').replicate([former], optionsOf());
      const { session } = (await cluster.node('us-1').get('default', 'key', optionsOf())).head;
      cluster.split('us-1', 'ap-1');
      cluster.split('us-1', 'eu-1');
      expect(await read(cluster, 'us-1', session, 5_000)).toBe('SESSION_NOT_COVERED');
      cluster.heal();
      expect(await read(cluster, 'us-1', session, 5_000)).toBe('no error');
      expect(await read(cluster, 'us-1', session, 1)).toBe('no error');
    }));
});
