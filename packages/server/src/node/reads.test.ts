import { ANSWER, CHANGES, MERGE, READ, REQUEST } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { codeOf, onCluster, optionsOf, type TestCluster, THREE_REGIONS } from './cluster.testing.ts';

const noChangesTo =
  (node: string): TestCluster['passes'] =>
  (_from, to, message) =>
    !(to === node && message[0] === CHANGES);

describe('a quorum read', () => {
  it('repairs replicas that answered with less, once', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      let merges = 0;
      const stale = noChangesTo('ap-1');
      cluster.passes = (from, to, message) => {
        if (message[0] === REQUEST && message[4][0] === MERGE && to === 'ap-1') merges += 1;
        return stale(from, to, message);
      };
      await cluster.put('us-1', 'other', 'value');
      expect(await cluster.get('us-1', 'other', { level: 'quorum' })).toEqual(['value']);
      await cluster.time.sleep(3_000);
      expect(merges).toBe(1);
      expect(await cluster.get('ap-1', 'other')).toEqual(['value']);
    }));

  it('gives what one of a majority has, and counts who answered', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.passes = noChangesTo('ap-1');
      await cluster.put('us-1', 'key', 'value');
      cluster.crash('eu-1');
      await cluster.settle();
      const { head, values } = await cluster.node('ap-1').get('default', 'key', optionsOf({ level: 'quorum' }));
      expect(values).toHaveLength(1);
      expect([head.receipt.replicasAsked, head.receipt.replicasAnswered]).toEqual([2, 2]);
      cluster.crash('us-1');
      await cluster.settle();
      expect(await codeOf(cluster.get('ap-1', 'key', { level: 'quorum' }))).toBe('QUORUM_UNAVAILABLE');
    }));

  it('says that too few answered where they are silent, and is not disturbed by what comes late', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.passes = (_from, to, message) => !(to === 'us-1' && message[0] === ANSWER);
      expect(await codeOf(cluster.get('us-1', 'key', { level: 'quorum', timeoutMs: 300 }))).toBe('QUORUM_UNAVAILABLE');
      cluster.passes = () => true;
      await cluster.settle();
      expect(await cluster.get('us-1', 'key', { level: 'quorum' })).toEqual([]);
      await cluster.settle();
      expect(cluster.node('us-1').figures().callsPending).toBe(0);
    }));
});

describe('an eventual read of a key that is held elsewhere', () => {
  it('is tried at the next replica where the first is silent, well before its time is over', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('ap-1').putNamespace('west', { placement: { us: 1, eu: 1 } }, optionsOf());
      await cluster.put('us-1', 'key', 'value', { in: 'west' });
      await cluster.settle();
      let asked = '';
      cluster.passes = (from, to, message) => {
        if (from !== 'ap-1' || message[0] !== REQUEST || message[4][0] !== READ) return true;
        asked ||= to;
        return to !== asked;
      };
      const startedAtMs = cluster.time.nowMs;
      expect(await cluster.get('ap-1', 'key', { in: 'west' })).toEqual(['value']);
      expect(cluster.time.nowMs - startedAtMs).toBeLessThan(600);
    }));

  it('leaves nothing of the key on a disk that must not have it', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('ap-1').putNamespace('west', { placement: { us: 1, eu: 1 } }, optionsOf());
      await cluster.put('ap-1', 'key', 'value', { in: 'west', level: 'quorum' });
      for (const level of ['eventual', 'session', 'quorum'] as const)
        expect(await cluster.get('ap-1', 'key', { in: 'west', level })).toEqual(['value']);
      await cluster.settle();
      expect([...cluster.member('ap-1').disk.durableKeys()].filter((key) => key.startsWith('west'))).toEqual([]);
    }));
});

describe('a session', () => {
  it('reads its own writes in another region, waiting or asking elsewhere where that lags', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.passes = noChangesTo('ap-1');
      const { head } = await cluster.put('us-1', 'key', 'value', { level: 'session' });
      expect(await cluster.get('ap-1', 'key')).toEqual([]);
      const options = { level: 'session', session: head.session } as const;
      expect(await cluster.get('ap-1', 'key', options)).toEqual(['value']);
      cluster.crash('us-1');
      cluster.crash('eu-1');
      await cluster.settle();
      expect(await codeOf(cluster.get('ap-1', 'key', options))).toBe('SESSION_NOT_COVERED');
    }));

  it('hands on what the writer of a value had seen', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      // ap hears from eu, and not from us.
      cluster.passes = (from, to, message) => !(from === 'us-1' && to === 'ap-1' && message[0] === CHANGES);
      const first = await cluster.put('us-1', 'cause', '1', { level: 'session' });
      const second = await cluster.put('eu-1', 'effect', '2', { level: 'session', session: first.head.session });
      await cluster.time.sleep(300);
      expect(second.existed).toBe(false);
      const read = await cluster.node('ap-1').get('default', 'effect', optionsOf({ level: 'session' }));
      expect(read.values).toHaveLength(1);
      expect(await cluster.get('ap-1', 'cause')).toEqual([]);
      expect(await cluster.get('ap-1', 'cause', { level: 'session', session: read.head.session })).toEqual(['1']);
    }));

  it('refuses tokens and contexts that were forged, cut short or made for another key', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const { head } = await cluster.put('us-1', 'key', 'value', { level: 'session' });
      for (const session of ['x', head.session.slice(0, -1), `${head.session}A`, head.context])
        expect(await codeOf(cluster.get('us-1', 'key', { level: 'session', session }))).toBe('INVALID_SESSION');
      for (const context of ['x', head.context.slice(1), head.session])
        expect(await codeOf(cluster.put('us-1', 'key', 'new', { context }))).toBe('INVALID_CONTEXT');
      expect(await codeOf(cluster.put('us-1', 'other', 'new', { context: head.context }))).toBe('INVALID_CONTEXT');
      expect(await codeOf(cluster.put('eu-1', 'key', 'new', { context: head.context }))).toBe('no error');
    }));
});
