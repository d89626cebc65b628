import { setTimeout as sleep } from 'node:timers/promises';
import { NO_SEQUENCE, type RecordKey, type StoreName } from '@meridian/core/ids';
import {
  openPostgresDatabase,
  type PostgresDatabase,
  type PostgresDatabaseOptions,
} from '@meridian/server/adapters/postgres/postgres-database';
import { systemClock } from '@meridian/server/adapters/system/system-clock';
import { StoreFailedError, StoreFullError } from '@meridian/server/ports/store';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { PostgresServer } from '../support/postgres.ts';
import { PostgresProxy } from '../support/postgres-proxy.ts';
import { append, NOTHING_SEEN, put, read, wordsIn } from '../support/postgres-turns.ts';
import { systemRandom } from '../support/system-random.ts';

let server: PostgresServer;
let proxy: PostgresProxy;
let name: string;
const opened: PostgresDatabase[] = [];

beforeAll(async () => {
  server = await PostgresServer.start();
  proxy = await PostgresProxy.start(server.port);
});
afterAll(async () => {
  await proxy?.close();
  await server?.remove();
});
beforeEach(async () => {
  name = await server.newDatabase();
});
afterEach(async () => {
  proxy.accept();
  await Promise.all(opened.splice(0).map((database) => database.close()));
  expect(proxy.pending, 'faults that did not come about').toBe(0);
});

async function open(port: number, changes: Partial<PostgresDatabaseOptions> = {}): Promise<PostgresDatabase> {
  const database = await openPostgresDatabase({
    settings: server.settings(name, { port }),
    storeName: 'us-1' as StoreName,
    random: systemRandom,
    clock: systemClock,
    ...changes,
  });
  opened.push(database);
  return database;
}
const direct = (changes?: Partial<PostgresDatabaseOptions>) => open(server.port, changes);
const behindProxy = (changes?: Partial<PostgresDatabaseOptions>) => open(proxy.port, changes);

/** A session of the operator's, or of another program. */
async function withClient(use: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: server.url(name) });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

