import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { LinkProbe, type Passage } from '../chaos/link-probe.ts';
import type { Nemesis } from '../chaos/mix.ts';
import { type MixResult, runMix } from '../chaos/run-mix.ts';
import type { World } from '../chaos/world.ts';
import { eventually } from '../support/eventually.ts';
import { ask } from '../support/http.ts';

const SEED = 3;
const SHARED = 'eu-central';
const FAR = ['us-east-1', 'ap-northeast-1'] as const;
const HAND_OVER_MS_MAX = 6_000;
/** A stalled node may hold the store for 3 s. */
const STALLED_MS_MAX = 5_000;
const PAUSED_MS = 7_000;
const RECOVERY_MS_MAX = 8_000;

/** What was asked while the database was away, and what was said. */
interface ToldAway {
  readonly what: string;
  readonly method: 'PUT' | 'GET';
  readonly timeoutMs: number;
  readonly tookMs: number;
  readonly status: number;
  readonly code: unknown;
}

const AWAY_PATHS = [
  '/kv/away?consistency=eventual',
  '/kv/away?consistency=session',
  '/kv/away?consistency=quorum',
  '/namespaces/chaos-strong/kv/away',
];

async function askWhileAway(url: string, path: string, method: 'PUT' | 'GET', timeoutMs: number): Promise<ToldAway> {
  const startedMs = performance.now();
  const { status, body } = await ask(`${url}${path}`, {
    method,
    headers: { 'meridian-timeout': String(timeoutMs) },
    timeoutMs: 10_000,
    ...(method === 'PUT' ? { body: { value: 1 } } : {}),
  });
  const tookMs = Math.round(performance.now() - startedMs);
  return { what: `${method} ${path}`, method, timeoutMs, tookMs, status, code: body?.code };
}

/** A 503 promises that nothing was written, a 504 that nobody knows. */
const REFUSED_WRITES = ['STORE_UNAVAILABLE', 'QUORUM_UNAVAILABLE', 'REPLICA_UNAVAILABLE', 'OUTCOME_UNKNOWN'];
const REFUSED_READS = ['STORE_UNAVAILABLE', 'QUORUM_UNAVAILABLE', 'REPLICA_UNAVAILABLE'];
/** After its time an answer may come so late, on a machine that is busy. */
const LATE_MS_MAX = 1_000;

interface Passages {
  readonly out: readonly Passage[];
  readonly into: readonly Passage[];
}

/**
 * One story of faults, while the clients of `test/chaos` work on registers, counters, sets and sessions through all nodes; what
 * they saw is checked at the end. Beside them, probes measure how long writes and replication stand still.
 */
