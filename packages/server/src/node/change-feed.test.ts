import { describe, expect, it } from 'vitest';
import { codeOf, onCluster, optionsOf, THREE_REGIONS } from './cluster.testing.ts';

const keys = Array.from({ length: 10 }, (_none, at) => `key-${at}`);

describe('changes', () => {
  it('come in order, resume where they ended, and hide the catalog', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.node('us-1').putNamespace('shop', {}, optionsOf());
      for (const key of keys) await cluster.put('us-1', key, key, { in: 'shop' });
      const seen: string[] = [];
      let since = 0;
      for (let isComplete = false; !isComplete; ) {
        const page = await cluster.node('us-1').changes(since, 3, undefined);
        expect(page.upTo).toBeGreaterThanOrEqual(since);
        for (const { record: change, sequence } of page.changes) {
          expect(sequence).toBeGreaterThan(since);
          expect(change.namespace).toBe('shop');
          seen.push(change.key);
        }
        ({ upTo: since, isComplete } = page);
      }
      expect(seen).toEqual(keys);
      expect(await codeOf(cluster.node('us-1').changes(0, 10, 'none'))).toBe('NAMESPACE_NOT_FOUND');
    }));
});