const endSessions = () =>
  server.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`);

const someSession = (condition: string) =>
  eventually(
    async () => {
      const rows = await server.query(`SELECT 1 FROM pg_stat_activity WHERE datname = '${name}' AND ${condition}`);
      return rows.length > 0;
    },
    { what: `a session of which ${condition}`, everyMs: 10 },
  );
const waitingForLock = () => someSession(`wait_event_type = 'Lock'`);

describe('a connection that breaks', () => {
  it('before the commit is asked for: the turn is done again, once', async () => {
    const database = await behindProxy();
    await append(database, 'list', 'a');
    await withClient(async (client) => {
      await client.query('BEGIN');
      await client.query('SELECT 1 FROM meridian.store FOR UPDATE');
      const turn = append(database, 'list', 'b');
      await waitingForLock();
      proxy.cut();
      await client.query('ROLLBACK');
      await turn;
    });
    expect(await read(database, 'list')).toBe('a b');
    expect(database.counters.doubts).toBe(0);
    expect(database.counters.retries).toBeGreaterThan(0);
  });

  it('while nothing is asked for is not noticed', async () => {
    const database = await behindProxy();
    await append(database, 'list', 'a');
    await endSessions();
    await append(database, 'list', 'b');
    expect(await read(database, 'list')).toBe('a b');
    expect(database.counters.connections).toBe(2);
  });

  it('on the way to the commit: it is found out that it did not take place, and done again', async () => {
    const database = await behindProxy();
    await append(database, 'list', 'a');
    proxy.onNextCommit('request lost');
    const state = await append(database, 'list', 'b');
    expect(await read(database, 'list')).toBe('a b');
    expect(state.version).toBe(2);
    expect(database.counters).toMatchObject({ doubts: 1, retries: 1 });
  });

  it('on the way back from the commit: it is found out that it took place, and not done again', async () => {
    const database = await behindProxy();
    await append(database, 'list', 'a');
    proxy.onNextCommit('answer lost');
    const state = await append(database, 'list', 'b');
    expect(await read(database, 'list')).toBe('a b');
    expect(state).toMatchObject({ version: 2, sequence: 2 });
    expect(await database.readState(state)).toEqual({ ...state, hasSeen: true });
    expect(database.counters).toMatchObject({ doubts: 1, retries: 0 });
  });

  it('twice in a row, and in the finding out', async () => {
    const database = await behindProxy();
    // The finding out ends with a commit too.
    proxy.onNextCommit('answer lost', 'answer lost', 'request lost');
    await append(database, 'list', 'a');
    proxy.onNextCommit('request lost');
    await append(database, 'list', 'b');
    expect(await read(database, 'list')).toBe('a b');
    expect(database.counters.doubts).toBe(2);
  });

  it('and is not to be had again in time: the outcome is told to be unknown, and the next turn heals', async () => {
    const database = await behindProxy({ retryMs: 300 });
    await append(database, 'list', 'a');
    proxy.onNextCommit('answer lost');
    const turn = append(database, 'list', 'b');
    await eventually(() => Promise.resolve(proxy.pending === 0), { what: 'the commit', everyMs: 1 });
    proxy.refuse();
    await expect(turn).rejects.toMatchObject({ name: 'StoreFailedError', isDoubtful: true });
    proxy.accept();
    await append(database, 'list', 'c');
    expect(await read(database, 'list')).toBe('a b c');
  });

  it('is told plainly where nothing was asked for yet, within its time', async () => {
    const database = await behindProxy({ retryMs: 300 });
    proxy.refuse();
    const began = performance.now();
    const failures = await Promise.all(
      [put(database, 'k', 'v'), database.get(['k' as RecordKey], NOTHING_SEEN), database.readState(NOTHING_SEEN)].map(
        (asked) =>
          asked.then(
            () => undefined,
            (failure: unknown) => failure,
          ),
      ),
    );
    expect(performance.now() - began).toBeLessThan(2_000);
    for (const failure of failures) {
      expect(failure).toBeInstanceOf(StoreFailedError);
      expect(failure).toMatchObject({ isDoubtful: false, message: expect.stringMatching(/^the database failed: .+$/) });
    }
    proxy.accept();
    await put(database, 'k', 'v');
    expect(await read(database, 'k')).toBe('v');
  });
});

describe('a commit that no standby has yet', () => {
  afterEach(async () => {
    await server.query('ALTER SYSTEM RESET synchronous_standby_names');
    await server.query('SELECT pg_reload_conf()');
  });

  it('is not told to be made, though the session that waited for one was ended and the rows can be seen', async () => {
    const settings = server.settings(name, { statementTimeoutMs: 500 });
    const database = await direct({ settings, retryMs: 500 });
    await append(database, 'list', 'a');
    await server.query(`ALTER SYSTEM SET synchronous_standby_names = 'away'`);
    await server.query('SELECT pg_reload_conf()');
    await eventually(
      async () =>
        (await server.query(`SELECT 1 WHERE current_setting('synchronous_standby_names') = 'away'`)).length > 0,
      { what: 'a server that waits for its standby' },
    );
    const told = append(database, 'list', 'b').then(
      () => 'made',
      (error: unknown) => error,
    );
    await someSession(`wait_event = 'SyncRep'`);
    await endSessions();
    expect(await told).toMatchObject({ isDoubtful: true });
    expect(await read(database, 'list')).toBe('a b');
  });
});

describe('the record of turns', () => {
  it('is bounded', async () => {
    const database = await direct({ turnsKept: 64 });
    for (let at = 0; at < 300; at++) await put(database, 'k', `${at}`);
    const [found] = await server.query('SELECT count(*)::int AS turns FROM meridian.turns', name);
    expect(found?.turns).toBeLessThanOrEqual(2 * 64 + 1);
  });

  it('that no longer holds a turn whose answer was lost leaves its outcome unknown, rather than guessed', async () => {
    const [database, other] = [await behindProxy({ turnsKept: 1 }), await direct({ turnsKept: 1 })];
    await append(database, 'list', 'a');
    proxy.onNextCommit('answer lost');
    // Before the commit, not after: else the node may have found its turn already, or the server never have heard of it.
    proxy.refuseNew();
    const turn = append(database, 'list', 'b');
    const failed = turn.catch((failure: unknown) => failure);
    await eventually(async () => (await read(other, 'list')) === 'a b', { what: 'the commit', everyMs: 5 });
    for (let at = 0; at < 130; at++) await put(other, 'k', `${at}`);
    proxy.accept();
    expect(await failed).toMatchObject({ name: 'StoreFailedError', isDoubtful: true });
    expect(await read(other, 'list')).toBe('a b');
  });
});

describe('what the server undoes', () => {
  it('for a serialization failure is done again', async () => {
    const database = await behindProxy();
    await append(database, 'list', 'a');
    proxy.onNextCommit({ sqlState: '40001' });
    await append(database, 'list', 'b');
    expect(await read(database, 'list')).toBe('a b');
    expect(database.counters).toMatchObject({ retries: 1, doubts: 0 });
  });

  it('for a deadlock is done again', async () => {
    const database = await direct();
    await append(database, 'list', 'a');
    await withClient(async (client) => {
      // The other one waits longer before it looks for a deadlock, so it is the turn that finds it, and is undone.
      await client.query(`SET deadlock_timeout = '20s'`);
      await client.query('BEGIN');
      await client.query('SELECT 1 FROM meridian.records FOR UPDATE');
      const turn = append(database, 'list', 'b');
      await waitingForLock();
      await client.query('SELECT 1 FROM meridian.store FOR UPDATE');
      await client.query('ROLLBACK');
      await turn;
    });
    expect(await read(database, 'list')).toBe('a b');
    expect(database.counters.retries).toBeGreaterThan(0);
  });

  it('for want of disk is told as such, and the next turn finds nothing of it', async () => {
    const database = await behindProxy();
    await append(database, 'list', 'a');
    proxy.onNextCommit({ sqlState: '53100' });
    await expect(append(database, 'list', 'b')).rejects.toBeInstanceOf(StoreFullError);
    await append(database, 'list', 'c');
    expect(await read(database, 'list')).toBe('a c');
  });

  it('because it is read-only fails plainly in time, while reads go on, and heals by itself', async () => {
    const database = await direct({ retryMs: 400 });
    await append(database, 'list', 'a');
    await server.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    await endSessions();
    await expect(append(database, 'list', 'b')).rejects.toMatchObject({ name: 'StoreFailedError', isDoubtful: false });
    expect(await read(database, 'list')).toBe('a');
    await server.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`);
    await append(database, 'list', 'c');
    expect(await read(database, 'list')).toBe('a c');
  });

  it('is not done again where the decision itself failed', async () => {
    const database = await direct();
    await append(database, 'list', 'a');
    const failure = new Error('this is no failure of the database');
    let runs = 0;
    const turn = database.transact(
      ['list' as RecordKey],
      () => {
        runs++;
        throw failure;
      },
      () => NOTHING_SEEN,
    );
    await expect(turn).rejects.toBe(failure);
    expect(runs).toBe(1);
    await append(database, 'list', 'b');
    expect(await read(database, 'list')).toBe('a b');
  });
});

