import type { RecordKey, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { compareKeys, NO_SEQUENCE, storeNameOf } from '@meridian/core/ids';
import {
  type Commit,
  type Decide,
  type FollowPosition,
  type PageLimits,
  type RecordWrite,
  type Store,
  type StoredRow,
  StoreFailedError,
} from '@meridian/server/ports/store';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** A disk or database that outlives the stores opened on it. All of them are opened under `STORE_NAME`. */
export interface StoreMedium {
  open(): Promise<Store>;
  dispose(): Promise<void>;
}

export interface StoreCapabilities {
  /** A second `open` at the same time is refused. */
  readonly isExclusive: boolean;
  readonly propertyRuns: number;
}

export const STORE_NAME = 'us-1' as StoreName;

const ALL: PageLimits = { rowsMax: 1_000_000, bytesMax: Number.MAX_SAFE_INTEGER };
const FIRST = '' as RecordKey;
const LAST = '\u{10ffff}' as RecordKey;
const ORIGIN = 'eu-1.abc' as StoreId;
const OTHER_ORIGIN = 'ap-1.def' as StoreId;
const MEBIBYTE = 1024 * 1024;

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (record: Uint8Array | undefined) => (record === undefined ? undefined : new TextDecoder().decode(record));
const key = (name: string) => name as RecordKey;
const position = (cursor: number, applied: number, isFilled = false): FollowPosition => ({
  cursor: cursor as Sequence,
  applied: applied as Sequence,
  isFilled,
});

function put(store: Store, name: string, value: string): Promise<Sequence> {
  return store.update([key(name)], (view) => ({
    writes: [{ key: key(name), record: bytes(value) }],
    result: view.nextSequence,
  }));
}

function remove(store: Store, name: string): Promise<null> {
  return store.update([key(name)], () => ({ writes: [{ key: key(name), record: null }], result: null }));
}

/** Appends to what is there: a lost or doubled turn shows in the value. */
function append(store: Store, name: string, letter: string): Promise<string> {
  return store.update([key(name)], (view) => {
    const value = (text(view.record(0)) ?? '') + letter;
    return { writes: [{ key: key(name), record: bytes(value) }], result: value };
  });
}

function seen(rows: readonly StoredRow[]): string[] {
  return rows.map((row) => `${row.key}=${text(row.record)}@${row.sequence}`);
}

async function allChanges(store: Store, after = NO_SEQUENCE): Promise<string[]> {
  return seen((await store.changes(after, ALL)).rows);
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no failure',
    (error: unknown) => error,
  );
}

