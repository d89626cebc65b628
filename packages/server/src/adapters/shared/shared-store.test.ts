import type { RecordKey, Sequence, StoreName } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../../../test/simulation/seeded-random.ts';
import {
  type DatabaseBugs,
  type SimulatedDatabase,
  SimulatedServer,
} from '../../../../../test/simulation/simulated-database.ts';
import { ProcessClock, VirtualTime } from '../../../../../test/simulation/virtual-time.ts';
import { type CommitNotice, type Store, StoreFailedError } from '../../ports/store.ts';
import { SharedStore } from './shared-store.ts';

const STORE_NAME = 'eu-1' as StoreName;
const KEY = 'shop.1\0key' as RecordKey;
const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((name) => `shop.1\0${name}` as RecordKey) as [
  RecordKey,
  RecordKey,
  RecordKey,
  RecordKey,
];
const encoder = new TextEncoder();

interface Node {
  readonly store: SharedStore;
  readonly database: SimulatedDatabase;
  readonly clock: ProcessClock;
  /** The sequences at which this node was told that the database had gone back. */
  readonly regressed: number[];
}

interface Setting {
  readonly time: VirtualTime;
  readonly server: SimulatedServer;
  readonly one: Node;
  readonly other: Node;
  /** A further node. */
  readonly connect: (isListening?: boolean) => Node;
}

/** Runs `play` with two nodes on one database, as virtual time passes. */
async function onTwoNodes(play: (setting: Setting) => Promise<void>, bugs: DatabaseBugs = {}): Promise<void> {
  const time = new VirtualTime();
  const random = new SeededRandom(7);
  const timer = (delayMs: number, fire: () => void) => time.at(delayMs, fire);
  const server = new SimulatedServer({ monotonicMs: () => time.nowMs, timer }, bugs);
  const connect = (isListening = true): Node => {
    const clock = new ProcessClock(time, 0);
    const database = server.connect(STORE_NAME, clock, random);
    const store = new SharedStore({ database, storeName: STORE_NAME, clock, random });
    const regressed: number[] = [];
    if (isListening) store.shared.onRegressed((seen) => regressed.push(seen));
    return { store, database, clock, regressed };
  };
  let isDone = false;
  const played = play({ time, server, one: connect(), other: connect(), connect }).finally(() => {
    isDone = true;
  });
  await Promise.all([played, time.run(() => isDone)]);
}

