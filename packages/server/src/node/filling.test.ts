import { type NodeName, type RecordKey, recordKey, type Sequence, type StoreId } from '@meridian/core/ids';
import { type Layout, type LayoutRegion, layoutFingerprint } from '@meridian/core/placement/layout';
import { partitionOf } from '@meridian/core/placement/partition';
import { PlacementTable } from '@meridian/core/placement/placement-table';
import { CHANGES, GREETING, type Message, PING } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../../test/simulation/seeded-random.ts';
import type { SimulatedDisk } from '../../../../test/simulation/simulated-store.ts';
import { xxh3Hashes } from '../adapters/system/xxh3-hashes.ts';
import type { Log } from '../ports/log.ts';
import { namespaceIdFor } from './catalog.ts';
import { codeOf, layoutOf, onCluster, optionsOf, type TestCluster, THREE_REGIONS } from './cluster.testing.ts';
import { Filling } from './filling.ts';
import { Peers } from './peers.ts';
import { onStore, type StoreAlone } from './store.testing.ts';

const FILLED_NOTE = 'filled-under-layout';
const FILLING_ANEW = 'filling-anew';
const random = new SeededRandom(1);
const isFilled = (cluster: TestCluster, node: string): boolean => cluster.node(node).figures().isFilled;

/** The second of the region's stores is the larger by far: keys move to it from the first. */
function growSecondStore(region: LayoutRegion): LayoutRegion {
  return { ...region, stores: region.stores.map((store, at) => ({ ...store, capacity: at === 1 ? 9 : 1 })) };
}

function holderIn(region: string, key: RecordKey, layout: Layout): string | undefined {
  const replicas = new PlacementTable(layout, xxh3Hashes.text).replicas('all', partitionOf(xxh3Hashes.text, key));
  return replicas.find((replica) => replica.region === region)?.store;
}

/** A key that us-1 holds, and that us-2 holds once its store has grown. */
function keyThatMoves(): string {
  const before = layoutOf(FOUR_STORES);
  const after = { ...before, regions: before.regions.map(growSecondStore) };
  for (let at = 0; ; at++) {
    const key = recordKey(namespaceIdFor('default', 1), `key-${at}`);
    if (holderIn('us', key, before) === 'us-1' && holderIn('us', key, after) === 'us-2') return `key-${at}`;
  }
}

const FOUR_STORES = { us: 2, eu: 1, ap: 1 };
const NODES = ['us-1', 'us-2', 'eu-1', 'ap-1'];
const MOVED = keyThatMoves();

/** All nodes stop. What us-1 and eu-1 have acknowledged of the key, ap-1 has not seen. */
async function stopWithWriteUnseenBy(cluster: TestCluster, away: string): Promise<void> {
  for (const node of NODES) if (node !== away) cluster.split(node, away);
  const { head } = await cluster.put('us-1', MOVED, 'acknowledged', { level: 'quorum' });
  expect(head.receipt.node).toBe('us-1');
  await cluster.time.sleep(500);
  for (const node of NODES) cluster.crash(node);
  cluster.heal();
}