describe('two nodes on one PostgreSQL, under load and faults', () => {
  let result: MixResult;
  const killed: Passages[] = [];
  let paused: Passages;
  let databaseKilled: Passages;
  let recoveryMs: number;
  let told: readonly ToldAway[];
  let connectionsCut: Passages;

  beforeAll(async () => {
    const mix = { name: 'shared-store', description: 'one story', needsDatabases: true, round: story };
    // Its round takes longer than the second: it is told once.
    result = await runMix({ mix, shape: 'mixed', regions: 3, seconds: 1, seed: SEED, requestsPerSecond: 120 });
    console.info(figures());
  }, 150_000);

  async function story({ world, random }: Nemesis): Promise<void> {
    const [first, second] = world.sharedNodes as [string, string];
    for (const [dead, alive] of [
      [second, first],
      [first, second],
    ] as const) {
      killed.push(
        await whileProbed(world, alive, async () => {
          await sleep(random.between(200, 1_000));
          await world.kill(dead);
          await sleep(3_500);
        }),
      );
      await world.restart(dead);
      await isServed(world, dead);
    }
    paused = await whileProbed(world, second, async () => {
      await world.pauseInTransaction(first);
      await sleep(PAUSED_MS);
    });
    await world.resume(first);
    await isServed(world, first);
    databaseKilled = await whileProbed(world, first, async () => {
      await sleep(300);
      await world.endDatabase(SHARED, false);
      await sleep(500);
      told = await whileAway(world);
      await world.healDatabase(SHARED);
      const startedMs = performance.now();
      await Promise.all(world.sharedNodes.map((node) => isServed(world, node)));
      recoveryMs = performance.now() - startedMs;
    });
    connectionsCut = await whileProbed(world, second, async () => {
      for (let count = 0; count < 8; count++) {
        world.breakNextCommit(SHARED, random.pick(['request lost', 'answer lost']));
        world.cutDatabase(SHARED, false);
        await sleep(random.between(50, 400));
      }
      world.cutDatabase(SHARED, true);
      await sleep(1_000);
      await world.healDatabase(SHARED);
      await sleep(1_000);
    });
  }

  async function whileProbed(world: World, node: string, act: () => Promise<void>): Promise<Passages> {
    const out = FAR.map((far) => new LinkProbe(world, node, far));
    const into = FAR.map((far) => new LinkProbe(world, far, node));
    await act();
    const ended = await Promise.all([...out, ...into].map((probe) => probe.end())).catch((error: unknown) => {
      throw new Error([(error as Error).message, ...world.unexpectedEnds()].join('\n'));
    });
    return { out: ended.slice(0, FAR.length), into: ended.slice(FAR.length) };
  }

  /** What requests of every kind are told while the database is away: those in a hurry, and those that wait. */
  async function whileAway(world: World): Promise<readonly ToldAway[]> {
    const asks = world.sharedNodes.flatMap((node) =>
      AWAY_PATHS.flatMap((path) =>
        [1_000, 5_000].flatMap((timeoutMs) =>
          (['PUT', 'GET'] as const).map((method) => askWhileAway(world.url(node), path, method, timeoutMs)),
        ),
      ),
    );
    return Promise.all(asks);
  }

  async function isServed(world: World, node: string): Promise<void> {
    const isWritten = async () => {
      const body = { value: 1 };
      return (
        (await ask(`${world.url(node)}/kv/served-${node}`, { method: 'PUT', body, timeoutMs: 2_000 })).status < 300
      );
    };
    await eventually(isWritten, { what: `writes at ${node}`, withinMs: 20_000 });
  }

  function figures(): string {
    const of = (name: string, { out, into }: Passages) => {
      const most = (list: readonly Passage[], field: 'longestGapMs' | 'longestDelayMs') =>
        Math.max(...list.map((passage) => passage[field]));
      const refused = [...new Set([...out, ...into].flatMap(({ refusals }) => [...refusals].map(String)))];
      return (
        `${name}: writes stood still for ${most(out, 'longestGapMs')} ms, replication out of the region ` +
        `${most(out, 'longestDelayMs')} ms, into it ${most(into, 'longestDelayMs')} ms; refused ${refused.join(' ') || 'nothing'}`
      );
    };
    const { ok, fail, info } = result.counts;
    return [
      ...killed.map((passages) => of('a node killed', passages)),
      of('a node paused', paused),
      of('the database killed', databaseKilled),
      `asked meanwhile: ${told.map(({ what, code, tookMs }) => `${what} ${String(code)} ${tookMs} ms`).join(', ')}`,
      `writes at both nodes ${Math.round(recoveryMs)} ms after the database was back`,
      of('connections cut', connectionsCut),
      `${ok} requests ok, ${fail} fail, ${info} info; ${result.faults} faults`,
    ].join('\n');
  }

  it('goes on at one node when the other is killed, and passes replication on, out of the region and into it', () => {
    expect(killed.length).toBe(2);
    for (const { out, into } of killed) {
      for (const { written, longestGapMs, longestDelayMs } of [...out, ...into]) {
        expect(written).toBeGreaterThan(10);
        expect(longestGapMs).toBeLessThan(STALLED_MS_MAX);
        expect(longestDelayMs).toBeLessThan(HAND_OVER_MS_MAX);
      }
    }
  });

  it('goes on at one node when the other stands still past every timeout', () => {
    for (const { written, longestGapMs, longestDelayMs } of [...paused.out, ...paused.into]) {
      expect(written).toBeGreaterThan(10);
      expect(longestGapMs).toBeLessThan(STALLED_MS_MAX);
      expect(longestDelayMs).toBeLessThan(HAND_OVER_MS_MAX);
    }
  });

  it('says honestly that its database is away, and serves again once it is back, without a restart', () => {
    for (const { what, method, timeoutMs, tookMs, status, code } of told) {
      const isServed = status < 300 || code === 'KEY_NOT_FOUND';
      if (!isServed) expect(method === 'PUT' ? REFUSED_WRITES : REFUSED_READS, `${what}: ${status}`).toContain(code);
      expect(tookMs, `${what}, ${String(code)}`).toBeLessThan(timeoutMs + LATE_MS_MAX);
      // The only store of the region cannot have it.
      if (what === `PUT ${AWAY_PATHS[0]}`) expect(isServed).toBe(false);
    }
    expect(recoveryMs).toBeLessThan(RECOVERY_MS_MAX);
    for (const { written } of [...databaseKilled.into, ...connectionsCut.into]) expect(written).toBeGreaterThan(10);
  });

  it('loses nothing and doubles nothing: every history holds, and every answer in it is honest', () => {
    expect([...result.checks.keys()]).toEqual(
      expect.arrayContaining([
        'linearizable',
        'tags',
        'counter',
        'set',
        'sessions',
        'convergence',
        'answers',
        'recovery',
      ]),
    );
    expect([...result.checks.values()].flat()).toEqual([]);
    expect(result.counts.ok).toBeGreaterThan(500);
  });
});