/** The contract of the Store port, the same for every adapter. */
export function describeStore(
  name: string,
  makeMedium: () => Promise<StoreMedium>,
  capabilities: StoreCapabilities,
): void {
  describe(`${name} as a store`, () => {
    let medium: StoreMedium;
    let store: Store;

    beforeEach(async () => {
      medium = await makeMedium();
      store = await medium.open();
    });

    afterEach(async () => {
      await store.close();
      await medium.dispose();
    });

    const reopen = async () => {
      await store.close();
      store = await medium.open();
    };

    describe('from one opening to the next', () => {
      it('is new once, empty, and named after its place on the ring', async () => {
        expect(store.isNew).toBe(true);
        expect(store.sequence).toBe(0);
        expect(storeNameOf(store.id)).toBe(STORE_NAME);
        expect(store.positions.size).toBe(0);
        const { id } = store;
        await reopen();
        expect(store.isNew).toBe(false);
        expect(store.id).toBe(id);
      });

      it('keeps records, sequence, positions and notes', async () => {
        await put(store, 'a', '1');
        await put(store, 'b', '2');
        await put(store, 'a', '3');
        await remove(store, 'b');
        await store.setNote('layout', '{"version":7}');
        await store.update([], () => ({
          writes: [],
          positions: new Map([[ORIGIN, position(9, 4, true)]]),
          result: null,
        }));
        await reopen();
        expect(await allChanges(store)).toEqual(['a=3@3']);
        expect(text(await store.get(key('a')))).toBe('3');
        expect(await store.get(key('b'))).toBeUndefined();
        expect(store.sequence).toBe(3);
        expect(store.note('layout')).toBe('{"version":7}');
        expect([...store.positions]).toEqual([[ORIGIN, position(9, 4, true)]]);
      });

      it('never gives a sequence to two writes', async () => {
        const first = await put(store, 'a', '1');
        await remove(store, 'a');
        await reopen();
        expect(await put(store, 'a', '1')).toBe(first + 1);
      });

      it.runIf(capabilities.isExclusive)('refuses to be opened twice at once', async () => {
        expect(await failureOf(medium.open())).toMatchObject({ name: 'StoreOpenError', problem: 'IN_USE' });
        expect(await put(store, 'a', 'still works')).toBe(1);
      });
    });

    describe('updating', () => {
      it('takes concurrent updates of one key one after another', async () => {
        const letters = 'abcdefghijklmnopqrstuvwxyz'.split('');
        const results = await Promise.all(letters.map((letter) => append(store, 'k', letter)));
        expect(results).toEqual(letters.map((_, at) => letters.slice(0, at + 1).join('')));
        expect(text(await store.get(key('k')))).toBe(letters.join(''));
        expect(await allChanges(store)).toEqual([`k=${letters.join('')}@26`]);
      });

      it('gives each write the next sequence, in the order asked for', async () => {
        const sequences = await Promise.all(Array.from({ length: 300 }, (_, at) => put(store, `k${at % 7}`, `${at}`)));
        expect(sequences).toEqual(Array.from({ length: 300 }, (_, at) => at + 1));
        expect(store.sequence).toBe(300);
        expect((await store.changes(NO_SEQUENCE, ALL)).rows.map((row) => row.sequence)).toEqual([
          294, 295, 296, 297, 298, 299, 300,
        ]);
      });

      it('shows a decision its own state: id, next sequence, claims and positions', async () => {
        const views: unknown[] = [];
        const look: Decide<null> = (view) => {
          views.push([view.store, view.nextSequence, [...view.applied], view.position(ORIGIN)]);
          return { writes: [], result: null };
        };
        await Promise.all([
          store.update([], look),
          put(store, 'a', '1'),
          store.update([], () => ({
            writes: [],
            positions: new Map([
              [ORIGIN, position(8, 5)],
              [OTHER_ORIGIN, position(2, 0)],
            ]),
            result: null,
          })),
          store.update([], look),
        ]);
        expect(views).toEqual([
          [store.id, 1, [], undefined],
          [
            store.id,
            2,
            expect.arrayContaining([
              [store.id, 1],
              [ORIGIN, 5],
            ]),
            position(8, 5),
          ],
        ]);
      });

      it('writes several keys at once, in their order', async () => {
        const names = ['x', 'y', 'z'].map(key);
        const result = await store.update(names, (view) => ({
          writes: names.map((name) => ({ key: name, record: bytes(name) })),
          result: names.map((_, at) => view.record(at)),
        }));
        expect(result).toEqual([undefined, undefined, undefined]);
        expect(await allChanges(store)).toEqual(['x=x@1', 'y=y@2', 'z=z@3']);
      });

      it('fails alone where a decision throws, and keeps nothing of it', async () => {
        const failure = new Error('no');
        const [before, failed, after] = await Promise.allSettled([
          append(store, 'k', 'a'),
          store.update([key('k')], (view) => {
            expect(text(view.record(0))).toBe('a');
            throw failure;
          }),
          append(store, 'k', 'b'),
        ]);
        expect(before).toEqual({ status: 'fulfilled', value: 'a' });
        expect(failed).toEqual({ status: 'rejected', reason: failure });
        expect(after).toEqual({ status: 'fulfilled', value: 'ab' });
        expect(store.sequence).toBe(2);
      });

      it.each<[string, RecordWrite[]]>([
        [
          'a key that was not asked for',
          [
            { key: key('k'), record: bytes('1') },
            { key: key('other'), record: bytes('1') },
          ],
        ],
        [
          'a key twice',
          [
            { key: key('k'), record: bytes('1') },
            { key: key('k'), record: bytes('2') },
          ],
        ],
      ])('fails a decision that writes %s, whole', async (_, writes) => {
        await put(store, 'other', '0');
        expect(await failureOf(store.update([key('k')], () => ({ writes, result: null })))).toBeInstanceOf(Error);
        expect(await allChanges(store)).toEqual(['other=0@1']);
        expect(await put(store, 'k', '1')).toBe(2);
      });

      it('removes a record with its row, without a sequence', async () => {
        await put(store, 'a', '1');
        await put(store, 'b', '2');
        await remove(store, 'a');
        await remove(store, 'never was');
        expect(await store.get(key('a'))).toBeUndefined();
        expect(await allChanges(store)).toEqual(['b=2@2']);
        expect(store.sequence).toBe(2);
      });

      it('keeps only the last of what one tick did to a key', async () => {
        await put(store, 'kept', '0');
        await Promise.all([
          put(store, 'gone', '1'),
          remove(store, 'gone'),
          remove(store, 'kept'),
          put(store, 'kept', '2'),
          put(store, 'back', '3'),
          remove(store, 'back'),
          put(store, 'back', '4'),
        ]);
        await reopen();
        expect(await allChanges(store)).toEqual(['kept=2@3', 'back=4@5']);
        expect(await store.get(key('gone'))).toBeUndefined();
      });

      it('stores positions with the records they speak of, or not at all', async () => {
        const failure = new Error('no');
        const update = store.update([key('a')], () => ({
          writes: [{ key: key('a'), record: bytes('1') }],
          positions: new Map([[ORIGIN, position(1, 1)]]),
          result: null,
        }));
        expect(store.positions.size).toBe(0);
        await update;
        expect([...store.positions]).toEqual([[ORIGIN, position(1, 1)]]);
        const failed = store.update([key('a')], () => {
          throw failure;
        });
        expect(await failureOf(failed)).toBe(failure);
        await reopen();
        expect([...store.positions]).toEqual([[ORIGIN, position(1, 1)]]);
        expect(text(await store.get(key('a')))).toBe('1');
      });

      it('takes records of any size, 8 MiB too, and gives back the same bytes', async () => {
        const sizes = [0, 1, 7, 4096, 70_000, 8 * MEBIBYTE];
        const records = sizes.map((size) => Uint8Array.from({ length: size }, (_, at) => (at * 31 + size) & 0xff));
        await Promise.all(
          records.map((record, at) =>
            store.update([key(`size${at}`)], () => ({ writes: [{ key: key(`size${at}`), record }], result: null })),
          ),
        );
        await reopen();
        const found = await Promise.all(records.map((_, at) => store.get(key(`size${at}`))));
        for (const [at, record] of records.entries()) {
          expect(Buffer.compare(found[at] as Uint8Array, record), `size ${record.length}`).toBe(0);
        }
      });

      it('hands out bytes that later reads and writes leave alone', async () => {
        await put(store, 'a', 'first');
        await put(store, 'b', 'other');
        const held = await store.get(key('a'));
        const { rows } = await store.scan(FIRST, LAST, ALL);
        await store.get(key('b'));
        await put(store, 'a', 'later');
        await Promise.all(Array.from({ length: 50 }, (_, at) => put(store, `c${at}`, 'filler')));
        expect(text(held)).toBe('first');
        expect(seen(rows)).toEqual(['a=first@1', 'b=other@2']);
      });
    });

    describe('showing commits', () => {
      it('tells each commit once, after it can be read, with every sequence in exactly one', async () => {
        const commits: Commit[] = [];
        const reads: Promise<Uint8Array | undefined>[] = [];
        store.onCommit((commit) => {
          commits.push(commit);
          expect(store.sequence).toBe(commit.upTo);
          for (const row of commit.rows) reads.push(store.get(row.key));
        });
        const names = Array.from({ length: 500 }, (_, at) => `k${(at * 7) % 23}`);
        const updates: Promise<unknown>[] = [];
        for (const [at, name] of names.entries()) {
          updates.push(put(store, name, `${at}`));
          if (at % 40 === 39) await updates[at - 20];
        }
        await Promise.all(updates);
        await remove(store, 'k0');
        await store.setNote('note', 'is no record');
        expect(commits.length).toBeGreaterThan(1);
        let from = 0;
        for (const commit of commits) {
          expect(commit.from).toBe(from);
          expect(commit.upTo).toBeGreaterThan(from);
          const sequences = commit.rows.map((row) => row.sequence as number);
          expect(sequences).toEqual([...sequences].sort((left, right) => left - right));
          expect(new Set(commit.rows.map((row) => row.key)).size).toBe(commit.rows.length);
          expect(sequences[0]).toBeGreaterThan(from);
          expect(sequences.at(-1)).toBe(commit.upTo);
          from = commit.upTo;
        }
        expect(from).toBe(500);
        const told = commits.flatMap((commit) => commit.rows);
        expect((await Promise.all(reads)).map(text)).toEqual(told.map((row) => text(row.record)));
      });

      it('goes on where a listener throws', async () => {
        const told: number[] = [];
        store.onCommit(() => {
          throw new Error('a listener of the test');
        });
        store.onCommit((commit) => told.push(commit.upTo));
        await put(store, 'a', '1');
        await put(store, 'a', '2');
        expect(told).toEqual([1, 2]);
      });

      it('shows nothing in the tick that asked', async () => {
        const update = put(store, 'a', '1');
        expect(store.sequence).toBe(0);
        expect(await store.get(key('a'))).toBeUndefined();
        await update;
        expect(text(await store.get(key('a')))).toBe('1');
      });
    });

    describe('walking changes', () => {
      beforeEach(async () => {
        for (const name of ['a', 'b', 'c', 'd']) await put(store, name, name);
        await put(store, 'b', 'moved');
      });

      it('has one row a key, at its latest sequence', async () => {
        const page = await store.changes(NO_SEQUENCE, ALL);
        expect(seen(page.rows)).toEqual(['a=a@1', 'c=c@3', 'd=d@4', 'b=moved@5']);
        expect([page.upTo, page.isComplete]).toEqual([5, true]);
      });

      it('pages by rows and goes on after the last', async () => {
        const first = await store.changes(NO_SEQUENCE, { rowsMax: 2, bytesMax: MEBIBYTE });
        expect(seen(first.rows)).toEqual(['a=a@1', 'c=c@3']);
        expect([first.upTo, first.isComplete]).toEqual([3, false]);
        const second = await store.changes(first.upTo, { rowsMax: 2, bytesMax: MEBIBYTE });
        expect(seen(second.rows)).toEqual(['d=d@4', 'b=moved@5']);
        expect([second.upTo, second.isComplete]).toEqual([5, true]);
      });

      it('pages by bytes, with one row at least', async () => {
        await put(store, 'big', 'x'.repeat(5000));
        const tiny = await store.changes(NO_SEQUENCE, { rowsMax: 10, bytesMax: 1 });
        expect(seen(tiny.rows)).toEqual(['a=a@1']);
        const page = await store.changes(4 as Sequence, { rowsMax: 10, bytesMax: 1000 });
        expect(page.rows.map((row) => row.sequence)).toEqual([5, 6]);
      });

      it('is complete up to the sequence where the last rows are gone', async () => {
        await remove(store, 'b');
        const page = await store.changes(4 as Sequence, ALL);
        expect(page).toEqual({ rows: [], isComplete: true, upTo: 5 });
      });

      it('has nothing above the end', async () => {
        expect(await store.changes(5 as Sequence, ALL)).toEqual({ rows: [], isComplete: true, upTo: 5 });
      });
    });

    describe('scanning', () => {
      const odd = [
        'n\0',
        'n\0a',
        'n\0a\0b',
        'n\0a\u0001',
        'n\0\u007f',
        'n\0\u00e9',
        'n\0\u20ac',
        'n\0\uffee',
        'n\0\u{1f600}',
        'n\0\u{10fffd}',
        `n\0${'k'.repeat(1024)}`,
        `n\0${'\u00e9'.repeat(512)}`,
        `n\0${'\u{1f600}'.repeat(256)}`,
      ];

      it('keeps all sorts of keys apart, in the order of their UTF-8 bytes', async () => {
        await Promise.all([...odd].reverse().map((name) => put(store, name, name)));
        const expected = odd.map(key).sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
        await reopen();
        const page = await store.scan(FIRST, LAST, ALL);
        expect(page.isComplete).toBe(true);
        expect(page.rows.map((row) => row.key)).toEqual(expected);
        expect(page.rows.map((row) => text(row.record))).toEqual(expected);
        expect(expected).toEqual([...expected].sort(compareKeys));
        for (const name of odd) expect(text(await store.get(key(name)))).toBe(name);
        expect((await store.changes(NO_SEQUENCE, ALL)).rows.map((row) => row.key)).toEqual([...odd].reverse());
      });

      it('takes its start in and leaves its end out', async () => {
        for (const name of ['a', 'b', 'ba', 'c']) await put(store, name, name);
        const range = async (from: string, to: string) =>
          (await store.scan(key(from), key(to), ALL)).rows.map((row) => row.key);
        expect(await range('a', 'c')).toEqual(['a', 'b', 'ba']);
        expect(await range('b', 'b\0')).toEqual(['b']);
        expect(await range('b', 'b')).toEqual([]);
        expect(await range('c', 'a')).toEqual([]);
        expect(await range('aa', 'bb')).toEqual(['b', 'ba']);
      });

      it('pages by rows and by bytes', async () => {
        for (const name of ['a', 'b', 'c']) await put(store, name, name.repeat(100));
        const byRows = await store.scan(FIRST, LAST, { rowsMax: 2, bytesMax: MEBIBYTE });
        expect([byRows.rows.length, byRows.isComplete]).toEqual([2, false]);
        const byBytes = await store.scan(FIRST, LAST, { rowsMax: 10, bytesMax: 1 });
        expect([byBytes.rows.length, byBytes.isComplete]).toEqual([1, false]);
        const whole = await store.scan(FIRST, LAST, { rowsMax: 3, bytesMax: MEBIBYTE });
        expect([whole.rows.length, whole.isComplete]).toEqual([3, true]);
      });
    });

    describe('its identity', () => {
      it('renews its id: sequences go on, the old id stays as a claim', async () => {
        await put(store, 'a', '1');
        await put(store, 'b', '2');
        const old = store.id;
        const [, after] = await Promise.all([
          store.renewId(),
          store.update([key('a')], (view) => ({
            writes: [{ key: key('a'), record: bytes('3') }],
            result: { store: view.store, nextSequence: view.nextSequence, applied: new Map(view.applied) },
          })),
        ]);
        expect(store.id).not.toBe(old);
        expect(storeNameOf(store.id)).toBe(STORE_NAME);
        expect(after.store).toBe(store.id);
        expect(after.nextSequence).toBe(3);
        expect(after.applied).toEqual(
          new Map([
            [old, 2],
            [store.id, 2],
          ]),
        );
        const { id } = store;
        await reopen();
        expect([store.id, store.isNew, store.sequence]).toEqual([id, false, 3]);
        expect(store.positions.get(old)?.applied).toBe(2);
      });

      it('forgets positions, durably', async () => {
        await store.update([], () => ({ writes: [], positions: new Map([[ORIGIN, position(3, 3)]]), result: null }));
        await store.forgetPositions();
        expect(store.positions.size).toBe(0);
        await reopen();
        expect(store.positions.size).toBe(0);
      });

      it('keeps notes by name, the last text of each', async () => {
        expect(store.note('a')).toBeUndefined();
        await Promise.all([store.setNote('a', '1'), store.setNote('b', '\u{1f600}'), store.setNote('a', '2')]);
        await reopen();
        expect([store.note('a'), store.note('b')]).toEqual(['2', '\u{1f600}']);
      });

      it('counts records, not writes', async () => {
        for (const name of ['a', 'b', 'a']) await put(store, name, name);
        await remove(store, 'b');
        const figures = await store.figures();
        expect(figures.records).toBe(1);
        expect(figures.bytesUsed).toBeGreaterThan(0);
        expect(figures.bytesFree).toBeGreaterThan(0);
      });
    });

    describe('closing', () => {
      it('finishes what was asked for, then refuses', async () => {
        const updates = Array.from({ length: 200 }, (_, at) => append(store, 'k', `${at % 10}`));
        await store.close();
        expect((await Promise.all(updates)).at(-1)).toHaveLength(200);
        const refused = [
          put(store, 'a', '1'),
          store.get(key('a')),
          store.scan(FIRST, LAST, ALL),
          store.changes(NO_SEQUENCE, ALL),
          store.setNote('a', '1'),
          store.renewId(),
          store.forgetPositions(),
          store.figures(),
        ];
        for (const call of refused) expect(await failureOf(call)).toBeInstanceOf(StoreFailedError);
        await store.close();
        store = await medium.open();
        expect(text(await store.get(key('k')))).toHaveLength(200);
        expect(await store.get(key('a'))).toBeUndefined();
      });
    });

    it('behaves as a naive model does, over reopenings', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
          const other = await makeMedium();
          const run = new ModelRun(other);
          try {
            await run.start();
            for (const one of steps) await run.step(one);
            await run.compare();
          } finally {
            await run.stop();
          }
        }),
        { numRuns: capabilities.propertyRuns },
      );
    });
  });
}

