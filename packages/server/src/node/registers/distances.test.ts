import type { Members } from '@meridian/core/coordination/paxos/messages';
import type { RegionName, StoreId, StoreName } from '@meridian/core/ids';
import type { Replica as Place } from '@meridian/core/placement/preference-list';
import { describe, expect, it } from 'vitest';
import type { NodeState } from '../node-state.ts';
import { Distances } from './distances.ts';

const NAMES = ['us-1', 'eu-1', 'ap-1'] as const;
const MEMBERS: Members = NAMES.map((name) => ({ name: name as StoreName, id: `${name}.a` as StoreId }));
const PLACES: readonly Place[] = NAMES.map((name) => ({
  store: name as StoreName,
  region: name as string as RegionName,
}));

/** Seen from us-1. What is not named was never measured. */
function seen(rtts: Record<string, number>) {
  const away = new Set<string>();
  const time = { nowMs: 0 };
  const peerOf = (name: string) =>
    rtts[name] === undefined ? { name } : { name, rttMs: rtts[name], nearestRttMs: rtts[name] };
  const state = {
    self: { store: 'us-1' },
    clock: { monotonicMs: () => time.nowMs },
    peers: {
      ofStore: (name: string) => (name === 'us-1' ? undefined : peerOf(name)),
      isLive: ({ name }: { name: string }) => !away.has(name),
    },
  };
  return { distances: new Distances(state as unknown as NodeState), away, time, rtts };
}

const namesOf = (members: Members) => members.map(({ name }) => name);

describe('distances', () => {
  it('tell who is enough where all are near: the nearest, this store first', () => {
    const { distances } = seen({ 'eu-1': 3, 'ap-1': 1 });
    expect(namesOf(distances.enoughOf(MEMBERS, 2))).toEqual(['us-1', 'ap-1']);
    expect(distances.enoughOf(MEMBERS, 3)).toBe(MEMBERS);
  });

  it('leave nobody out where one is far, was never measured, or was not heard of', () => {
    expect(seen({ 'eu-1': 3, 'ap-1': 80 }).distances.enoughOf(MEMBERS, 2)).toBe(MEMBERS);
    expect(seen({ 'eu-1': 3 }).distances.enoughOf(MEMBERS, 2)).toBe(MEMBERS);
    const { distances, away } = seen({ 'eu-1': 3, 'ap-1': 1 });
    away.add('eu-1');
    expect(distances.enoughOf(MEMBERS, 2)).toBe(MEMBERS);
  });

  it('tell the way to the farthest that was measured', () => {
    expect(seen({ 'eu-1': 3, 'ap-1': 80 }).distances.farthestMs(PLACES)).toBe(80);
    expect(seen({}).distances.farthestMs(PLACES)).toBe(0);
  });

  it('are looked at anew after a moment, not with each operation', () => {
    const { distances, time, rtts, away } = seen({ 'eu-1': 3, 'ap-1': 1 });
    distances.enoughOf(MEMBERS, 2);
    distances.farthestMs(PLACES);
    rtts['eu-1'] = 4;
    away.add('ap-1');
    time.nowMs = 9;
    expect([distances.enoughOf(MEMBERS, 2).length, distances.farthestMs(PLACES)]).toEqual([2, 3]);
    time.nowMs = 10;
    expect([distances.enoughOf(MEMBERS, 2).length, distances.farthestMs(PLACES)]).toEqual([3, 4]);
  });
});
