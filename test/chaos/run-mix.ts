import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../histories/finding.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { eventually } from '../support/eventually.ts';
import { ask } from '../support/http.ts';
import { runAccumulatingClient } from './accumulating-client.ts';
import { canSetClocks } from './false-clock.ts';
import { Histories } from './histories.ts';
import type { Mix } from './mix.ts';
import { quietReads } from './quiet-reads.ts';
import { runPlainRegisterClient, runRegisterClient } from './register-client.ts';
import { RegisterOperations } from './register-operations.ts';
import { SessionClient } from './session-client.ts';
import type { ShapeName } from './shapes.ts';
import type { Access, Workload } from './workload.ts';
import { World } from './world.ts';

export interface MixOptions {
  readonly mix: Mix;
  readonly regions: number;
  readonly shape?: ShapeName;
  /** How long faults go on. */
  readonly seconds: number;
  readonly seed: number;
  /** The folder for the histories of this mix; none are kept where absent. */
  readonly keep?: string;
  readonly clients?: number;
  /** Of all clients together, when nothing is in their way. */
  readonly requestsPerSecond?: number;
  readonly rttMs?: number;
  /** At level quorum and without conditions: shows that the checks find what is wrong then. */
  readonly isRehearsal?: boolean;
  /** Told of each fault. */
  readonly say?: (text: string) => void;
  /** Told now and then how far it is. */
  readonly progress?: (counts: Counts, leftMs: number) => void;
}

export interface Counts {
  readonly ok: number;
  readonly fail: number;
  readonly info: number;
}

export interface MixResult {
  readonly mix: string;
  readonly counts: Counts;
  readonly faults: number;
  /** By the name of the check. */
  readonly checks: ReadonlyMap<string, readonly Finding[]>;
  /** Why the mix was not run; then nothing was checked. */
  readonly notPossible?: string;
}

const CLIENTS = 20;
const REQUESTS_PER_SECOND = 200;
const RTT_MS = 4;
const EPOCH_MS = 15_000;
/** After the faults, so that recovery is in the history too. */
const AFTERWARDS_MS = 2_000;
const PROGRESS_MS = 1_000;

/** Runs one mix from the start of its regions to the last check, and leaves nothing behind but its histories. */
export async function runMix(options: MixOptions): Promise<MixResult> {
  const { mix, regions, shape = 'embedded', rttMs = RTT_MS, say = () => {} } = options;
  if (mix.needsClocks && !canSetClocks())
    return notRun(mix, "clocks cannot be set off here: Debian's package faketime is not installed");
  if (mix.needsDatabases && shape !== 'mixed') return notRun(mix, 'it needs regions on databases');
  const world = await World.start({ shape, regions, rttMs, say });
  try {
    const histories = await work(world, options);
    const recovery = await afterwards(world, histories, options);
    const found: readonly (readonly [string, readonly Finding[]])[] = [...histories.check(), ['recovery', recovery]];
    if (options.keep !== undefined) await keepAll(options.keep, options, histories, found, world);
    return { mix: mix.name, counts: histories.counts(), faults: world.faults, checks: new Map(found) };
  } finally {
    await world.remove();
  }
}

function notRun({ name }: Mix, notPossible: string): MixResult {
  return { mix: name, counts: { ok: 0, fail: 0, info: 0 }, faults: 0, checks: new Map(), notPossible };
}

interface Run {
  readonly histories: Histories;
  readonly workload: Workload;
  readonly random: SeededRandom;
}

async function work(world: World, options: MixOptions): Promise<Histories> {
  const access = await openNamespaces(world, options.isRehearsal ?? false);
  const startedMs = performance.now();
  const sinceMs = () => performance.now() - startedMs;
  const histories = new Histories(sinceMs);
  world.onDiskLost = (node) => histories.diskLost(node, sinceMs());
  const { clients = CLIENTS, requestsPerSecond = REQUESTS_PER_SECOND, seconds, seed, mix } = options;
  let areClientsDone = false;
  const workload: Workload = {
    world,
    access,
    isOver: () => areClientsDone,
    pace: async (random) => {
      if (!areClientsDone) await sleep(random.between(0.5, 1.5) * (clients / requestsPerSecond) * 1_000);
    },
    epoch: () => Math.floor(sinceMs() / EPOCH_MS),
  };
  const random = new SeededRandom(seed);
  const working = startClients({ histories, workload, random: random.fork() }, clients);
  const endMs = seconds * 1_000;
  const nemesisRandom = random.fork();
  const isOver = () => sinceMs() >= endMs;
  const wait = (lowMs: number, highMs = lowMs) =>
    sleep(Math.max(0, Math.min(nemesisRandom.between(lowMs, highMs), endMs - sinceMs())));
  const ticker = setInterval(() => options.progress?.(histories.counts(), endMs - sinceMs()), PROGRESS_MS);
  try {
    while (!isOver()) await mix.round({ world, random: nemesisRandom, isOver, wait });
    await world.heal();
    await sleep(AFTERWARDS_MS);
  } finally {
    areClientsDone = true;
    clearInterval(ticker);
    await working;
  }
  return histories;
}

