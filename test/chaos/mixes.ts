import type { SeededRandom } from '../simulation/seeded-random.ts';
import type { Mix, Nemesis } from './mix.ts';
import { SHARED_MIXES } from './shared-mixes.ts';
import type { RegionPair } from './world.ts';

export type { Mix } from './mix.ts';

/** Longer than every timeout of a node and of the clients (the longest is that of a request, 5 s). */
const PAUSE_MS = [6_000, 9_000] as const;
const CALM_MS = [1_000, 3_000] as const;

export const MIXES: readonly Mix[] = [
  {
    name: 'calm',
    description: 'no faults',
    round: ({ wait }) => wait(1_000),
  },
  {
    name: 'kill',
    description: 'SIGKILL and a new start of one region at a time',
    round: killOne,
  },
  {
    name: 'pause',
    description: 'SIGSTOP of one region, or of several, past every timeout',
    round: async (nemesis) => {
      const { world, random, wait } = nemesis;
      const stopped = shuffled(world.regions, random).slice(0, 1 + random.below(world.majority));
      for (const region of stopped) world.pause(region);
      await wait(...PAUSE_MS);
      for (const region of stopped) await world.resume(region);
      await wait(...CALM_MS);
    },
  },
  {
    name: 'halves',
    description: 'split into a majority and a minority',
    round: async ({ world, random, wait }) => {
      const all = shuffled(world.regions, random);
      await world.split(all.slice(0, world.majority), all.slice(world.majority));
      await wait(2_000, 6_000);
      await world.cut([]);
      await wait(...CALM_MS);
    },
  },
  {
    name: 'alone',
    description: 'one region cut off from all others, in turns and without a pause between',
    round: async ({ world, random, wait }) => {
      for (const region of shuffled(world.regions, random)) {
        await world.split(
          [region],
          world.regions.filter((other) => other !== region),
        );
        await wait(1_000, 4_000);
      }
      await world.cut([]);
      await wait(...CALM_MS);
    },
  },
  {
    name: 'ring',
    description: 'overlapping majorities: every region reaches a majority, no two reach the same',
    round: async ({ world, random, wait }) => {
      await world.cut(allButRing(shuffled(world.regions, random), world.majority));
      await wait(2_000, 6_000);
      if (random.chance(0.3)) {
        await world.cut([]);
        await wait(...CALM_MS);
      }
    },
  },
  {
    name: 'one-way',
    description: 'links cut in one direction: out of a region, into it, or at random',
    round: async ({ world, random, wait }) => {
      await world.cut([], oneWayCut(world.regions, random));
      await wait(2_000, 6_000);
      await world.cut([]);
      await wait(...CALM_MS);
    },
  },
  {
    name: 'clocks',
    description: 'wall clocks that jump an hour forward or back, and that wander',
    needsClocks: true,
    round: async ({ world, random, wait }) => {
      for (const region of shuffled(world.regions, random).slice(0, 1 + random.below(world.regions.length)))
        world.setClock(region, random.pick([3_600, -3_600, 86_400, 30, -30, 0.3, -0.3, 0]));
      await wait(1_000, 4_000);
    },
  },
  {
    name: 'restarts',
    description: 'restarts in the middle of rounds: all but a majority killed in quick succession, at times all',
    round: async ({ world, random, wait }) => {
      const all = shuffled(world.regions, random);
      const killed = random.chance(0.3) ? all : all.slice(0, Math.max(1, world.regions.length - world.majority));
      for (const region of killed) {
        await world.kill(region);
        await wait(0, 60);
      }
      await Promise.all(killed.map((region) => world.restart(region)));
      await wait(200, 2_000);
    },
  },
  {
    name: 'wipe',
    description: 'the disk of one region is lost; it comes back empty under its old name',
    round: async ({ world, random, wait, isOver }) => {
      const region = random.pick(world.regions);
      await world.wipe(region);
      await wait(500, 2_000);
      await world.restart(region);
      // Another disk lost before this one is filled again would be more than a majority can make up for.
      while (!isOver() && !(await world.isFilled(region).catch(() => false))) await wait(200);
      await wait(2_000, 4_000);
    },
  },
  {
    name: 'everything',
    description: 'all of it at once, but for lost disks',
    round: async (nemesis) => {
      const { world, random, wait } = nemesis;
      const cut = random.below(4);
      if (cut === 0) await world.cut(allButRing(shuffled(world.regions, random), world.majority));
      else if (cut === 1) await world.cut([], oneWayCut(world.regions, random));
      else if (cut === 2) {
        const all = shuffled(world.regions, random);
        await world.split(all.slice(0, world.majority), all.slice(world.majority));
      } else await world.cut([]);
      if (world.hasFalseClocks && random.chance(0.5))
        world.setClock(random.pick(world.regions), random.pick([3_600, -3_600, 0.3, 0]));
      const [one, other] = shuffled(world.regions, random) as [string, string];
      if (random.chance(0.5)) world.pause(one);
      if (random.chance(0.5)) await world.kill(other);
      await wait(500, 7_000);
      await world.restart(other);
      await world.resume(one);
      await wait(200, 2_000);
    },
  },
  ...SHARED_MIXES,
];

async function killOne({ world, random, wait }: Nemesis): Promise<void> {
  const region = random.pick(world.regions);
  await world.kill(region);
  await wait(200, 3_000);
  await world.restart(region);
  await wait(...CALM_MS);
}

/** Regions in a circle, where each reaches so many neighbours on either side that it stands in a majority, and no more. */
export function allButRing(circle: readonly string[], majority: number): readonly RegionPair[] {
  const count = circle.length;
  if (count === 3) return [[circle[0] as string, circle[1] as string]];
  const reach = Math.ceil((majority - 1) / 2);
  return circle.flatMap((one, at) =>
    circle.slice(at + 1).flatMap((other, offset): readonly RegionPair[] => {
      const distance = Math.min(offset + 1, count - offset - 1);
      return distance > reach ? [[one, other]] : [];
    }),
  );
}

function oneWayCut(regions: readonly string[], random: SeededRandom): readonly RegionPair[] {
  const region = random.pick(regions);
  const others = regions.filter((other) => other !== region);
  const shape = random.below(3);
  if (shape === 0) return others.map((other) => [region, other]);
  if (shape === 1) return others.map((other) => [other, region]);
  const all = regions.flatMap((one) => regions.filter((two) => two !== one).map((two): RegionPair => [one, two]));
  return shuffled(all, random).slice(0, 1 + random.below(all.length / 2));
}

function shuffled<Item>(items: readonly Item[], random: SeededRandom): Item[] {
  const left = [...items];
  const order: Item[] = [];
  while (left.length > 0) order.push(...left.splice(random.below(left.length), 1));
  return order;
}
