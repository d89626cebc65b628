import { ANSWER, MERGE, REQUEST, WRITE } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { codeOf, onCluster, optionsOf, type TestCluster, THREE_REGIONS } from './cluster.testing.ts';
import { WRITES_PENDING_MAX } from './limits.ts';

/** Counts the writes that are passed on, to whom. */
function countWrites(cluster: TestCluster, passes: TestCluster['passes'] = () => true): string[] {
  const sentTo: string[] = [];
  cluster.passes = (from, to, message) => {
    if (message[0] === REQUEST && message[4][0] === WRITE) sentTo.push(to);
    return passes(from, to, message);
  };
  return sentTo;
}

const WEST = { placement: { us: 1, eu: 1 } };

describe('a write of a key that is held elsewhere', () => {
  it('is never tried twice once it was sent: its outcome is unknown, and it may stand', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('ap-1').putNamespace('west', WEST, optionsOf());
      await cluster.settle();
      const sentTo = countWrites(cluster, (_from, to, message) => !(to === 'ap-1' && message[0] === ANSWER));
      expect(await codeOf(cluster.put('ap-1', 'key', 'value', { in: 'west', timeoutMs: 500 }))).toBe('OUTCOME_UNKNOWN');
      expect(sentTo).toHaveLength(1);
      await cluster.settle();
      expect(await cluster.get('us-1', 'key', { in: 'west' })).toEqual(['value']);
    }));

  it('goes to the next replica where the nearest is known to be away', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('ap-1').putNamespace('west', WEST, optionsOf());
      await cluster.settle();
      cluster.crash('us-1');
      await cluster.settle();
      const sentTo = countWrites(cluster);
      const answer = await cluster.put('ap-1', 'key', 'value', { in: 'west' });
      expect([answer.region, sentTo]).toEqual(['eu', ['eu-1']]);
      cluster.crash('eu-1');
      await cluster.settle();
      expect(await codeOf(cluster.put('ap-1', 'key', 'value', { in: 'west' }))).toBe('REPLICA_UNAVAILABLE');
    }));
});

describe('an eventual write', () => {
  it('is on a majority of the replicas of its region before it is acknowledged', () =>
    onCluster({ us: 2, eu: 1 }, async (cluster) => {
      await cluster.node('us-1').putNamespace('both', { placement: { us: 2, eu: 1 } }, optionsOf());
      await cluster.settle();
      const answer = await cluster.put('us-1', 'key', 'value', { in: 'both' });
      const name = 'both.1\0key' as never;
      expect(cluster.member('us-1').disk.durableRecord(name)).toBeDefined();
      expect(cluster.member('us-2').disk.durableRecord(name)).toBeDefined();
      expect([answer.head.receipt.replicasAsked, answer.head.receipt.replicasAnswered]).toEqual([2, 2]);
      cluster.crash('us-2');
      await cluster.settle();
      expect(await codeOf(cluster.put('us-1', 'key', 'next', { in: 'both' }))).toBe('QUORUM_UNAVAILABLE');
      expect(await cluster.get('us-1', 'key', { in: 'both' })).toEqual(['value']);
    }));

  it('that a slow disk has not confirmed in time has an unknown outcome, and then stands', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.member('us-1').disk.slowness = 2_000;
      expect(await codeOf(cluster.put('us-1', 'key', 'value', { timeoutMs: 100 }))).toBe('OUTCOME_UNKNOWN');
      cluster.member('us-1').disk.slowness = 1;
      await cluster.settle();
      expect(await cluster.get('eu-1', 'key')).toEqual(['value']);
    }));

  it('is refused, not kept, where too many wait for the disk; later ones are taken again', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.member('us-1').disk.slowness = 2_000;
      await cluster.time.sleep(1);
      const waiting = Array.from({ length: WRITES_PENDING_MAX }, () =>
        codeOf(cluster.put('us-1', 'key', '', { timeoutMs: 60_000 })),
      );
      await cluster.time.sleep(1);
      expect(await codeOf(cluster.put('us-1', 'key', 'one too many'))).toBe('RATE_LIMITED');
      cluster.member('us-1').disk.slowness = 1;
      expect(new Set(await Promise.all(waiting))).toEqual(new Set(['no error']));
      expect(await codeOf(cluster.put('us-1', 'key', 'again'))).toBe('no error');
    }));

  it('on a full disk was not made, and is once there is room', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.disk('us-1').isFull = true;
      expect(await codeOf(cluster.put('us-1', 'key', 'value'))).toBe('STORE_FULL');
      expect(await cluster.get('us-1', 'key')).toEqual([]);
      cluster.disk('us-1').isFull = false;
      expect(await codeOf(cluster.put('us-1', 'key', 'value'))).toBe('no error');
    }));
});

describe('a quorum write', () => {
  it('has an unknown outcome where it is durable here and a majority did not confirm in time', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.passes = (_from, _to, message) => !(message[0] === REQUEST && message[4][0] === MERGE);
      const put = cluster.put('us-1', 'key', 'value', { level: 'quorum', timeoutMs: 300 });
      expect(await codeOf(put)).toBe('OUTCOME_UNKNOWN');
      expect(await cluster.get('us-1', 'key')).toEqual(['value']);
    }));

  it('that creates, or deletes, looks at a majority first', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.split('us-1', 'ap-1');
      cluster.split('eu-1', 'ap-1');
      await cluster.put('us-1', 'key', 'value', { level: 'quorum' });
      cluster.heal();
      cluster.passes = (_from, _to, message) => message[0] === REQUEST || message[0] === ANSWER || message[0] > 3;
      const { node } = cluster.node('ap-1');
      const body = { body: new Uint8Array(1), contentType: 'text/plain' };
      await cluster.settle();
      const create = cluster.node(node).create('default', 'key', body, optionsOf({ level: 'quorum' }));
      expect(await codeOf(create)).toBe('KEY_EXISTS');
      const deleted = await cluster.node(node).delete('default', 'key', undefined, optionsOf({ level: 'quorum' }));
      expect(deleted.existed).toBe(true);
    }));
});