describe('what a node has heard of', () => {
  it('is asked for anew, of others too, before the first turn on each connection', async () => {
    const database = await direct();
    const asked: boolean[] = [];
    const turn = () =>
      database.transact(
        [],
        () => undefined,
        async (isReconnected) => {
          asked.push(isReconnected);
          return NOTHING_SEEN;
        },
      );
    await turn();
    await turn();
    await endSessions();
    await turn();
    await turn();
    // One more, with the connection that was ended, where its end had not been noticed yet.
    expect(asked.filter((isReconnected) => isReconnected)).toHaveLength(2);
    expect(asked.slice(0, 2)).toEqual([true, false]);
    expect(asked.slice(-2)).toEqual([true, false]);
  });
});

describe('a node that stops in the middle of its turn', () => {
  it('holds up the others for seconds only, and does its turn again when it goes on', async () => {
    const [frozen, other] = [await behindProxy({ retryMs: 15_000 }), await direct()];
    await append(frozen, 'list', 'a');
    proxy.onNextCommit('frozen');
    const turn = append(frozen, 'list', 'b');
    await eventually(() => Promise.resolve(proxy.pending === 0), { what: 'the commit', everyMs: 1 });
    const began = performance.now();
    await append(other, 'list', 'c');
    expect(performance.now() - began).toBeLessThan(6_000);
    await turn;
    expect(await read(other, 'list')).toBe('a c b');
  });

  it('also where it stops while rows are on their way to it', async () => {
    const [frozen, other] = [await behindProxy({ retryMs: 15_000 }), await direct({ retryMs: 15_000 })];
    await put(frozen, 'large', 'x'.repeat(12 * 1024 * 1024));
    await append(other, 'list', 'a');
    proxy.stopTakingAtNextBegin();
    const turn = append(frozen, 'large', 'y');
    await someSession(`wait_event = 'ClientWrite'`);
    const began = performance.now();
    await append(other, 'list', 'b');
    expect(performance.now() - began).toBeLessThan(9_000);
    await turn;
    expect((await read(other, 'large'))?.slice(-3)).toBe('x y');
  });
});