describe('a store to which a changed cluster file gives keys it did not hold', () => {
  it('counts in no quorum until it has taken them in', () =>
    onCluster(FOUR_STORES, async (cluster) => {
      await stopWithWriteUnseenBy(cluster, 'ap-1');
      cluster.changeClusterFile(growSecondStore);
      await cluster.start('us-2');
      await cluster.start('ap-1');
      await cluster.settle();
      expect(isFilled(cluster, 'us-2')).toBe(false);
      expect((await cluster.node('us-2').health()).store.isFilled).toBe(false);
      expect(await codeOf(cluster.get('us-2', MOVED, { level: 'quorum' }))).toBe('QUORUM_UNAVAILABLE');
      expect(await codeOf(cluster.get('ap-1', MOVED, { level: 'quorum' }))).toBe('QUORUM_UNAVAILABLE');
      await cluster.start('eu-1');
      await cluster.settle();
      // Which keys us-1 holds alone with it is not looked at: no store may be missing where a key has three replicas.
      expect(isFilled(cluster, 'us-2')).toBe(false);
      await cluster.start('us-1');
      await cluster.settle();
      expect(isFilled(cluster, 'us-2')).toBe(true);
      expect(await cluster.get('us-2', MOVED, { level: 'quorum' })).toEqual(['acknowledged']);
      expect(await cluster.get('us-2', MOVED)).toEqual(['acknowledged']);
    }));

  it('takes them from the store that held them, where no other has them', () =>
    onCluster(FOUR_STORES, async (cluster) => {
      for (const node of ['eu-1', 'ap-1']) cluster.split('us-1', node);
      await cluster.put('us-1', MOVED, 'of one store only');
      await cluster.time.sleep(500);
      for (const node of NODES) cluster.crash(node);
      cluster.heal();
      cluster.changeClusterFile(growSecondStore);
      for (const node of NODES) await cluster.start(node);
      await cluster.settle();
      expect(NODES.map((node) => isFilled(cluster, node))).toEqual([true, true, true, true]);
      const { preferenceList } = await cluster.node('us-2').ring('default', MOVED);
      expect(preferenceList.map(({ store }) => store)).toEqual(['us-2', 'eu-1', 'ap-1']);
      for (const node of ['us-2', 'eu-1', 'ap-1'])
        expect(await cluster.get(node, MOVED)).toEqual(['of one store only']);
    }));

  it('is not taken for filled before it holds them, wherever it stops on the way', () =>
    onCluster(FOUR_STORES, async (cluster) => {
      await stopWithWriteUnseenBy(cluster, 'us-2');
      cluster.changeClusterFile(growSecondStore);
      for (const node of ['us-1', 'eu-1', 'ap-1']) await cluster.start(node);
      await cluster.settle();
      const { disk } = cluster.member('us-2');
      const holdsMoved = () => [...disk.durableKeys()].includes(recordKey(namespaceIdFor('default', 1), MOVED));
      expect(holdsMoved()).toBe(false);
      let lives = 0;
      for (let isWhole = false; !isWhole; lives++) {
        const started = cluster.start('us-2').catch(() => undefined);
        await cluster.time.sleep(1 + lives * 10);
        isWhole = cluster.member('us-2').process?.node.figures().isFilled ?? false;
        expect(!isWhole || holdsMoved(), `after ${lives} lives`).toBe(true);
        if (!isWhole) cluster.crash('us-2');
        else await started;
      }
      expect(lives).toBeGreaterThan(5);
      expect(await cluster.get('us-2', MOVED)).toEqual(['acknowledged']);
    }));
});

describe('a store that is started again', () => {
  it('counts at once where the cluster file places all keys as before, though it says other things', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (const node of ['us-1', 'eu-1', 'ap-1']) cluster.crash(node);
      cluster.changeClusterFile((region) => ({
        ...region,
        latitude: 12,
        nodes: region.nodes.map((node) => ({ ...node, http: 'moved:80' })),
      }));
      await cluster.start('us-1');
      expect(isFilled(cluster, 'us-1')).toBe(true);
    }));
});

describe('a wiped store', () => {
  it('waits for both others of three: what it had acknowledged with one of them the other may lack', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.split('us-1', 'ap-1');
      cluster.split('eu-1', 'ap-1');
      await cluster.put('us-1', 'key', 'acknowledged', { level: 'quorum' });
      cluster.wipe('us-1');
      cluster.crash('eu-1');
      cluster.heal();
      await cluster.start('us-1');
      await cluster.settle();
      expect(isFilled(cluster, 'us-1')).toBe(false);
      expect(await codeOf(cluster.get('us-1', 'key', { level: 'quorum' }))).toBe('QUORUM_UNAVAILABLE');
      await cluster.start('eu-1');
      await cluster.settle();
      expect(isFilled(cluster, 'us-1')).toBe(true);
      expect(await cluster.get('us-1', 'key')).toEqual(['acknowledged']);
    }));
});

/** With placement on three of them: a majority of these is fewer than a majority of all. */
const FIVE_STORES = { us: 1, eu: 1, ap: 1, sa: 1, af: 1 };