function put(store: Store, text: string, key = KEY): Promise<number> {
  return store.update([key], (view) => ({
    writes: [{ key, record: encoder.encode(text) }],
    result: view.nextSequence as number,
  }));
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Commits that the standby does not have, made by both nodes. */
async function loseCommits({ time, server, one, other }: Setting): Promise<void> {
  await put(one.store, 'kept');
  await time.sleep(300);
  await put(one.store, 'kept too');
  await put(other.store, 'lost');
  await put(one.store, 'lost too');
  await other.store.shared.refresh();
  server.failOver();
}

describe('a shared store whose database fails over to a standby that lagged', () => {
  it('writes nothing until it has a new id, and says once how far it had come', () =>
    onTwoNodes(async (setting) => {
      await loseCommits(setting);
      const { one } = setting;
      const seen = one.store.sequence;
      const former = one.store.id;
      expect(await failureOf(put(one.store, 'again'))).toBeInstanceOf(StoreFailedError);
      expect(await failureOf(put(one.store, 'and again'))).toBeInstanceOf(StoreFailedError);
      expect(one.regressed).toEqual([seen]);
      expect(one.store.sequence).toBeLessThan(seen);
      await one.store.renewId();
      expect(one.store.id).not.toBe(former);
      await put(one.store, 'on');
      expect(one.store.positions.get(former)?.applied).toBeLessThan(seen);
    }));

  it('finds out without a write too', () =>
    onTwoNodes(async (setting) => {
      await loseCommits(setting);
      await setting.time.sleep(1_000);
      expect(setting.one.regressed).toHaveLength(1);
      expect(setting.other.regressed).toHaveLength(1);
    }));

  it('keeps its notes and positions in order while it waits for a new id', () =>
    onTwoNodes(async (setting) => {
      await loseCommits(setting);
      const { one } = setting;
      expect(await failureOf(put(one.store, 'again'))).toBeDefined();
      await one.store.setNote('filling', 'anew');
      await one.store.forgetPositions();
      expect(one.store.note('filling')).toBe('anew');
    }));

  it('goes on under the id that another node has given it', () =>
    onTwoNodes(async (setting) => {
      await loseCommits(setting);
      const { one, other } = setting;
      expect(await failureOf(put(one.store, 'again'))).toBeDefined();
      await one.store.renewId();
      await put(other.store, 'by the other');
      expect(other.store.id).toBe(one.store.id);
      expect(other.regressed).toEqual([]);
    }));

  it('tells of what was written where others were lost', () =>
    onTwoNodes(async (setting) => {
      const told: string[] = [];
      setting.other.store.onCommit(({ rows }) =>
        told.push(...rows.map(({ record }) => new TextDecoder().decode(record))),
      );
      await loseCommits(setting);
      const { one, other } = setting;
      expect(await failureOf(put(one.store, 'again'))).toBeDefined();
      await one.store.renewId();
      await put(one.store, 'on');
      await other.store.shared.refresh();
      expect(told).toEqual(['lost too', 'on']);
    }));
});

describe('a turn that the database has lost', () => {
  it('is missed by a node that has only heard of it, and nothing is read or written past it', () =>
    onTwoNodes(async ({ time, server, one, other }) => {
      one.store.shared.onChange((notice) => other.store.shared.notice(notice));
      await put(one.store, 'kept', A);
      await time.sleep(250);
      await other.store.shared.refresh();
      const lost = await put(one.store, 'lost', B);
      expect(other.store.sequence).toBe(lost);
      server.failOver();
      expect(await failureOf(other.store.get(B))).toBeInstanceOf(StoreFailedError);
      expect(await failureOf(put(other.store, 'other', C))).toBeInstanceOf(StoreFailedError);
      expect(other.regressed).toEqual([lost]);
    }));

  it('is missed by the node that took it, though another has taken as many since', () =>
    onTwoNodes(async ({ time, server, one, other }) => {
      await put(one.store, 'kept', A);
      await time.sleep(250);
      await other.store.shared.refresh();
      const lost = await put(one.store, 'lost', B);
      server.failOver();
      // It has never heard of the turn that is lost.
      expect(await put(other.store, 'other', C)).toBe(lost);
      await put(other.store, 'further', D);
      expect(await failureOf(one.store.get(B))).toBeInstanceOf(StoreFailedError);
      await time.sleep(1_000);
      expect(one.regressed).toEqual([lost]);
    }));

  it('is missed where the turn that came in its place is told of', () =>
    onTwoNodes(async ({ time, server, one, other }) => {
      const told: string[] = [];
      one.store.onCommit(({ rows }) => told.push(...rows.map(({ key }) => key)));
      await put(one.store, 'kept', A);
      await time.sleep(250);
      await other.store.shared.refresh();
      await put(one.store, 'lost', B);
      server.failOver();
      other.store.shared.onChange((notice) => one.store.shared.notice(notice));
      await put(other.store, 'other', C);
      await put(other.store, 'further', D);
      await time.sleep(100);
      expect(one.regressed).toHaveLength(1);
      await one.store.renewId();
      await one.store.shared.refresh();
      expect(told.slice(-2)).toEqual([C, D]);
      await put(other.store, 'on', A);
      expect(other.store.id).toBe(one.store.id);
    }));

  it('is missed by a turn that was asked for before it was heard of', () =>
    onTwoNodes(async ({ time, server, one, other }) => {
      await put(one.store, 'kept', A);
      await time.sleep(250);
      await one.store.shared.refresh();
      const notices: CommitNotice[] = [];
      other.store.shared.onChange((notice) => notices.push(notice));
      const lost = await put(other.store, 'lost', B);
      server.isDown = true;
      const failure = failureOf(put(one.store, 'in its place', C));
      await time.sleep(10);
      for (const notice of notices) one.store.shared.notice(notice);
      server.failOver();
      server.isDown = false;
      expect(await failure).toBeInstanceOf(StoreFailedError);
      expect(one.regressed).toEqual([lost]);
    }));

  it('is missed by a node that has not heard of it, where the other says so before the next turn', () =>
    onTwoNodes(async ({ time, server, one, other }) => {
      let asked = 0;
      other.store.shared.onReconnected(() => {
        asked += 1;
        return Promise.resolve([one.store.shared.latest]);
      });
      await put(other.store, 'kept', A);
      await put(other.store, 'kept too', D);
      expect(asked).toBe(1);
      await time.sleep(250);
      await one.store.shared.refresh();
      await put(one.store, 'lost', B);
      server.failOver();
      expect(await failureOf(put(other.store, 'other', C))).toBeInstanceOf(StoreFailedError);
      expect(asked).toBe(2);
      expect(other.regressed).toHaveLength(1);
    }));

  it('is missed by the node that took it, though the other says that it knows of a later one', () =>
    onTwoNodes(async ({ time, server, one, other }) => {
      one.store.shared.onReconnected(() => Promise.resolve([other.store.shared.latest]));
      await put(one.store, 'kept', A);
      await time.sleep(250);
      await other.store.shared.refresh();
      const lost = await put(one.store, 'lost', B);
      server.failOver();
      await put(other.store, 'other', C);
      await put(other.store, 'further', D);
      expect(await failureOf(put(one.store, 'one', A))).toBeInstanceOf(StoreFailedError);
      expect(one.regressed).toEqual([lost]);
      await time.sleep(2_000);
      expect(one.regressed).toEqual([lost]);
    }));

  it('is told of for as long as the store has no new id, by the one that missed it', () =>
    onTwoNodes(async ({ time, server, one, other }) => {
      await put(one.store, 'kept', A);
      await time.sleep(250);
      await other.store.shared.refresh();
      await put(one.store, 'lost', B);
      const lost = one.store.shared.latest;
      server.failOver();
      await time.sleep(600);
      expect(one.regressed).toHaveLength(1);
      expect(one.store.shared.latest).toEqual(lost);
      other.store.shared.onReconnected(() => Promise.resolve([one.store.shared.latest]));
      expect(await failureOf(put(other.store, 'other', C))).toBeInstanceOf(StoreFailedError);
      await one.store.renewId();
      await put(one.store, 'one', C);
      expect(one.store.shared.latest.id).toBe(one.store.id);
    }));

  it('is no matter where it is of an id that the store had before', () =>
    onTwoNodes(async ({ one, other }) => {
      await put(one.store, 'one', A);
      const former = one.store.shared.latest;
      await one.store.renewId();
      await other.store.shared.refresh();
      other.store.shared.onReconnected(() => Promise.resolve([{ ...former, version: 99 }]));
      await put(other.store, 'other', C);
      expect(other.regressed).toEqual([]);
      expect(other.store.shared.latest.id).toBe(one.store.id);
    }));

  it('is told to who listens only after it was missed', () =>
    onTwoNodes(async ({ time, server, one, connect }) => {
      await put(one.store, 'kept', A);
      await time.sleep(250);
      await put(one.store, 'lost', B);
      const late = connect(false);
      server.failOver();
      await time.sleep(600);
      const told: number[] = [];
      late.store.shared.onRegressed((seen) => told.push(seen));
      expect(told).toEqual([2]);
    }));

  it('hinders nobody any more once another node has given the store a new id', () =>
    onTwoNodes(async ({ time, server, one, connect }) => {
      await put(one.store, 'kept', A);
      await time.sleep(250);
      await put(one.store, 'lost', B);
      const late = connect(false);
      server.failOver();
      await time.sleep(600);
      expect(await failureOf(put(late.store, 'again', D))).toBeInstanceOf(StoreFailedError);
      await one.store.renewId();
      await put(one.store, 'one', C);
      await put(late.store, 'late', D);
      expect(late.store.id).toBe(one.store.id);
    }));

  it('hides no row that was written in its place from a node that hears late of the new id', () =>
    onTwoNodes(async ({ time, server, one, other }) => {
      const told: string[] = [];
      other.store.onCommit(({ rows }) => told.push(...rows.map(({ record }) => new TextDecoder().decode(record))));
      await put(one.store, 'kept', A);
      await time.sleep(300);
      await put(one.store, 'kept too', B);
      await put(one.store, 'lost', C);
      await put(one.store, 'lost too', D);
      await other.store.shared.refresh();
      server.failOver();
      expect(await failureOf(put(one.store, 'x'))).toBeDefined();
      await one.store.renewId();
      const rows = Array.from({ length: 6 }, (_none, at) => `new ${at}`);
      for (const text of rows) await put(one.store, text, `shop.1\0${text}` as RecordKey);
      await other.store.shared.refresh();
      expect(told).toEqual(expect.arrayContaining(rows));
    }));

  it('shows in no listing, and in no page of changes, as if it had never been', () =>
    onTwoNodes(async ({ time, server, one }) => {
      await put(one.store, 'kept', A);
      await time.sleep(250);
      await put(one.store, 'lost', B);
      server.failOver();
      const limits = { rowsMax: 10, bytesMax: 1_000 };
      const asked = [
        one.store.get(B),
        one.store.scan('shop.1\0' as RecordKey, 'shop.1\0z' as RecordKey, limits),
        one.store.changes(0 as Sequence, limits),
      ];
      for (const failure of await Promise.all(asked.map(failureOf))) expect(failure).toBeInstanceOf(StoreFailedError);
    }));
});

describe('a shared store', () => {
  it('lets others write while one node is stopped in the middle of a turn, and undoes that turn', () =>
    onTwoNodes(async ({ time, one, other }) => {
      await put(one.store, 'first');
      const stopped = put(one.store, 'stopped');
      // It has the store to itself, and has not decided yet.
      await time.sleep(0.3);
      one.clock.pause();
      const startedAtMs = time.nowMs;
      await put(other.store, 'other');
      expect(time.nowMs - startedAtMs).toBeLessThan(1_500);
      one.clock.resume();
      await stopped;
      expect(await other.store.get(KEY)).toEqual(encoder.encode('stopped'));
      expect(other.regressed).toEqual([]);
    }));

  it.each([
    ['does once what was asked for, though half of all connections break', {}, true],
    ['would do it twice where a commit that nobody heard of were made again', { doubtTriedAgain: true }, false],
  ] as const)('%s', (_what, bugs, isOnce) =>
    onTwoNodes(async ({ server, one, other }) => {
      server.breakShare = 0.5;
      const add = (store: Store): Promise<void> =>
        store.update([KEY], (view) => {
          const count = Number(new TextDecoder().decode(view.record(0) ?? encoder.encode('0'))) + 1;
          return { writes: [{ key: KEY, record: encoder.encode(`${count}`) }], result: undefined };
        });
      for (let at = 0; at < 10; at++) await Promise.all([add(one.store), add(other.store)]);
      server.breakShare = 0;
      const count = Number(new TextDecoder().decode(await one.store.get(KEY)));
      expect(count === 20).toBe(isOnce);
    }, bugs),
  );

  it('says within bounds that its database is away, and goes on when it is back', () =>
    onTwoNodes(async ({ time, server, one }) => {
      server.stop();
      const startedAtMs = time.nowMs;
      expect(await failureOf(put(one.store, 'x'))).toBeInstanceOf(StoreFailedError);
      expect(await failureOf(one.store.get(KEY))).toBeInstanceOf(StoreFailedError);
      expect(time.nowMs - startedAtMs).toBeLessThan(10_000);
      server.isDown = false;
      await put(one.store, 'y');
      expect(await one.store.get(KEY)).toEqual(encoder.encode('y'));
    }));

  it('asks the database once for a key that many ask for in a tick, and anew for the next', () =>
    onTwoNodes(async ({ one, other }) => {
      let asked = 0;
      const { database } = one;
      const get = database.get.bind(database);
      database.get = (keys, seen) => {
        asked += 1;
        expect(keys).toEqual([KEY]);
        return get(keys, seen);
      };
      await Promise.all(Array.from({ length: 50 }, () => one.store.get(KEY)));
      expect(asked).toBe(1);
      await put(other.store, 'new');
      expect(await one.store.get(KEY)).toEqual(encoder.encode('new'));
      expect(asked).toBe(2);
    }));

  it('takes the word of another node for what it has committed, and looks at the rest itself', () =>
    onTwoNodes(async ({ time, one, other }) => {
      const notices: CommitNotice[] = [];
      one.store.shared.onChange((notice) => notices.push(notice));
      await put(one.store, 'x');
      await one.store.setNote('layout', 'one');
      expect(notices.map(({ changesState }) => changesState)).toEqual([false, true]);
      for (const notice of notices) other.store.shared.notice(notice);
      expect(other.store.sequence).toBe(1 as Sequence);
      await time.sleep(5);
      expect(other.store.note('layout')).toBe('one');
    }));

  it('makes one transaction of what comes in while another is under way', () =>
    onTwoNodes(async ({ server, one }) => {
      const before = server.state.version;
      await Promise.all(Array.from({ length: 200 }, (_, at) => put(one.store, 'x', `shop.1\0${at}` as RecordKey)));
      expect(server.state.version - before).toBeLessThanOrEqual(5);
    }));
});