describe('a server that is restarted under load', () => {
  it.each([
    ['stopped', () => server.stop()],
    ['killed', () => server.kill()],
  ] as const)('%s: nothing acknowledged is lost, nothing is doubled, and all goes on', async (_, end) => {
    const nodes = [await direct({ retryMs: 20_000 }), await direct({ retryMs: 20_000 })];
    const told: string[] = [];
    let isOver = false;
    const workers = Array.from({ length: 6 }, async (_each, worker) => {
      for (let count = 0; !isOver; count++) {
        const word = `${worker}.${count}`;
        await append(nodes[worker % nodes.length] as PostgresDatabase, `list${worker % 3}`, word);
        told.push(word);
      }
    });
    await sleep(300);
    for (let round = 0; round < 2; round++) {
      await end();
      await server.startAgain();
      const before = told.length;
      await eventually(() => Promise.resolve(told.length > before + 20), { what: 'turns after the restart' });
    }
    isOver = true;
    await Promise.all(workers);
    const lists = await Promise.all(['list0', 'list1', 'list2'].map((key) => read(nodes[0] as PostgresDatabase, key)));
    expect(lists.flatMap(wordsIn).toSorted()).toEqual(told.toSorted());
  });
});

describe('a database that has gone back by a turn', () => {
  it('is told from one that has not, also where the turn was taken anew, in every way of looking', async () => {
    const [database, other] = [await direct(), await direct()];
    const kept = await put(database, 'a', 'kept');
    const lost = await put(database, 'b', 'lost');
    const look = async (seen: typeof lost) => {
      let inTurn: boolean | undefined;
      await database.transact(
        [],
        ({ state }) => {
          inTurn = state.hasSeen;
          return undefined;
        },
        () => seen,
      );
      return [(await database.readState(seen)).hasSeen, (await database.get([], seen)).hasSeen, inTurn];
    };
    expect([await look(kept), await look(lost)]).toEqual([
      [true, true, true],
      [true, true, true],
    ]);
    const { schema } = server.settings(name);
    await withClient(async (client) => {
      await client.query(`DELETE FROM "${schema}".turns WHERE version = ${lost.version}`);
      await client.query(`DELETE FROM "${schema}".records WHERE sequence = ${lost.sequence}`);
    });
    expect(await look(lost)).toEqual([false, false, false]);
    const anew = await put(other, 'c', 'anew');
    expect([anew.version, anew.sequence]).toEqual([lost.version, lost.sequence]);
    expect(await look(lost)).toEqual([false, false, false]);
    await put(other, 'd', 'further');
    for (const state of [kept, anew]) expect(await look(state)).toEqual([true, true, true]);
    expect(await look(lost)).toEqual([false, false, false]);
  });
});

