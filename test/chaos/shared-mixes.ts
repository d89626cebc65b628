import type { SeededRandom } from '../simulation/seeded-random.ts';
import type { CommitFault } from '../support/postgres-proxy.ts';
import type { Mix, Nemesis } from './mix.ts';

/** Longer than a stalled node may hold the store, and than every timeout of nodes and clients. */
const PAUSE_MS = [6_000, 9_000] as const;
const CALM_MS = [500, 2_000] as const;
const PENDING_LOOK_MS = 50;

/** Serialization failure, deadlock, lock not had in time, statement cancelled, too many connections, read-only. */
const SQL_STATES = ['40001', '40P01', '55P03', '57014', '53300', '25006'];

/** Faults of nodes that share a store, and of the databases that regions stand on. */
export const SHARED_MIXES: readonly Mix[] = [
  {
    name: 'node-kill',
    description:
      'SIGKILL and a new start of one node of a shared store, at times of the other before the first is back',
    needsDatabases: true,
    round: async ({ world, random, wait }) => {
      const one = random.pick(world.sharedNodes);
      const other = random.pick(world.sharedNodes);
      await world.kill(one);
      await wait(100, 3_000);
      if (random.chance(0.2)) await world.kill(other);
      await Promise.all([...new Set([one, other])].map((node) => world.restart(node)));
      await wait(...CALM_MS);
    },
  },
  {
    name: 'node-pause',
    description: 'SIGSTOP of one node of a shared store past every timeout, in the middle of whatever it does',
    needsDatabases: true,
    round: async ({ world, random, wait }) => {
      const one = random.pick(world.sharedNodes);
      world.pause(one);
      await wait(...PAUSE_MS);
      await world.resume(one);
      await wait(...CALM_MS);
    },
  },
  {
    name: 'database-restart',
    description: 'the database of a region killed, or stopped in order, and started again',
    needsDatabases: true,
    round: async ({ world, random, wait }) => {
      const region = random.pick(world.databaseRegions);
      await world.endDatabase(region, random.chance(0.3));
      await wait(0, 4_000);
      await world.healDatabase(region);
      await wait(1_000, 4_000);
    },
  },
  {
    name: 'database-cut',
    description: 'connections to a database cut again and again, or refused for a while',
    needsDatabases: true,
    round: async ({ world, random, wait }) => {
      const region = random.pick(world.databaseRegions);
      if (random.chance(0.3)) {
        world.cutDatabase(region, true);
        await wait(200, 5_000);
        await world.healDatabase(region);
      } else {
        for (let count = 1 + random.below(5); count > 0; count--) {
          world.cutDatabase(region, false);
          await wait(0, 400);
        }
      }
      await wait(...CALM_MS);
    },
  },
  {
    name: 'commits',
    description: 'commits whose request or answer is lost, that hang, or that the database undoes',
    needsDatabases: true,
    round: breakCommits,
  },
  {
    name: 'cache',
    description:
      'the Redis of nodes that share a store killed, empty when it is back, or paused; and nodes killed with it',
    needsDatabases: true,
    round: async ({ world, random, wait }) => {
      const node = random.pick(world.sharedNodes);
      const region = world.regionOf(node);
      await world.endCache(region, random.chance(0.5));
      await wait(200, 4_000);
      if (random.chance(0.4)) await world.kill(node);
      await world.healCache(region);
      await world.restart(node);
      await wait(...CALM_MS);
    },
  },
  {
    name: 'shared',
    description: 'all that can be done to a shared store and its nodes, with splits',
    needsDatabases: true,
    round: async (nemesis) => {
      const { world, random, wait } = nemesis;
      const [one, other] = random.chance(0.5) ? world.sharedNodes : world.sharedNodes.toReversed();
      const region = random.pick(world.databaseRegions);
      const cutOff = random.pick(world.regions);
      if (random.chance(0.4)) {
        await world.split(
          [cutOff],
          world.regions.filter((name) => name !== cutOff),
        );
      }
      if (random.chance(0.4)) world.pause(one as string);
      if (random.chance(0.4)) await world.kill(other as string);
      if (random.chance(0.3)) await world.endDatabase(region, false);
      else if (random.chance(0.4)) world.cutDatabase(region, random.chance(0.5));
      else await breakCommits(nemesis);
      await wait(500, 5_000);
      await world.healDatabase(region);
      await world.restart(other as string);
      await world.resume(one as string);
      await world.cut([]);
      await wait(...CALM_MS);
    },
  },
];

async function breakCommits({ world, random, wait, isOver }: Nemesis): Promise<void> {
  const region = random.pick(world.databaseRegions);
  for (let count = 1 + random.below(4); count > 0; count--) world.breakNextCommit(region, commitFault(random));
  while (!isOver() && world.commitFaultsPending(region) > 0) await wait(PENDING_LOOK_MS);
  await wait(0, 500);
}

function commitFault(random: SeededRandom): CommitFault {
  if (random.chance(0.4)) return { sqlState: random.pick(SQL_STATES) };
  if (random.chance(0.1)) return 'frozen';
  return random.pick<CommitFault>(['request lost', 'answer lost']);
}
