import { ANSWER, CHANGES, MERGE, READ, REQUEST } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import type { Member } from '../../../../test/simulation/member.ts';
import { codeOf, onCluster, optionsOf, type TestCluster, THREE_REGIONS } from './cluster.testing.ts';

type Process = Member['process'];

const noChangesTo =
  (node: string): TestCluster['passes'] =>
  (_from, to, message) =>
    !(to === node && message[0] === CHANGES);

describe('a quorum read', () => {
  it('counts no replica that was being filled when it looked, though it is filled when it answers', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.passes = noChangesTo('eu-1');
      cluster.split('us-1', 'eu-1');
      await cluster.put('us-1', 'key', 'value', { level: 'quorum' });
      await cluster.time.sleep(500);
      cluster.wipe('ap-1');
      let mayFill = false;
      // By us-1 itself eu-1 would be told of the value.
      cluster.passes = (from, to, message) =>
        message[0] === CHANGES
          ? to === 'ap-1' && mayFill
          : !(from === 'us-1' && to === 'eu-1' && message[0] === ANSWER);
      cluster.heal();
      await cluster.start('ap-1');
      const { node, store } = cluster.member('ap-1').process as NonNullable<Process>;
      const get = store.get.bind(store);
      let hasLooked = false;
      store.get = async (key) => {
        const bytes = await get(key);
        hasLooked = true;
        mayFill = true;
        while (!node.figures().isFilled) await cluster.time.sleep(10);
        return bytes;
      };
      await cluster.time.sleep(1_000);
      const told = await cluster
        .get('eu-1', 'key', { level: 'quorum', timeoutMs: 20_000 })
        .catch((error: { code?: string }) => error.code);
      expect(hasLooked).toBe(true);
      expect(node.figures().isFilled).toBe(true);
      expect(told).toBe('QUORUM_UNAVAILABLE');
    }));

  it.each(['another node', 'its own node'] as const)(
    'by %s counts no store that may be older than what others have seen of it',
    (reader) =>
      onCluster(THREE_REGIONS, async (cluster) => {
        await cluster.put('us-1', 'key', 'old', { level: 'quorum' });
        await cluster.settle();
        const backup = cluster.disk('us-1').copy();
        cluster.split('us-1', 'ap-1');
        cluster.passes = noChangesTo('ap-1');
        await cluster.put('us-1', 'key', 'new', { level: 'strong' });
        await cluster.time.sleep(500);
        cluster.crash('us-1');
        cluster.member('us-1').disk = backup;
        // Only eu-1 knows that there was more, and it is not heard at first.
        cluster.passes = (from, to, message) => from !== 'eu-1' && noChangesTo('ap-1')(from, to, message);
        cluster.heal();
        await cluster.start('us-1');
        await cluster.time.sleep(600);
        const node = reader === 'its own node' ? 'us-1' : 'ap-1';
        const read = cluster.get(node, 'key', { level: 'strong', timeoutMs: 300 });
        expect(await read.catch((error: { code?: string }) => error.code)).toBe('QUORUM_UNAVAILABLE');
        cluster.passes = noChangesTo('ap-1');
        await cluster.settle();
        expect(await cluster.get(node, 'key', { level: 'strong' })).toEqual(['new']);
      }),
  );

  it('waits for its own store to find out how old it is, where the others do not do without', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.put('us-1', 'key', 'value', { level: 'quorum' });
      await cluster.settle();
      for (const node of ['us-1', 'eu-1']) cluster.crash(node);
      await cluster.start('us-1');
      await cluster.time.sleep(800);
      expect(await cluster.get('us-1', 'key', { level: 'strong' })).toEqual(['value']);
      expect(await cluster.get('ap-1', 'key', { level: 'strong' })).toEqual(['value']);
    }));

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
