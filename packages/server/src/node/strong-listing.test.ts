import { describe, expect, it } from 'vitest';
import { codeOf, THREE_REGIONS } from './cluster.testing.ts';
import type { KeyRange, RequestOptions } from './service.ts';
import { EXACT, isAccept, isNews, onStrongCluster, type StrongClients, strongOptions } from './strong.testing.ts';

const NODES = ['us-1', 'eu-1', 'ap-1'] as const;
const RELAXED = { level: 'eventual', isDefaultLevel: false } as const;
const decoder = new TextDecoder();

/** `key=value` of each item, page by page. */
async function listed(
  { cluster }: StrongClients,
  node: string,
  more: Partial<RequestOptions> = {},
  range: Partial<KeyRange> = {},
): Promise<readonly string[]> {
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await cluster
      .node(node)
      .list(EXACT, { prefix: '', limit: 100, ...range, cursor }, strongOptions(more));
    found.push(
      ...page.items.map(({ key, values }) => `${key}=${values.map(({ body }) => decoder.decode(body)).join('|')}`),
    );
    cursor = page.cursor;
  } while (cursor !== undefined);
  return found;
}

describe('a listing of a strong namespace', () => {
  it('shows what was written and deleted anywhere, though no news of it has come', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      cluster.passes = (_from, _to, message) => !isNews(message);
      for (let at = 0; at < 9; at++) await clients.put(NODES[at % 3] as string, `key-${at}`, `${at}`);
      await clients.delete('us-1', 'key-4');
      await clients.put('eu-1', 'key-5', 'again');
      const expected = ['0', '1', '2', '3', 'again', '6', '7', '8'].map(
        (value, at) => `key-${at < 4 ? at : at + 1}=${value}`,
      );
      for (const node of NODES) {
        expect(await listed(clients, node)).toEqual(expected);
        expect(await listed(clients, node, {}, { limit: 3 })).toEqual(expected);
      }
      expect(await listed(clients, 'ap-1', {}, { start: 'key-2', end: 'key-6' })).toEqual(expected.slice(2, 5));
    }));

  it('that is relaxed shows what is known here to be chosen, and nothing that was only accepted', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'known', 'one');
      await cluster.settle();
      cluster.passes = (from, _to, message) => !(from === 'us-1' && isAccept(message));
      for (const key of ['known', 'unknown']) {
        const change = clients.put('us-1', key, 'two', undefined, { timeoutMs: 200 });
        // Of the one nothing was proposed to others yet, or nobody heard it.
        expect(await codeOf(change)).toBe('OUTCOME_UNKNOWN');
      }
      for (const node of NODES) expect(await listed(clients, node, RELAXED)).toEqual(['known=one']);
    }));

  it('that is relaxed is answered without a majority, the other is not', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      cluster.crash('eu-1');
      cluster.crash('ap-1');
      await cluster.time.sleep(5_000);
      expect(await listed(clients, 'us-1', RELAXED)).toEqual(['key=one']);
      for (const more of [{}, { level: 'quorum' }, { level: 'session', isDefaultLevel: false }] as const)
        expect(await codeOf(listed(clients, 'us-1', more))).toBe('QUORUM_UNAVAILABLE');
    }));

  it('shows no value that has expired, once its end was decided', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'lock', 'held', undefined, { ttlSeconds: 5 });
      await clients.put('us-1', 'other', 'kept');
      expect(await listed(clients, 'ap-1')).toEqual(['lock=held', 'other=kept']);
      await cluster.time.sleep(6_000);
      for (const node of NODES) expect(await listed(clients, node)).toEqual(['other=kept']);
    }));

  it('is answered in a region without a replica', () =>
    onStrongCluster(
      { us: 1, eu: 1, ap: 1, sa: 1 },
      { placement: { us: 1, eu: 1, ap: 1 } },
      async (clients, cluster) => {
        await clients.put('sa-1', 'key', 'one');
        expect(await listed(clients, 'sa-1')).toEqual(['key=one']);
        await cluster.settle();
        expect(await listed(clients, 'sa-1', RELAXED)).toEqual(['key=one']);
      },
    ));
});