describe('a wiped store of five, three of which hold a namespace', () => {
  it('waits for the one other that a majority of three may have been', () =>
    onCluster(FIVE_STORES, async (cluster) => {
      await cluster
        .node('us-1')
        .putNamespace('west', { mode: 'strong', placement: { us: 1, eu: 1, ap: 1 } }, optionsOf());
      await cluster.settle();
      for (const node of ['us-1', 'eu-1']) cluster.split(node, 'ap-1');
      // On us-1 and eu-1 alone.
      await cluster.put('us-1', 'deed', 'signed', { in: 'west' });
      await cluster.time.sleep(500);
      cluster.crash('eu-1');
      cluster.wipe('us-1');
      cluster.heal();
      await cluster.start('us-1');
      await cluster.settle();
      // Three of the four others are there and filled: a majority of all stores, and yet none of them has the deed.
      expect(isFilled(cluster, 'us-1')).toBe(false);
      for (const node of ['us-1', 'ap-1'])
        expect(await codeOf(cluster.get(node, 'deed', { in: 'west', level: 'strong' }))).toBe('QUORUM_UNAVAILABLE');
      await cluster.start('eu-1');
      await cluster.settle();
      expect(isFilled(cluster, 'us-1')).toBe(true);
      cluster.crash('eu-1');
      for (const node of ['us-1', 'ap-1', 'sa-1'])
        expect(await cluster.get(node, 'deed', { in: 'west', level: 'strong' })).toEqual(['signed']);
    }));

  it('need not wait for one, where every key has five replicas', () =>
    onCluster(FIVE_STORES, async (cluster) => {
      await cluster.put('us-1', 'deed', 'signed', { level: 'quorum' });
      cluster.crash('eu-1');
      cluster.wipe('us-1');
      await cluster.start('us-1');
      await cluster.settle();
      expect(isFilled(cluster, 'us-1')).toBe(true);
      expect(await cluster.get('us-1', 'deed', { level: 'quorum' })).toEqual(['signed']);
    }));
});

describe('two wiped stores of five', () => {
  it.each([false, true])(
    'take in once more what the other had, once that is filled; restarted meanwhile: %s',
    (isRestarted) =>
      onCluster(FIVE_STORES, async (cluster) => {
        const untouched = ['sa-1', 'af-1'];
        for (const one of ['us-1', 'eu-1', 'ap-1']) for (const other of untouched) cluster.split(one, other);
        await cluster.put('us-1', 'deed', 'signed', { level: 'quorum' });
        await cluster.time.sleep(500);
        // Of all that have it only ap-1 is left, which us-1 does not reach.
        cluster.wipe('us-1');
        cluster.wipe('eu-1');
        cluster.heal();
        for (const other of ['us-1', 'eu-1', ...untouched]) cluster.split('ap-1', other);
        await cluster.start('us-1');
        await cluster.start('eu-1');
        await cluster.settle();
        expect([isFilled(cluster, 'us-1'), isFilled(cluster, 'eu-1')]).toEqual([false, false]);
        if (isRestarted) {
          cluster.crash('us-1');
          await cluster.start('us-1');
          await cluster.settle();
        }
        cluster.passes = (from, to) => ![from, to].includes('ap-1') || [from, to].includes('eu-1');
        cluster.heal();
        while (!isFilled(cluster, 'us-1')) await cluster.time.sleep(5);
        expect(isFilled(cluster, 'eu-1')).toBe(true);
        expect(await cluster.get('us-1', 'deed')).toEqual(['signed']);
      }),
  );
});

describe('a wiped store of five, four of which hold a namespace', () => {
  it('does not take over what the one that holds none of it claims of a store that is away', () =>
    onCluster(FIVE_STORES, async (cluster) => {
      const others = ['us-1', 'eu-1', 'ap-1'];
      await cluster.node('us-1').putNamespace('four', { placement: { us: 1, eu: 1, ap: 1, af: 1 } }, optionsOf());
      await cluster.settle();
      for (const node of others) cluster.split(node, 'af-1');
      await cluster.put('af-1', 'deed', 'signed', { in: 'four' });
      // sa-1, which holds nothing of the namespace, now claims all that af-1 has written.
      await cluster.time.sleep(3_000);
      cluster.crash('af-1');
      cluster.wipe('us-1');
      cluster.heal();
      await cluster.start('us-1');
      await cluster.settle();
      expect(isFilled(cluster, 'us-1')).toBe(true);
      await cluster.start('af-1');
      await cluster.settle();
      for (const node of others) expect(await cluster.get(node, 'deed', { in: 'four' })).toEqual(['signed']);
    }));

  it('takes over what all of those claim that hold it', () =>
    onCluster(FIVE_STORES, async (cluster) => {
      await cluster.node('us-1').putNamespace('four', { placement: { us: 1, eu: 1, ap: 1, af: 1 } }, optionsOf());
      const written = await cluster.put('af-1', 'deed', 'signed', { in: 'four', level: 'session' });
      await cluster.settle();
      cluster.wipe('af-1');
      cluster.wipe('us-1');
      await cluster.start('us-1');
      await cluster.settle();
      expect(isFilled(cluster, 'us-1')).toBe(true);
      for (const node of ['eu-1', 'ap-1', 'sa-1']) cluster.crash(node);
      const session = written.head.session;
      expect(await cluster.get('us-1', 'deed', { in: 'four', level: 'session', session })).toEqual(['signed']);
    }));
});

