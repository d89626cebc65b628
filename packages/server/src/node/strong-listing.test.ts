import { type Call, type Message, REGISTER, REQUEST, SCAN } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../../test/simulation/seeded-random.ts';
import { codeOf, type TestCluster, THREE_REGIONS } from './cluster.testing.ts';
import { isAccept, isNews } from './register-messages.testing.ts';
import type { KeyRange, ListAnswer, RequestOptions } from './service.ts';
import { EXACT, onStrongCluster, type StrongClients, strongOptions } from './strong.testing.ts';

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

const AT_ONCE = 500;

function nameOf(at: number): string {
  return `key-${String(at).padStart(5, '0')}`;
}

/** `act` for each of so many numbers, some of them at a time. */
async function forEach(count: number, act: (at: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, (_none, at) => act(from + at)));
}

function callIn(message: Message): Call | undefined {
  return message[0] === REQUEST ? message[4] : undefined;
}

/** From now on: how many calls of each kind a node sends. */
function countCalls(cluster: TestCluster, node: string): { scans: number; questions: number } {
  const counted = { scans: 0, questions: 0 };
  const before = cluster.passes;
  cluster.passes = (from, to, message) => {
    if (from === node && callIn(message)?.[0] === SCAN) counted.scans += 1;
    if (from === node && callIn(message)?.[0] === REGISTER) counted.questions += 1;
    return before(from, to, message);
  };
  return counted;
}

