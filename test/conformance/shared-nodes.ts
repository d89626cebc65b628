import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import type { Commit, Store } from '@meridian/server/ports/store';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoreMedium } from './store/subject.ts';

const NODES = 3;
const LIMITS = { rowsMax: 7, bytesMax: 1_000_000 };

/** What several nodes that share one store may count on, the same for every database. `sleep` waits a while of its clock. */
export function describeSharedNodes(
  name: string,
  makeMedium: () => Promise<StoreMedium>,
  sleep: (delayMs: number) => Promise<void>,
): void {
  describe(`${name} as a store of several nodes`, () => {
    let medium: StoreMedium;
    let stores: Store[] = [];
    beforeEach(async () => {
      medium = await makeMedium();
      stores = [];
      for (let at = 0; at < NODES; at++) stores.push(await medium.open());
    });
    afterEach(async () => {
      for (const store of stores) await store.close();
      await medium.dispose();
    });
    const store = (at: number): Store => stores[at] as Store;

    it('is made once, under one id', async () => {
      expect(stores.filter(({ isNew }) => isNew)).toHaveLength(1);
      expect(new Set(stores.map(({ id }) => id)).size).toBe(1);
    });

    it('changes a record by one node at a time: no increment of many is lost', async () => {
      const keys = ['a', 'b', 'c'].map(keyOf);
      await Promise.all(
        stores.flatMap((one) => keys.flatMap((key) => Array.from({ length: 20 }, () => add(one, key)))),
      );
      for (const key of keys) expect(await countOf(store(0), key)).toBe(20 * NODES);
    });

    it('gives a sequence once, whichever node asks', async () => {
      const given = await Promise.all(
        stores.flatMap((one, node) => Array.from({ length: 40 }, (_, at) => put(one, keyOf(`${node}-${at}`), 'x'))),
      );
      expect(new Set(given).size).toBe(40 * NODES);
      await store(1).shared?.refresh();
      expect(store(1).sequence).toBe(Math.max(...given));
    });

    it('shows in `changes` nothing that something below may still be missing from', async () => {
      let isOver = false;
      const writing = Promise.all(
        stores.map(async (one, node) => {
          for (let at = 0; at < 40; at++) await put(one, keyOf(`${node}-${at % 9}`), `${at}`);
        }),
      ).then(() => {
        isOver = true;
      });
      // One that reads on from where it stood, and never looks back, ends up with all there is.
      const seen = new Map<RecordKey, string>();
      let after = 0 as Sequence;
      for (let isLast = false; !isLast; ) {
        isLast = isOver;
        for (let isComplete = false; !isComplete; ) {
          const page = await store(2).changes(after, LIMITS);
          for (const { key, record } of page.rows) seen.set(key, textOf(record));
          after = page.upTo;
          ({ isComplete } = page);
        }
        await sleep(1);
      }
      await writing;
      expect(Object.fromEntries(seen)).toEqual(await allOf(store(0)));
    });

    it('tells every node of every commit, in order, with nothing left out', async () => {
      const told = stores.map((one) => follow(one));
      // The first two tell each other; the third has to find out.
      store(0).shared?.onChange((notice) => store(1).shared?.notice(notice));
      store(1).shared?.onChange((notice) => store(0).shared?.notice(notice));
      await Promise.all(
        stores.map(async (one, node) => {
          for (let at = 0; at < 30; at++) await put(one, keyOf(`${node}-${at % 7}`), `${at}`);
        }),
      );
      for (const one of stores) await one.shared?.refresh();
      const all = await allOf(store(0));
      for (const { records, commits } of told) {
        expect(Object.fromEntries(records)).toEqual(all);
        expectUnbroken(commits);
        expect(commits.at(-1)?.isWhole).toBe(true);
      }
    });

    it('finds out by itself, soon, what no node has told of', async () => {
      const { records } = follow(store(1));
      await put(store(0), keyOf('a'), 'one');
      for (let waited = 0; waited < 3_000 && !records.has(keyOf('a')); waited += 20) await sleep(20);
      expect(records.get(keyOf('a'))).toBe('one');
    });

    it('is not misled by a notice that comes late, twice, or never', async () => {
      const { records, commits } = follow(store(1));
      const late: (() => void)[] = [];
      let count = 0;
      store(0).shared?.onChange((notice) => {
        const tell = (): void => store(1).shared?.notice(notice);
        if (count++ % 3 === 0) late.push(tell);
        else if (count % 3 === 1) tell();
        late.push(tell);
      });
      for (let at = 0; at < 30; at++) await put(store(0), keyOf(`${at % 4}`), `${at}`);
      for (const tell of late.reverse()) tell();
      await store(1).shared?.refresh();
      expect(Object.fromEntries(records)).toEqual(await allOf(store(0)));
      expect(store(1).sequence).toBe(30);
      expectUnbroken(commits);
    });

    it('has its positions, notes and id in common', async () => {
      const origin = 'eu-1.origin' as StoreId;
      const position = { cursor: 5 as Sequence, applied: 4 as Sequence, isFilled: true };
      await store(0).update([], () => ({ writes: [], positions: new Map([[origin, position]]), result: undefined }));
      await store(0).setNote('layout', 'one');
      await store(1).shared?.refresh();
      expect(store(1).positions.get(origin)).toEqual(position);
      expect(store(1).note('layout')).toBe('one');
      const former = store(0).id;
      await store(1).renewId();
      await put(store(0), keyOf('a'), 'x');
      expect(store(0).id).toBe(store(1).id);
      expect(store(0).id).not.toBe(former);
      expect(store(0).positions.has(former)).toBe(true);
    });

    it('decides on top of what other nodes have done, of positions too', async () => {
      const origin = 'eu-1.origin' as StoreId;
      const moveOn = (one: Store): Promise<number> =>
        one.update([], (view) => {
          const cursor = ((view.position(origin)?.cursor ?? 0) + 1) as Sequence;
          return {
            writes: [],
            positions: new Map([[origin, { cursor, applied: cursor, isFilled: true }]]),
            result: cursor,
          };
        });
      const moved = await Promise.all(stores.flatMap((one) => Array.from({ length: 10 }, () => moveOn(one))));
      expect(moved.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 10 * NODES }, (_, at) => at + 1));
    });

    it('replaces a note for one of those who want to', async () => {
      const replaced = await Promise.all(stores.map((one, at) => one.replaceNote('lease', undefined, `${at}`)));
      expect(replaced.filter(Boolean)).toHaveLength(1);
      await store(0).shared?.refresh();
      expect(store(0).note('lease')).toBe(String(replaced.indexOf(true)));
      expect(await store(1).replaceNote('lease', 'other', 'x')).toBe(false);
    });
  });
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const textOf = (record: Uint8Array): string => decoder.decode(record);
const keyOf = (name: string): RecordKey => `shop.1\0${name}` as RecordKey;