describe('a new cluster', () => {
  it('begins when a majority can talk, and not before', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (const node of ['us-1', 'eu-1', 'ap-1']) cluster.wipe(node);
      await cluster.start('us-1');
      await cluster.settle();
      expect(isFilled(cluster, 'us-1')).toBe(false);
      await cluster.start('eu-1');
      await cluster.settle();
      expect([isFilled(cluster, 'us-1'), isFilled(cluster, 'eu-1')]).toEqual([true, true]);
    }));
});

describe('a fill', () => {
  const eu = 'eu-1.bbbb' as StoreId;
  const ap = 'ap-1.cccc' as StoreId;
  const gone = 'us-1.gone' as StoreId;
  const placement = new PlacementTable(layoutOf(THREE_REGIONS), xxh3Hashes.text);
  const fingerprint = layoutFingerprint(placement.layout);
  const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

  /** A store that was filled, and has taken in all that its peers hold. */
  const onFilledStore = (play: (alone: StoreAlone) => Promise<void>): Promise<void> =>
    onStore(async (alone) => {
      await alone.store.setNote(FILLED_NOTE, fingerprint);
      await takeIn(alone);
      await play(alone);
    });

  function takeIn({ store }: StoreAlone, origins = [eu, ap]): Promise<void> {
    const position = { cursor: 5 as Sequence, applied: 5 as Sequence, isFilled: true };
    const positions = new Map(origins.map((id) => [id, position]));
    return store.update([], () => ({ writes: [], positions, result: undefined }));
  }

  /** With both peers greeted, and filled. */
  function fillingOf(alone: StoreAlone, log: Log = silent): Filling {
    return new Filling(alone.store, greetedPeers(alone, true), placement, fingerprint, () => [3], log, random);
  }

  function greetedPeers({ clock }: StoreAlone, areFilled: boolean): Peers {
    const nodes = placement.layout.regions.flatMap((region) => region.nodes);
    const peers = new Peers(nodes, 'us-1' as NodeName, clock);
    for (const peer of peers.all()) {
      const id = peer.region === 'eu' ? eu : ap;
      peers.greeted(peer, [GREETING, peer.storeName, id, 5 as Sequence, areFilled, []]);
    }
    return peers;
  }

  it.each([0, 0.05])('that was begun %d ms after the end of the one before stands', (afterMs) =>
    onFilledStore(async (alone) => {
      const filling = fillingOf(alone);
      await filling.begin('a reason');
      await takeIn(alone);
      const ended = filling.check();
      if (afterMs > 0) await alone.time.sleep(afterMs);
      await filling.begin('another reason');
      await ended;
      expect(filling.isFilled()).toBe(false);
      expect(alone.store.note(FILLED_NOTE)).toMatch(FILLING_ANEW);
      expect(alone.store.positions.size).toBe(0);
    }),
  );

  it('waits for every origin that is there, though fewer would do', () =>
    onStore(async (alone) => {
      await takeIn(alone, [eu]);
      const peers = greetedPeers(alone, false);
      const filling = new Filling(alone.store, peers, placement, fingerprint, () => [3], silent, random);
      for (const peer of peers.all()) {
        peer.isUp = true;
        peers.heard(peer.node);
      }
      await filling.check();
      expect(filling.isFilled()).toBe(false);
      for (const peer of peers.all()) peer.isUp = peer.region === 'eu';
      await filling.check();
      expect(filling.isFilled()).toBe(true);
    }));

  it('ends once, however often it is looked at', () =>
    onFilledStore(async (alone) => {
      await alone.store.setNote(FILLED_NOTE, FILLING_ANEW);
      const said: string[] = [];
      const filling = fillingOf(alone, { ...silent, info: (_figures, event) => said.push(event) });
      await Promise.all([filling.check(), filling.check()]);
      await filling.check();
      expect(said).toEqual(['this store is filled']);
    }));

  it.each([['again', fingerprint] as const, ['under another layout', 'former'] as const])(
    'that is begun %s is owed by whatever a stop on the way leaves on the disk',
    (_how, note) =>
      onFilledStore(async (alone) => {
        await alone.store.setNote(FILLED_NOTE, note);
        const filling = fillingOf(alone);
        const left: SimulatedDisk[] = [];
        let isBegun = false;
        const begun = filling.begin('a reason').finally(() => {
          isBegun = true;
        });
        for (; !isBegun; await alone.time.sleep(0.05)) left.push(alone.disk.copy());
        left.push(alone.disk.copy());
        await begun;
        const notes = new Set<string | undefined>();
        for (const disk of left) {
          const store = alone.open(disk);
          notes.add(store.note(FILLED_NOTE));
          const isUntouched = store.note(FILLED_NOTE) === fingerprint && store.positions.size === 2;
          const afterwards = fillingOf({ ...alone, store });
          await afterwards.start();
          expect(afterwards.isFilled()).toBe(isUntouched);
        }
        expect(notes.size).toBeGreaterThan(2);
      }),
  );

  it('forgets its positions once the disk lets it, and believes none of them before', () =>
    onFilledStore(async (alone) => {
      const filling = fillingOf(alone);
      alone.disk.isFull = true;
      await expect(filling.begin('a reason')).rejects.toThrow();
      await expect(filling.check()).rejects.toThrow();
      expect([filling.isFilled(), alone.store.positions.size]).toEqual([false, 2]);
      alone.disk.isFull = false;
      await filling.check();
      expect([filling.isFilled(), alone.store.positions.size]).toEqual([false, 0]);
      await takeIn(alone);
      await filling.check();
      expect([filling.isFilled(), alone.store.note(FILLED_NOTE)]).toEqual([true, fingerprint]);
    }));

  it('takes over what its origins claim of stores that are gone, and of no others', () =>
    onFilledStore(async (alone) => {
      await alone.store.setNote(FILLED_NOTE, FILLING_ANEW);
      const filling = fillingOf(alone);
      filling.listen(
        () =>
          new Map([
            [gone, 7 as Sequence],
            [eu, 9 as Sequence],
            [alone.store.id, 3 as Sequence],
          ]),
      );
      await filling.start();
      expect(filling.isFilled()).toBe(true);
      const claims = new Map([...alone.store.positions].map(([id, { applied }]) => [id, applied]));
      expect(claims).toEqual(
        new Map([
          [eu, 5],
          [ap, 5],
          [gone, 7],
        ]),
      );
    }));
});

