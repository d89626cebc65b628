import { ANSWER, MERGE, REQUEST } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { codeOf, onCluster, optionsOf, THREE_REGIONS } from './cluster.testing.ts';
import { GONE, portableRecord as record } from './portable.testing.ts';

const keys = Array.from({ length: 40 }, (_none, at) => `key-${at}`);

describe('sync', () => {
  it('repairs both ways and says how many records went which way', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.passes = (_from, _to, message) => !(message[0] === REQUEST && message[4][0] === MERGE);
      const away = (from: number, count: number) =>
        keys.slice(from, from + count).map((key, at) => record(key, GONE, from + at + 1));
      await codeOf(cluster.node('us-1').replicate(away(0, 3), optionsOf()));
      await codeOf(cluster.node('eu-1').replicate(away(3, 5), optionsOf()));
      cluster.passes = () => true;
      const answer = await cluster.node('us-1').sync('eu', undefined, optionsOf());
      expect(answer).toMatchObject({ recordsSent: 3, recordsReceived: 5, partitionsCompared: 1024 });
      expect(answer.partitionsDifferent).toBeGreaterThan(4);
      expect(await cluster.node('us-1').sync('eu', undefined, optionsOf())).toMatchObject({
        recordsSent: 0,
        recordsReceived: 0,
        partitionsDifferent: 0,
      });
    }));

  it('refuses a region that is not there, and says which store cannot be reached', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      expect(await codeOf(cluster.node('us-1').sync('mars', undefined, optionsOf()))).toBe('INVALID_PARAMETER');
      cluster.crash('ap-1');
      await cluster.settle();
      expect(await codeOf(cluster.node('us-1').sync(undefined, undefined, optionsOf()))).toBe('REPLICA_UNAVAILABLE');
      expect(await codeOf(cluster.node('us-1').sync('eu', 'default', optionsOf()))).toBe('no error');
    }));

  it('shows no key to a region that holds none of its namespace', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('us-1').putNamespace('near', { placement: { us: 1, ap: 1 } }, optionsOf());
      await cluster.put('us-1', 'of-near', 'x', { in: 'near' });
      await cluster.put('us-1', 'of-all', 'x');
      await cluster.settle();
      const shown: string[] = [];
      cluster.passes = (_from, to, message) => {
        if (to === 'eu-1' && message[0] === ANSWER) shown.push(JSON.stringify(message));
        return true;
      };
      await cluster.node('eu-1').sync(undefined, undefined, optionsOf());
      expect(shown.some((answer) => answer.includes('of-all'))).toBe(true);
      expect(shown.filter((answer) => answer.includes('of-near'))).toEqual([]);
      expect(await cluster.node('eu-1').sync(undefined, 'near', optionsOf())).toMatchObject({ partitionsCompared: 0 });
      expect(await cluster.node('ap-1').sync('us', 'near', optionsOf())).toMatchObject({ partitionsCompared: 1024 });
    }));
});
