import type { VersionVector } from '@meridian/core/causality/version-vector';
import type { NodeName, RegionName, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import type { LayoutNode } from '@meridian/core/placement/layout';
import { GREETING, PING } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { ProcessClock, VirtualTime } from '../../../../test/simulation/virtual-time.ts';
import { SUSPECT_MS } from './limits.ts';
import { type Peer, Peers } from './peers.ts';

/** eu-2 and eu-3 share a store. */
const NODES = [node('us', 1, 1), node('eu', 1, 1), node('eu', 2, 2), node('eu', 3, 2)];
const STORE = 'eu-1.bbbb' as StoreId;
const OTHER = 'eu-1.cccc' as StoreId;

function node(region: string, at: number, store: number): LayoutNode {
  return {
    name: `${region}-${at}` as NodeName,
    region: region as RegionName,
    store: `${region}-${store}` as StoreName,
    http: `${region}-${at}:80`,
    peer: '-',
  };
}

function peersOfUs() {
  const time = new VirtualTime();
  const peers = new Peers(NODES, 'us-1' as NodeName, new ProcessClock(time, 0));
  const peer = (name: string): Peer => {
    const found = peers.get(name as NodeName);
    if (!found) throw new Error(`no peer is called ${name}`);
    return found;
  };
  const meet = (name: string, store = STORE, sequence = 1): StoreId | undefined => {
    const met = peer(name);
    peers.heard(met.node);
    met.isUp = true;
    return peers.greeted(met, [GREETING, met.storeName, store, sequence as Sequence, true, []]);
  };
  const passMs = async (ms: number): Promise<void> => {
    let isOver = false;
    time.at(ms, () => {
      isOver = true;
    });
    await time.run(() => isOver);
  };
  return { peers, peer, meet, passMs };
}

describe('the peers of a node', () => {
  it('are all nodes of the layout but itself', () => {
    const { peers, peer } = peersOfUs();
    expect([...peers.all()].map((one) => one.node)).toEqual(['eu-1', 'eu-2', 'eu-3']);
    expect(peers.count).toBe(3);
    expect(peers.get('us-1' as NodeName)).toBeUndefined();
    expect(peers.heard('xx-1' as NodeName)).toBeUndefined();
    expect(peer('eu-3')).toMatchObject({ region: 'eu', storeName: 'eu-2', http: 'eu-3:80', storeId: undefined });
  });

  it('tells whether any has said who it is, and whether all have', () => {
    const { peers, meet } = peersOfUs();
    const told = () => [peers.isAnyGreeted, peers.areAllGreeted];
    expect(told()).toEqual([false, false]);
    meet('eu-1');
    expect(told()).toEqual([true, false]);
    for (const name of ['eu-2', 'eu-3']) meet(name);
    expect(told()).toEqual([true, true]);
  });
});

describe('a peer', () => {
  it('is live while it is connected, has said who it is, and was heard of lately', async () => {
    const { peers, peer, meet, passMs } = peersOfUs();
    const eu = peer('eu-1');
    eu.isUp = true;
    peers.heard(eu.node);
    expect(peers.isLive(eu)).toBe(false);
    meet('eu-1');
    expect(peers.isLive(eu)).toBe(true);
    await passMs(SUSPECT_MS - 1);
    expect(peers.isLive(eu)).toBe(true);
    await passMs(1);
    expect([peers.isLive(eu), peers.isStoreLive(eu.storeName)]).toEqual([false, false]);
    peers.heard(eu.node);
    expect([peers.isLive(eu), peers.isStoreLive(eu.storeName)]).toEqual([true, true]);
    eu.isUp = false;
    expect(peers.isLive(eu)).toBe(false);
  });

  it('is told to have another store than before, once', () => {
    const { meet } = peersOfUs();
    expect(meet('eu-1', STORE)).toBeUndefined();
    expect(meet('eu-1', STORE)).toBeUndefined();
    expect(meet('eu-1', OTHER)).toBe(STORE);
    expect(meet('eu-1', OTHER)).toBeUndefined();
  });

  it('is as far along as it said last, in a greeting or a ping', () => {
    const { peers, peer, meet } = peersOfUs();
    const eu = peer('eu-1');
    meet('eu-1', STORE, 3);
    expect(eu).toMatchObject({ storeId: STORE, sequence: 3, isFilled: true });
    const claims: VersionVector = new Map([[OTHER, 4 as Sequence]]);
    peers.pinged(eu, [PING, 1, STORE, 8 as Sequence, false, [...claims]]);
    expect(eu).toMatchObject({ storeId: STORE, sequence: 8, isFilled: false, applied: claims });
  });
});

describe('a store that several nodes serve', () => {
  it('is spoken to through one that is live, else through the first', async () => {
    const { peers, peer, meet, passMs } = peersOfUs();
    const store = 'eu-2' as StoreName;
    expect(peers.ofStore(store)?.node).toBe('eu-2');
    meet('eu-3');
    expect([peers.ofStore(store)?.node, peers.isStoreLive(store)]).toEqual(['eu-3', true]);
    meet('eu-2');
    expect(peers.ofStore(store)?.node).toBe('eu-2');
    peer('eu-2').isUp = false;
    expect([peers.ofStore(store)?.node, peers.isStoreLive(store)]).toEqual(['eu-3', true]);
    await passMs(SUSPECT_MS);
    expect([peers.ofStore(store)?.node, peers.isStoreLive(store)]).toEqual(['eu-2', false]);
    expect([peers.ofStore('xx-1' as StoreName), peers.isStoreLive('xx-1' as StoreName)]).toEqual([undefined, false]);
  });
});

describe('the distance to a region', () => {
  it('is that to its nearest node, and far where none was measured', () => {
    const { peers, peer } = peersOfUs();
    const eu = 'eu' as RegionName;
    expect(peers.rttMs(eu)).toBe(10_000);
    peers.measured(peer('eu-1'), 90);
    peers.measured(peer('eu-2'), 80);
    peers.measured(peer('eu-3'), 95);
    expect(peers.rttMs(eu)).toBe(80);
  });

  it('follows a route that has changed within some pings, and one slow ping but a little', () => {
    const { peers, peer } = peersOfUs();
    const eu = peer('eu-1');
    peers.measured(eu, 100);
    expect(eu.rttMs).toBe(100);
    peers.measured(eu, 200);
    expect(eu.rttMs).toBe(130);
    for (let pings = 0; pings < 10; pings++) peers.measured(eu, 200);
    expect(eu.rttMs).toBeGreaterThan(195);
    expect(eu.rttMs).toBeLessThan(200);
  });
});

describe('what this store holds of a peer', () => {
  it('is as fresh as the ping that the peer had answered when it told, once all of that is applied', async () => {
    const { peers, peer, meet, passMs } = peersOfUs();
    const eu = peer('eu-1');
    const appliedUpTo = (applied: number) => (store: StoreId) => (store === STORE ? applied : 0) as Sequence;
    meet('eu-1', STORE, 5);
    peers.refresh(eu, appliedUpTo(5));
    expect(eu.freshAtMs).toBeUndefined();
    await passMs(1_000);
    peers.measured(eu, 100);
    await passMs(300);
    peers.pinged(eu, [PING, 1, STORE, 5 as Sequence, true, []]);
    peers.refresh(eu, appliedUpTo(4));
    expect(eu.freshAtMs).toBeUndefined();
    await passMs(500);
    peers.refresh(eu, appliedUpTo(5));
    expect(eu.freshAtMs).toBe(900);
    // Behind again: it stays as fresh as it was.
    peers.pinged(eu, [PING, 1, STORE, 6 as Sequence, true, []]);
    peers.refresh(eu, appliedUpTo(5));
    expect(eu.freshAtMs).toBe(900);
  });

  it('is no fresher for what was said long ago and waited while this process stood still', async () => {
    const { peers, peer, meet, passMs } = peersOfUs();
    const eu = peer('eu-1');
    meet('eu-1', STORE, 5);
    await passMs(1_000);
    peers.measured(eu, 100);
    await passMs(60_000);
    peers.pinged(eu, [PING, 2, STORE, 5 as Sequence, true, []]);
    peers.refresh(eu, () => 5 as Sequence);
    expect(eu.freshAtMs).toBe(900);
  });

  it('is not fresh for a node whose store is known to be further, by another node of it', async () => {
    const { peers, peer, meet, passMs } = peersOfUs();
    const shared = 'eu-2.dddd' as StoreId;
    for (const name of ['eu-2', 'eu-3']) peers.measured(peer(name), 0);
    meet('eu-2', shared, 10);
    meet('eu-3', shared, 8);
    const applied = () => 9 as Sequence;
    await passMs(1_000);
    for (const name of ['eu-2', 'eu-3']) peers.refresh(peer(name), applied);
    expect([peer('eu-2').freshAtMs, peer('eu-3').freshAtMs]).toEqual([undefined, undefined]);
    peers.refresh(peer('eu-3'), () => 10 as Sequence);
    expect(peer('eu-3').freshAtMs).toBe(0);
  });

  it('is not known to be anything once the peer has another store', () => {
    const { peers, peer, meet } = peersOfUs();
    const eu = peer('eu-1');
    peers.measured(eu, 0);
    meet('eu-1', STORE, 5);
    peers.refresh(eu, () => 5 as Sequence);
    expect(eu.freshAtMs).toBeDefined();
    meet('eu-1', OTHER, 0);
    expect(eu.freshAtMs).toBeUndefined();
  });
});