describe('a store that is filled anew', () => {
  it('takes no batch for a part of the fill that was asked for before it', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.put('us-1', 'key', 'value');
      await cluster.settle();
      const taken: Message[] = [];
      cluster.passes = (from, to, message) => {
        if (from !== 'eu-1' || to !== 'ap-1' || message[0] !== CHANGES) return true;
        taken.push(message);
        return false;
      };
      // Of a store under a new id its own writes alone are wanted, all of them.
      cluster.wipe('eu-1');
      await cluster.start('eu-1');
      while (taken.length === 0) await cluster.time.sleep(1);
      const { transport, store } = cluster.member('ap-1').process ?? {};
      const { sequence } = cluster.node('us-1').figures();
      const former = ['ap-1.former' as StoreId, 9 as Sequence] as const;
      const ping: Message = [PING, 1, cluster.storeId('us-1') as StoreId, sequence as Sequence, true, [former]];
      transport?.handler?.onMessage(cluster.member('us-1').name, ping);
      while (store?.positions.size !== 0) await cluster.time.sleep(0.1);
      transport?.handler?.onMessage(cluster.member('eu-1').name, taken[0] as Message);
      await cluster.time.sleep(1_000);
      expect(cluster.node('ap-1').figures().isFilled).toBe(false);
      cluster.passes = () => true;
      await cluster.settle();
      expect(cluster.node('ap-1').figures().isFilled).toBe(true);
    }));
});