/** Of every ten clients five work on registers, two on counters and sets, one on plain registers, two in sessions. */
async function startClients({ histories, workload, random }: Run, count: number): Promise<void> {
  const registers = new RegisterOperations(histories.registers, workload, workload.access.strong);
  const plain = new RegisterOperations(histories.plainRegisters, workload, workload.access.eventual);
  const start = (at: number): Promise<void> => {
    const own = random.fork();
    switch (at % 10) {
      case 0:
      case 5:
        return runAccumulatingClient(histories, registers, registers.newActor(own), workload);
      case 1:
      case 6:
        return new SessionClient(histories.sessions, workload, own, `s${at}`).run();
      case 2:
        return runPlainRegisterClient(plain, plain.newActor(own), workload);
      default:
        return runRegisterClient(registers, registers.newActor(own), workload);
    }
  };
  await Promise.all(Array.from({ length: count }, (_, at) => start(at)));
}

function accessOf(isRehearsal: boolean): Access {
  return {
    strong: 'chaos-strong',
    eventual: 'chaos-eventual',
    level: isRehearsal ? 'quorum' : 'strong',
    hasConditions: !isRehearsal,
  };
}

async function openNamespaces(world: World, isRehearsal: boolean): Promise<Access> {
  const access = accessOf(isRehearsal);
  const modes = { [access.strong]: isRehearsal ? 'eventual' : 'strong', [access.eventual]: 'eventual' };
  for (const [name, mode] of Object.entries(modes)) {
    const open = async () => {
      const { status, body } = await ask(`${world.url(world.nodes[0] as string)}/namespaces/${name}`, {
        method: 'PUT',
        body: { mode },
      });
      if (status >= 500 && status !== 501) return false;
      if (status >= 300) throw new Error(`namespace ${name} cannot be made: ${status} ${String(body?.code)}`);
      return true;
    };
    await eventually(open, { what: `namespace ${name}`, withinMs: 5_000 });
    for (const node of world.nodes) {
      const isThere = async () => (await ask(`${world.url(node)}/namespaces/${name}`)).status === 200;
      await eventually(isThere, { what: `namespace ${name} at ${node}` });
    }
  }
  return access;
}

async function afterwards(world: World, histories: Histories, options: MixOptions): Promise<readonly Finding[]> {
  const died = world.unexpectedEnds().map((text): Finding => ({ check: 'recovery', key: '', text }));
  const access = accessOf(options.isRehearsal ?? false);
  return [...died, ...(await quietReads(world, access, histories, new SeededRandom(options.seed)))];
}

/** Histories, what was found in them, and, where something was, what the nodes said. */
async function keepAll(
  folder: string,
  { mix, seed, regions, seconds, shape = 'embedded' }: MixOptions,
  histories: Histories,
  found: readonly (readonly [string, readonly Finding[]])[],
  world: World,
): Promise<void> {
  const again = `node test/chaos/main.ts --shape ${shape} --mix ${mix.name} --seed ${seed} --regions ${regions} --seconds ${seconds}`;
  await histories.write(folder, [mix.description, `seed ${seed}; ${again}`]);
  const findings = found.flatMap(([, list]) => list);
  if (findings.length === 0) return;
  const text = findings.map(({ check, key, text: what }) => `[${check}] ${key}: ${what}`).join('\n\n');
  await writeFile(join(folder, 'findings.txt'), `${again}\n\n${text}\n`);
  for (const [node, log] of world.logs()) await writeFile(join(folder, `${node}.log`), log);
}