function put(store: Store, key: RecordKey, text: string): Promise<number> {
  return store.update([key], (view) => ({
    writes: [{ key, record: encoder.encode(text) }],
    result: view.nextSequence as number,
  }));
}

function add(store: Store, key: RecordKey): Promise<void> {
  return store.update([key], (view) => {
    const before = view.record(0);
    const count = before ? Number(textOf(before)) : 0;
    return { writes: [{ key, record: encoder.encode(String(count + 1)) }], result: undefined };
  });
}

async function countOf(store: Store, key: RecordKey): Promise<number> {
  return Number(textOf((await store.get(key)) as Uint8Array));
}

async function allOf(store: Store): Promise<Record<string, string>> {
  const { rows } = await store.scan(keyOf(''), 'shop.1\u0001' as RecordKey, { rowsMax: 10_000, bytesMax: 1e9 });
  return Object.fromEntries(rows.map(({ key, record }) => [key, textOf(record)]));
}

/** What one who listens comes to know. */
function follow(store: Store): { readonly records: Map<RecordKey, string>; readonly commits: Commit[] } {
  const records = new Map<RecordKey, string>();
  const commits: Commit[] = [];
  store.onCommit((commit) => {
    commits.push(commit);
    for (const { key, record } of commit.rows) records.set(key, textOf(record));
  });
  return { records, commits };
}

function expectUnbroken(commits: readonly Commit[]): void {
  let toldTo = 0;
  for (const { from, upTo, rows } of commits) {
    expect(from).toBe(toldTo);
    expect(rows.every(({ sequence }) => sequence > from && sequence <= upTo)).toBe(true);
    toldTo = upTo;
  }
}