const NAMES = ['a', 'b', 'b\0', 'c', '\uffee', '\u{1f600}'];

type Step =
  | { readonly kind: 'updates'; readonly updates: readonly (readonly ModelWrite[])[] }
  | { readonly kind: 'reopen' }
  | { readonly kind: 'compare' }
  | { readonly kind: 'renew' };
interface ModelWrite {
  readonly name: string;
  readonly value: number | null;
}

const write = fc.record({ name: fc.constantFrom(...NAMES), value: fc.option(fc.nat(99), { freq: 4 }) });
const update = fc.uniqueArray(write, { maxLength: 4, selector: (one) => one.name });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('updates' as const), updates: fc.array(update, { maxLength: 6 }) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'compare' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'renew' as const }) },
);

/** Each update appends its value to the record, so that a turn taken on old bytes shows. */
class ModelRun {
  readonly #medium: StoreMedium;
  readonly #rows = new Map<string, { value: string; sequence: number }>();
  #sequence = 0;
  #told: StoredRow[] = [];
  #store: Store | undefined;

  constructor(medium: StoreMedium) {
    this.#medium = medium;
  }

  async start(): Promise<void> {
    this.#store = await this.#medium.open();
    this.#store.onCommit((commit) => this.#told.push(...commit.rows));
  }

