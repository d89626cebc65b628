import { compareKeys } from '@meridian/core/ids';
import { CHANGES, MERGE, READ, REQUEST, SCAN } from '@meridian/core/wire/messages';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codeOf, onCluster, optionsOf, type TestCluster, THREE_REGIONS, valuesOf } from './cluster.testing.ts';
import type { KeyRange, Level } from './service.ts';

const decoder = new TextDecoder();

async function listAll(
  cluster: TestCluster,
  node: string,
  range: KeyRange,
  more = {},
): Promise<readonly [string, string][]> {
  const items: [string, string][] = [];
  let cursor: string | undefined;
  do {
    const page = await cluster.node(node).list('default', { ...range, cursor }, optionsOf(more));
    expect(page.items.length).toBeLessThanOrEqual(range.limit);
    for (const { key, values } of page.items) items.push([key, decoder.decode(values[0]?.body)]);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return items;
}

function atLevelStrong(cluster: TestCluster) {
  return {
    list: (node: string, range: Partial<KeyRange>) =>
      cluster.node(node).list('default', { prefix: '', limit: 100, ...range }, optionsOf({ level: 'strong' })),
    remove: (node: string, key: string, level: Level = 'strong') =>
      cluster.node(node).delete('default', key, undefined, optionsOf({ level })),
  };
}

/** Few characters, so that prefixes meet; those above U+FFFF stand before U+E000 in UTF-16, after it in UTF-8. */
const key = fc.array(fc.constantFrom('a', 'b', '\ufeff', '\u{e000}', '\uffff', '\u{1f600}', '\u{10ffff}', '\0'), {
  minLength: 1,
  maxLength: 4,
});
const text = key.map((characters) => characters.join(''));
const writes = fc.array(fc.tuple(text, fc.constantFrom('put', 'delete')), { maxLength: 40 });
const range = fc.record({
  prefix: fc.oneof(fc.constant(''), text),
  start: fc.option(text, { nil: undefined }),
  end: fc.option(text, { nil: undefined }),
  limit: fc.integer({ min: 1, max: 7 }),
});

describe('a listing', () => {
  it(
    'gives what a naive scan of all that was written gives, page by page, over two stores in a region',
    () =>
      onCluster({ us: 2, eu: 1 }, async (cluster) => {
        const expected = new Map<string, string>();
        await fc.assert(
          fc.asyncProperty(writes, fc.array(range, { minLength: 1, maxLength: 4 }), async (script, ranges) => {
            for (const [at, [written, kind]] of script.entries()) {
              if (kind === 'put') {
                await cluster.put('us-1', written, `${at}`);
                expected.set(written, `${at}`);
              } else {
                await cluster.node('us-1').delete('default', written, undefined, optionsOf());
                expected.delete(written);
              }
            }
            for (const { prefix, start, end, limit } of ranges) {
              const wanted = [...expected]
                .filter(([one]) => one.startsWith(prefix))
                .filter(([one]) => start === undefined || compareKeys(one, start) >= 0)
                .filter(([one]) => end === undefined || compareKeys(one, end) < 0)
                .sort(([left], [right]) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
              for (const [node, level] of [
                ['us-1', 'eventual'],
                ['us-2', 'eventual'],
                ['us-2', 'quorum'],
              ]) {
                expect(await listAll(cluster, node as string, { prefix, start, end, limit }, { level })).toEqual(
                  wanted,
                );
              }
            }
          }),
          { numRuns: 20 },
        );
      }),
    20_000,
  );

  it('ends with no cursor exactly where the keys end', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (const name of ['a', 'b', 'c', 'd']) await cluster.put('us-1', name, name);
      const first = await cluster.node('us-1').list('default', { prefix: '', limit: 2 }, optionsOf());
      const second = await cluster
        .node('us-1')
        .list('default', { prefix: '', limit: 2, cursor: first.cursor }, optionsOf());
      expect([...first.items, ...second.items].map((item) => item.key)).toEqual(['a', 'b', 'c', 'd']);
      expect(first.cursor).toBeDefined();
      expect(second.cursor).toBeUndefined();
      const empty = await cluster.node('us-1').list('default', { prefix: 'x', limit: 2 }, optionsOf());
      expect([empty.items, empty.cursor]).toEqual([[], undefined]);
    }));

  it('goes on after a key that begins with a byte order mark, which belongs to it', () =>
    onCluster({ us: 1 }, async (cluster) => {
      const keys = ['a', '\ufeff', '\ufeffa', '\ufeff\ufeffb'];
      for (const one of keys) await cluster.put('us-1', one, one);
      const list = async (cursor: string | undefined) =>
        cluster.node('us-1').list('default', { prefix: '\ufeff', limit: 1, cursor }, optionsOf());
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await list(cursor);
        seen.push(...page.items.map((item) => item.key));
        cursor = page.cursor;
      } while (cursor !== undefined && seen.length < 9);
      expect(seen).toEqual(keys.slice(1));
    }));

  it('at level quorum counts no store that knows the namespace as dropped: made anew, it may hold what is missing here', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (const mode of ['eventual', 'strong'] as const) {
        await cluster.node('us-1').putNamespace(mode, { mode }, optionsOf());
        await cluster.settle();
        cluster.passes = (_from, to) => to !== 'ap-1';
        await cluster.node('us-1').dropNamespace(mode, optionsOf());
        await cluster.node('us-1').putNamespace(mode, { mode }, optionsOf());
        await cluster.put('us-1', 'key', 'value', { in: mode, level: 'strong' });
        cluster.passes = (_from, to, message) => !(to === 'ap-1' && message[0] === CHANGES);
        for (const level of ['quorum', 'strong'] as const) {
          const listed = cluster.node('ap-1').list(mode, { prefix: '', limit: 9 }, optionsOf({ level }));
          expect(await codeOf(listed)).toBe('QUORUM_UNAVAILABLE');
        }
        cluster.passes = () => true;
        await cluster.settle();
        const now = await cluster.node('ap-1').list(mode, { prefix: '', limit: 9 }, optionsOf({ level: 'quorum' }));
        expect(now.items.map((item) => item.key)).toEqual(['key']);
      }
    }));

  it('takes a cursor only for the listing that it was given for, on any node', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      for (const name of ['a1', 'a2', 'a3']) await cluster.put('us-1', name, name);
      await cluster.settle();
      const { cursor } = await cluster.node('us-1').list('default', { prefix: 'a', limit: 1 }, optionsOf());
      const next = await cluster.node('ap-1').list('default', { prefix: 'a', limit: 1, cursor }, optionsOf());
      expect(next.items.map((item) => item.key)).toEqual(['a2']);
      for (const other of [
        { prefix: '', limit: 1, cursor },
        { prefix: 'a', start: 'a', limit: 1, cursor },
        { prefix: 'a', limit: 1, cursor: `${cursor}x` },
      ])
        expect(await codeOf(cluster.node('us-1').list('default', other, optionsOf()))).toBe('INVALID_CURSOR');
    }));

  it.each(['ap-1', 'us-1'])(
    'at level quorum at %s counts no store that may be older than what others have seen of it',
    (reader) =>
      onCluster(THREE_REGIONS, async (cluster) => {
        const list = (timeoutMs: number) =>
          cluster
            .node(reader)
            .list('default', { prefix: '', limit: 9 }, optionsOf({ level: 'quorum', timeoutMs }))
            .then(({ items }) => items.map(({ values }) => decoder.decode(values[0]?.body)));
        const isUnheard = (to: string, kind: number) => to === 'ap-1' && kind === CHANGES;
        await cluster.put('us-1', 'key', 'old', { level: 'quorum' });
        await cluster.settle();
        const backup = cluster.disk('us-1').copy();
        cluster.split('us-1', 'ap-1');
        cluster.passes = (_from, to, message) => !isUnheard(to, message[0]);
        await cluster.put('us-1', 'key', 'new', { level: 'quorum' });
        await cluster.time.sleep(500);
        cluster.crash('us-1');
        cluster.member('us-1').disk = backup;
        // Only eu-1 knows that there was more, and it is not heard at first.
        cluster.passes = (from, to, message) => from !== 'eu-1' && !isUnheard(to, message[0]);
        cluster.heal();
        await cluster.start('us-1');
        await cluster.time.sleep(600);
        expect(await codeOf(list(300))).toBe('QUORUM_UNAVAILABLE');
        cluster.passes = (_from, to, message) => !isUnheard(to, message[0]);
        await cluster.settle();
        expect(await list(2_000)).toEqual(['new']);
      }),
  );

  it('at level quorum goes on while a majority answers, one of three being silent or being filled', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      await cluster.put('us-1', 'key', 'value', { level: 'quorum' });
      cluster.passes = (from, to) => !(from === 'us-1' && to === 'ap-1');
      await cluster.time.sleep(100);
      const listed = await cluster
        .node('us-1')
        .list('default', { prefix: '', limit: 9 }, optionsOf({ level: 'quorum', timeoutMs: 500 }));
      expect(listed.items.map((item) => item.key)).toEqual(['key']);
      expect(listed.receipt.replicasAnswered).toBe(2);
      // Nobody waits for the third.
      expect(listed.receipt.tookMs).toBeLessThan(200);
    }));

  it('at level quorum answers nothing without a majority', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      cluster.crash('eu-1');
      cluster.passes = (from, to) => !(from === 'us-1' && to === 'ap-1');
      await cluster.settle();
      const listing = cluster
        .node('us-1')
        .list('default', { prefix: '', limit: 9 }, optionsOf({ level: 'quorum', timeoutMs: 500 }));
      await expect(listing).rejects.toMatchObject({
        code: 'QUORUM_UNAVAILABLE',
        figures: { required: 2, reached: 1, missingRegions: ['eu', 'ap'] },
      });
    }));

  it('at level strong asks about no key by itself that a majority shows alike, deleted or not', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const { list, remove } = atLevelStrong(cluster);
      const names = Array.from({ length: 300 }, (_none, at) => `key-${at + 100}`);
      await Promise.all(names.map((name) => cluster.put('us-1', name, name, { level: 'strong' })));
      await Promise.all(names.slice(0, 280).map((name) => remove('us-1', name)));
      await cluster.settle();
      let reads = 0;
      let scans = 0;
      cluster.passes = (from, _to, message) => {
        if (from === 'eu-1' && message[0] === REQUEST && message[4][0] === READ) reads += 1;
        if (from === 'eu-1' && message[0] === REQUEST && message[4][0] === SCAN) scans += 1;
        return true;
      };
      const { items, cursor } = await list('eu-1', { limit: 50 });
      expect(items.map((item) => item.key)).toEqual(names.slice(280));
      expect(cursor).toBeUndefined();
      expect([reads, scans]).toEqual([0, 6]);
    }));

  it('at level strong tells nothing that a later one might miss', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const { list, remove } = atLevelStrong(cluster);
      await cluster.put('us-1', 'gone', 'value', { level: 'strong' });
      await cluster.settle();
      cluster.passes = (_from, _to, message) => message[0] !== CHANGES;
      // Only its own store has these.
      await cluster.put('us-1', 'fresh', 'value');
      await remove('us-1', 'gone', 'eventual');
      expect((await list('us-1', {})).items.map((item) => item.key)).toEqual(['fresh']);
      cluster.crash('us-1');
      await cluster.time.sleep(3_000);
      expect((await list('eu-1', {})).items.map((item) => item.key)).toEqual(['fresh']);
    }));

  it('counts each store that answered once, however many pages it took', () =>
    onCluster({ us: 2, eu: 1 }, async (cluster) => {
      for (let at = 0; at < 30; at++) await cluster.put('us-1', `k${at}`, 'x');
      for (let at = 0; at < 25; at++) await cluster.node('us-1').delete('default', `k${at}`, undefined, optionsOf());
      const { receipt, items } = await cluster.node('us-1').list('default', { prefix: '', limit: 3 }, optionsOf());
      expect(items).toHaveLength(3);
      expect([receipt.replicasAsked, receipt.replicasAnswered]).toEqual([2, 2]);
    }));

  it('without bodies is cut by its limit alone, and holds none of them', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const large = 'x'.repeat(1024 * 1024);
      for (let at = 0; at < 9; at++) await cluster.put('us-1', `key-${at}`, large);
      const list = (more: Partial<KeyRange>) =>
        cluster.node('us-1').list('default', { prefix: '', limit: 100, ...more }, optionsOf());
      expect((await list({})).items.length).toBeLessThan(9);
      const { items, cursor } = await list({ withBodies: false });
      expect([items.length, cursor]).toEqual([9, undefined]);
      expect(items.flatMap(({ values }) => values.map(({ body }) => body.length))).toEqual(new Array(9).fill(0));
    }));

  it('covers a session in a namespace that the asked store has not heard of', () =>
    onCluster({ us: 2, eu: 1, ap: 1 }, async (cluster) => {
      cluster.passes = (_from, to, message) =>
        to !== 'us-2' || !(message[0] === CHANGES || (message[0] === REQUEST && message[4][0] === MERGE));
      await cluster.node('eu-1').putNamespace('young', {}, optionsOf());
      let session: string | undefined;
      for (let at = 0; at < 8; at++) {
        const body = { body: new Uint8Array(1), contentType: 'text/plain' };
        const options = optionsOf({ level: 'session', session });
        session = (await cluster.node('eu-1').put('young', `k${at}`, body, undefined, options)).head.session;
      }
      const options = optionsOf({ level: 'session', session });
      const listed = cluster.node('us-1').list('young', { prefix: '', limit: 9 }, options);
      expect(await codeOf(listed)).toMatch(/SESSION_NOT_COVERED|REPLICA_UNAVAILABLE/);
    }));

  it('shows expired and deleted values to nobody', () =>
    onCluster(THREE_REGIONS, async (cluster) => {
      const brief = { body: new Uint8Array(1), contentType: 'text/plain', ttlSeconds: 1 };
      await cluster.node('us-1').put('default', 'brief', brief, undefined, optionsOf());
      expect(await listAll(cluster, 'us-1', { prefix: '', limit: 1 })).toHaveLength(1);
      await cluster.time.sleep(1_100);
      expect(await listAll(cluster, 'us-1', { prefix: '', limit: 1 })).toEqual([]);
      expect(valuesOf(await cluster.node('us-1').get('default', 'brief', optionsOf()))).toEqual([]);
    }));
});