async function timed(
  cluster: TestCluster,
  listing: Promise<ListAnswer>,
): Promise<{ page: ListAnswer; tookMs: number }> {
  const startedAtMs = cluster.time.nowMs;
  const page = await listing;
  return { page, tookMs: cluster.time.nowMs - startedAtMs };
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

  it('gets past thousands of deleted keys in a few rounds, without a question about any', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await forEach(2_000, (at) => clients.put('us-1', nameOf(at), 'value'));
      await forEach(2_000, (at) => clients.delete('us-1', nameOf(at)));
      await clients.put('us-1', 'last', 'kept');
      await cluster.settle();
      for (const node of NODES) {
        const counted = countCalls(cluster, node);
        const { page, tookMs } = await timed(
          cluster,
          cluster.node(node).list(EXACT, { prefix: '', limit: 100 }, strongOptions()),
        );
        expect(page.items.map(({ key }) => key)).toEqual(['last']);
        expect(page.cursor).toBeUndefined();
        // 100, 400 and 1,600 rows of two others.
        expect(counted).toEqual({ scans: 6, questions: 0 });
        expect(page.receipt.rounds).toBe(3);
        expect(tookMs).toBeLessThan(500);
      }
    }));

  it('takes one round for keys of which a majority shows the same, known to be chosen', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await forEach(300, (at) => clients.put('eu-1', nameOf(at), `${at}`));
      await cluster.settle();
      const counted = countCalls(cluster, 'us-1');
      const page = await cluster.node('us-1').list(EXACT, { prefix: '', limit: 1_000 }, strongOptions());
      expect(page.items.map(({ values }) => decoder.decode(values[0]?.body))).toEqual(
        Array.from({ length: 300 }, (_none, at) => `${at}`),
      );
      expect(page.items[7]?.context).toBe((await clients.read('us-1', nameOf(7))).head.context);
      expect(counted.scans).toBe(2);
      expect(page.receipt.rounds).toBe(1);
    }));

  it('asks about keys that pages do not prove, many in one message', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      cluster.passes = (_from, _to, message) => !isNews(message);
      await forEach(300, (at) => clients.put('us-1', nameOf(at), `${at}`));
      // Alone it knew what is chosen.
      cluster.crash('us-1');
      await cluster.time.sleep(3_000);
      const counted = countCalls(cluster, 'eu-1');
      const page = await cluster.node('eu-1').list(EXACT, { prefix: '', limit: 1_000 }, strongOptions());
      expect(page.items).toHaveLength(300);
      expect(counted.questions).toBeGreaterThan(0);
      expect(counted.questions).toBeLessThan(10);
    }));

  it('that runs out of time answers with what it has, and its cursors lead to the end', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      cluster.passes = (_from, _to, message) => !isNews(message);
      await forEach(1_000, (at) => clients.put('us-1', nameOf(at), `${at}`));
      cluster.crash('us-1');
      await cluster.time.sleep(3_000);
      const timeoutMs = 330;
      const found: string[] = [];
      let cursor: string | undefined;
      let pages = 0;
      do {
        const listing = cluster
          .node('eu-1')
          .list(EXACT, { prefix: '', limit: 1_000, cursor }, strongOptions({ timeoutMs }));
        const { page, tookMs } = await timed(cluster, listing);
        expect(tookMs).toBeLessThanOrEqual(timeoutMs + 5);
        expect(page.items.length).toBeGreaterThan(0);
        found.push(...page.items.map(({ key }) => key));
        cursor = page.cursor;
        pages += 1;
      } while (cursor !== undefined);
      expect(pages).toBeGreaterThan(2);
      expect(found).toEqual(Array.from({ length: 1_000 }, (_none, at) => nameOf(at)));
    }));

  it('that loses its majority on the way answers with what it has; the next fails in its time and names who is missing', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await forEach(50, (at) => clients.put('us-1', nameOf(at), 'value'));
      await forEach(40, (at) => clients.delete('us-1', nameOf(at)));
      await cluster.settle();
      let scans = 0;
      cluster.passes = (from, _to, message) => {
        if (from === 'us-1' && callIn(message)?.[0] === SCAN) scans += 1;
        return scans <= 2 || callIn(message) === undefined;
      };
      const range = { prefix: '', limit: 20 };
      const options = strongOptions({ timeoutMs: 500 });
      const { page, tookMs } = await timed(cluster, cluster.node('us-1').list(EXACT, range, options));
      expect(page.items).toEqual([]);
      expect(tookMs).toBeLessThanOrEqual(505);
      const startedAtMs = cluster.time.nowMs;
      const next = cluster.node('us-1').list(EXACT, { ...range, cursor: page.cursor }, options);
      await expect(next).rejects.toMatchObject({
        code: 'QUORUM_UNAVAILABLE',
        figures: { required: 2, reached: 1, missingRegions: ['eu', 'ap'] },
      });
      expect(cluster.time.nowMs - startedAtMs).toBeLessThanOrEqual(505);
      cluster.passes = () => true;
      const rest = await cluster.node('us-1').list(EXACT, { ...range, cursor: page.cursor }, options);
      expect(rest.items.map(({ key }) => key)).toEqual(Array.from({ length: 10 }, (_none, at) => nameOf(40 + at)));
    }));

  it('shows a key that was made anew, though replicas still show that it is gone', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      for (const [writer, lister, behind] of [
        ['eu-1', 'us-1', 'us-1'],
        ['eu-1', 'ap-1', 'us-1'],
        ['us-1', 'eu-1', 'ap-1'],
        ['ap-1', 'us-1', 'eu-1'],
      ] as const) {
        const key = `${writer} ${lister} ${behind}`;
        cluster.passes = () => true;
        await clients.put(writer, key, 'one');
        await clients.delete(writer, key);
        await cluster.settle();
        cluster.passes = (_from, to, message) => !isNews(message) && !(to === behind && isAccept(message));
        await clients.put(writer, key, 'two');
        expect(await listed(clients, lister, {}, { prefix: key })).toEqual([`${key}=two`]);
      }
    }));

  it('counts no page of a store that does not know yet whether its disk is an old one', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await clients.delete('us-1', 'key');
      await cluster.settle();
      const backup = cluster.disk('ap-1').copy();
      cluster.passes = (_from, to, message) => to !== 'eu-1' || !(isNews(message) || isAccept(message));
      await clients.put('us-1', 'key', 'two');
      await cluster.settle();
      cluster.crash('ap-1');
      cluster.member('ap-1').disk = backup;
      await cluster.time.sleep(100);
      // The one that could tell it is heard of late, and the list has to do without it.
      let isLate = true;
      cluster.passes = (from, to, message) =>
        !(isLate && from === 'us-1' && to === 'ap-1') &&
        !(to === 'us-1' && callIn(message) !== undefined) &&
        !(to === 'eu-1' && isNews(message));
      await cluster.start('ap-1');
      const lists: Promise<string>[] = [];
      for (let at = 0; at < 20; at++) {
        await cluster.time.sleep(40);
        const shown = listed(clients, 'eu-1', { timeoutMs: 1_500 });
        lists.push(shown.then(String, (error: { code: string }) => error.code));
      }
      isLate = false;
      expect(new Set(await Promise.all(lists))).toEqual(new Set(['QUORUM_UNAVAILABLE']));
      cluster.passes = () => true;
      await cluster.settle();
      expect(await listed(clients, 'eu-1')).toEqual(['key=two']);
    }));

  it('is, each key for itself, linearizable while keys are deleted and made anew and messages are lost', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      const random = new SeededRandom(7);
      cluster.passes = (_from, _to, message) =>
        !((isAccept(message) && random.chance(0.15)) || (isNews(message) && random.chance(0.5)));
      const keys = Array.from({ length: 12 }, (_none, at) => new WatchedKey(nameOf(at)));
      let isOver = false;
      const writing = keys.map(async (key, at) => {
        while (!isOver && (await key.change(clients, NODES[at % 3] as string)))
          await cluster.time.sleep(random.between(0, 300));
      });
      const listing = NODES.map(async (node) => {
        for (let at = 0; at < 60; at++) {
          const before = keys.map((key) => key.isAtLeast);
          const items = await listed(clients, node, { timeoutMs: 5_000 });
          for (const [index, key] of keys.entries()) key.check(before[index] as number, items);
        }
      });
      await Promise.all(listing);
      isOver = true;
      await Promise.all(writing);
      expect(keys.reduce((sum, { isAtLeast }) => sum + isAtLeast, 0)).toBeGreaterThan(200);
    }));
});

/** A key with one writer: its changes are numbered, the odd ones put their number, the even ones delete. */
class WatchedKey {
  readonly #name: string;
  /** The last change that is known to have been made, be it that a listing showed it. */
  isAtLeast = 0;
  #begun = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** Whether it is known how it ended. */
  async change(clients: StrongClients, node: string): Promise<boolean> {
    this.#begun += 1;
    const number = this.#begun;
    const made = number % 2 === 1 ? clients.put(node, this.#name, `${number}`) : clients.delete(node, this.#name);
    if ((await codeOf(made)) !== 'no error') return false;
    this.isAtLeast = Math.max(this.isAtLeast, number);
    return true;
  }

  /** What a listing showed must lie between what was known when it began and what has begun by now. */
  check(before: number, items: readonly string[]): void {
    const shown = items.find((item) => item.startsWith(`${this.#name}=`));
    const number = shown === undefined ? before + (before % 2) : Number(shown.slice(this.#name.length + 1));
    expect(number, `${this.#name} of ${before} to ${this.#begun}: ${shown}`).toBeGreaterThanOrEqual(before);
    expect(number, `${this.#name} of ${before} to ${this.#begun}: ${shown}`).toBeLessThanOrEqual(this.#begun);
    this.isAtLeast = Math.max(this.isAtLeast, number);
  }
}