describe('two nodes on one database', () => {
  it('never give out a sequence twice, and lose no update', async () => {
    const nodes = [await direct(), await direct()];
    const versions: number[] = [];
    const sequences: number[] = [];
    const counts = [0, 0];
    const until = performance.now() + 2_000;
    await Promise.all(
      nodes.flatMap((node, at) =>
        Array.from({ length: 3 }, async () => {
          while (performance.now() < until) {
            const state = await append(node, `list${counts[0]! % 2}`, `${at}.${counts[at]!++}`);
            versions.push(state.version);
            sequences.push(state.sequence);
          }
        }),
      ),
    );
    const done = versions.length;
    expect(done).toBeGreaterThan(50);
    expect(new Set(versions).size).toBe(done);
    expect(new Set(sequences).size).toBe(done);
    const lists = [await read(nodes[0]!, 'list0'), await read(nodes[1]!, 'list1')].flatMap(wordsIn);
    expect(lists.length).toBe(done);
    expect(new Set(lists).size).toBe(done);
    // Neither is starved by the other, though both ask for the next turn as soon as they have had one.
    expect(Math.min(...counts)).toBeGreaterThan(done / 5);
    const { rows, upTo } = await nodes[0]!.changes(NO_SEQUENCE, { rowsMax: 10, bytesMax: 1e9 });
    expect(rows.map(({ sequence }) => sequence)).toEqual(
      rows.map(({ sequence }) => sequence).toSorted((a, b) => a - b),
    );
    expect(upTo).toBe(done);
  });

  it('opened for the first time at once: one makes the store, all have it', async () => {
    const nodes = await Promise.all(Array.from({ length: 5 }, () => direct()));
    expect(nodes.filter(({ isNew }) => isNew).length).toBe(1);
    expect(new Set(nodes.map(({ state }) => state.id)).size).toBe(1);
  });
});

describe('reads', () => {
  it('wait for a connection where all are in use', async () => {
    const database = await direct({ settings: server.settings(name, { poolSize: 2 }) });
    await put(database, 'k', 'v');
    await withClient(async (client) => {
      await client.query('BEGIN');
      await client.query('LOCK TABLE meridian.records IN ACCESS EXCLUSIVE MODE');
      const reads = Array.from({ length: 12 }, () => read(database, 'k'));
      await sleep(300);
      await client.query('ROLLBACK');
      expect(new Set(await Promise.all(reads))).toEqual(new Set(['v']));
    });
    expect(database.counters.poolWaits).toBeGreaterThan(0);
  });
});

describe('opening', () => {
  it('waits for a server that comes', async () => {
    proxy.refuse();
    const opening = behindProxy();
    await sleep(300);
    proxy.accept();
    await put(await opening, 'k', 'v');
  });

  it.each([
    ['a server that is not there', { port: 1 }, 'UNREADABLE', 'connection refused'],
    ['a wrong password', { password: 'secret-but-wrong' }, 'UNREADABLE', 'password authentication failed'],
    ['no password', { password: undefined }, 'UNREADABLE', 'password'],
    ['a database that is not there', { database: 'nowhere' }, 'UNREADABLE', 'does not exist'],
    ['a server without TLS', { tls: { mode: 'require' } }, 'UNREADABLE', 'SSL'],
  ] as const)('tells of %s in one line that holds no password', async (_, changes, problem, words) => {
    const settings = server.settings(name, changes);
    const failure: Error = await direct({ settings, openMs: 400 }).then(
      () => Promise.reject(new Error('it was opened')),
      (error: Error) => error,
    );
    expect(failure).toMatchObject({ name: 'StoreOpenError', problem });
    expect(failure.message).toContain(words);
    expect(failure.message).toContain(`${settings.host}:${settings.port}/${settings.database}`);
    expect(failure.message).not.toMatch(/secret|pass:word|\n/);
  });

  it('refuses a schema from the future, and leaves it alone', async () => {
    await put(await direct(), 'k', 'v');
    await server.query(`INSERT INTO meridian.migrations VALUES ('9999_to_come', '2100-01-01T00:00:00.000Z')`, name);
    await expect(direct()).rejects.toMatchObject({
      problem: 'UNKNOWN_FORMAT',
      message: expect.stringContaining('9999_to_come'),
    });
    expect(await server.query('SELECT count(*)::int AS rows FROM meridian.records', name)).toEqual([{ rows: 1 }]);
  });

  it('refuses the data of another store, and takes another schema beside it', async () => {
    await direct();
    const eu = { storeName: 'eu-1' as StoreName };
    await expect(direct(eu)).rejects.toMatchObject({
      problem: 'OTHER_STORE',
      message: expect.stringMatching(/us-1, not to eu-1$/),
    });
    const beside = await direct({ ...eu, settings: server.settings(name, { schema: 'beside' }) });
    expect(beside.isNew).toBe(true);
  });
});