  async stop(): Promise<void> {
    await this.#store?.close();
    await this.#medium.dispose();
  }

  async step(one: Step): Promise<void> {
    if (one.kind === 'compare') return this.compare();
    if (one.kind === 'renew') return this.#opened().renewId();
    if (one.kind === 'reopen') {
      await this.#opened().close();
      return this.start();
    }
    const asked = one.updates.map((writes) => this.#ask(writes));
    const expected = one.updates.map((writes) => this.#model(writes));
    expect(await Promise.all(asked)).toEqual(expected);
    return undefined;
  }

  #opened(): Store {
    if (!this.#store) throw new Error('the run was not started');
    return this.#store;
  }

  #ask(writes: readonly ModelWrite[]): Promise<(string | undefined)[]> {
    const keys = writes.map((one) => key(one.name));
    return this.#opened().update(keys, (view) => ({
      writes: writes.map((one, at) => ({
        key: key(one.name),
        record: one.value === null ? null : bytes(`${text(view.record(at)) ?? ''},${one.value}`),
      })),
      result: writes.map((_, at) => text(view.record(at))),
    }));
  }

  #model(writes: readonly ModelWrite[]): (string | undefined)[] {
    const before = writes.map((one) => this.#rows.get(one.name)?.value);
    for (const [at, one] of writes.entries()) {
      if (one.value === null) this.#rows.delete(one.name);
      else this.#rows.set(one.name, { value: `${before[at] ?? ''},${one.value}`, sequence: ++this.#sequence });
    }
    return before;
  }

  async compare(): Promise<void> {
    const store = this.#opened();
    const rows = [...this.#rows].map(([name, row]) => ({ name, line: `${name}=${row.value}@${row.sequence}`, ...row }));
    for (const name of NAMES) expect(text(await store.get(key(name)))).toBe(this.#rows.get(name)?.value);
    const byKey = [...rows].sort((left, right) => Buffer.compare(Buffer.from(left.name), Buffer.from(right.name)));
    expect(seen((await store.scan(FIRST, LAST, ALL)).rows)).toEqual(byKey.map((row) => row.line));
    const bySequence = [...rows].sort((left, right) => left.sequence - right.sequence);
    expect(await allChanges(store)).toEqual(bySequence.map((row) => row.line));
    expect(await this.#pagedChanges()).toEqual(bySequence.map((row) => row.line));
    expect(store.sequence).toBe(this.#sequence);
    expect((await store.figures()).records).toBe(rows.length);
    const sequences = this.#told.map((row) => row.sequence);
    expect(sequences).toEqual([...sequences].sort((left, right) => left - right));
    for (const row of rows) expect(sequences).toContain(row.sequence);
  }

  async #pagedChanges(): Promise<string[]> {
    const rows: StoredRow[] = [];
    let after = NO_SEQUENCE;
    for (;;) {
      const page = await this.#opened().changes(after, { rowsMax: 2, bytesMax: 50 });
      rows.push(...page.rows);
      after = page.upTo;
      if (page.isComplete) return seen(rows);
    }
  }
}
