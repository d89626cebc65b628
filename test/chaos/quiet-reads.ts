import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../histories/finding.ts';
import { operationsOf } from '../histories/operation.ts';
import { Recorder } from '../histories/recorder.ts';
import { checkConverged } from '../histories/sessions.ts';
import type { SeededRandom } from '../simulation/seeded-random.ts';
import { COUNTER, readAccumulated, SET } from './accumulating-client.ts';
import type { Histories } from './histories.ts';
import { type Actor, RegisterOperations } from './register-operations.ts';
import { send } from './request.ts';
import { idsOf } from './session-client.ts';
import { type Access, keyUrl, type Workload } from './workload.ts';
import type { World } from './world.ts';

/** From the end of all faults until every request must succeed again. */
const RECOVERY_MS_MAX = 20_000;
const CONVERGENCE_MS_MAX = 20_000;
const RETRY_MS = 200;
const PROBES = 3;

/**
 * The last chapter of every history, once all faults have ended: every node must serve writes and reads again within a bounded time
 * (invariant 11), and every key is read once more in each of them. What it reads goes into the histories and is checked there.
 */
export async function quietReads(
  world: World,
  access: Access,
  histories: Histories,
  random: SeededRandom,
): Promise<readonly Finding[]> {
  const workload: Workload = { world, access, isOver: () => false, pace: () => Promise.resolve(), epoch: () => 0 };
  const registers = new RegisterOperations(histories.registers, workload, access.strong);
  const plain = new RegisterOperations(histories.plainRegisters, workload, access.eventual);
  const actor = registers.newActor(random);
  const plainActor = plain.newActor(random);
  const findings: Finding[] = [];
  const deadlineMs = performance.now() + RECOVERY_MS_MAX;
  const insist = async (what: string, attempt: () => Promise<boolean>): Promise<void> => {
    while (!(await attempt())) {
      if (performance.now() > deadlineMs) {
        findings.push({ check: 'recovery', key: what, text: `not served ${RECOVERY_MS_MAX} ms after the last fault` });
        return;
      }
      await sleep(RETRY_MS);
    }
  };
  for (const node of world.nodes) {
    for (let probe = 0; probe < PROBES; probe++)
      await insist(`write in ${node}`, () => isWritten(workload, node, `probe-${node}`));
    for (const [operations, who, key] of [
      ...keysOf(histories.registers).map((key): Reading => [registers, actor, key]),
      ...keysOf(histories.plainRegisters).map((key): Reading => [plain, plainActor, key]),
    ]) {
      await insist(`${key} in ${node}`, async () => (await operations.read(who, key, node)) !== undefined);
    }
    await readAccumulated(histories.counters, histories.counters.newProcess(), registers, actor, COUNTER, node);
    await readAccumulated(histories.sets, histories.sets.newProcess(), registers, actor, SET, node);
  }
  await readConverged(workload, histories);
  return findings;
}

type Reading = readonly [RegisterOperations, Actor, string];

/** Outside the histories: what counts is that it succeeds. */
async function isWritten(workload: Workload, node: string, key: string): Promise<boolean> {
  const { strong, level } = workload.access;
  const url = keyUrl(workload, node, strong, key, level);
  return (await send({ method: 'PUT', url, body: { value: 1 } })).type === 'ok';
}

function keysOf({ events }: Recorder): readonly string[] {
  return [...new Set(events.map(({ key }) => key))];
}

/** Reads the keys of sessions everywhere until all nodes agree and nothing is missing, or the time is over; the last reads count. */
async function readConverged(workload: Workload, histories: Histories): Promise<void> {
  const keys = keysOf(histories.sessions);
  const sessions = histories.sessionOperations;
  const deadlineMs = performance.now() + CONVERGENCE_MS_MAX;
  for (;;) {
    const reads = await Promise.all(
      keys.flatMap((key) => workload.world.nodes.map((at) => readIds(workload, key, at))),
    );
    const attempt = new Recorder(() => 0);
    const recorders = [attempt, ...(performance.now() > deadlineMs ? [histories.quiet] : [])];
    record(recorders, reads);
    if (recorders.length > 1) return;
    if (reads.every(({ ids }) => ids) && checkConverged(sessions, operationsOf(attempt.events)).length === 0) {
      record([histories.quiet], reads);
      return;
    }
    await sleep(RETRY_MS);
  }
}

interface QuietRead {
  readonly key: string;
  readonly at: string;
  /** `undefined` where it was not served. */
  readonly ids: readonly string[] | undefined;
}

async function readIds(workload: Workload, key: string, at: string): Promise<QuietRead> {
  const told = await send({ method: 'GET', url: keyUrl(workload, at, workload.access.eventual, key, 'eventual') });
  if (told.type === 'ok') return { key, at, ids: idsOf(told.body) };
  return { key, at, ids: told.error === 'KEY_NOT_FOUND' ? [] : undefined };
}

function record(recorders: readonly Recorder[], reads: readonly QuietRead[]): void {
  for (const recorder of recorders) {
    const process = recorder.newProcess();
    for (const { key, at, ids } of reads) {
      const complete = recorder.invoke(process, { f: 'read', key, at });
      complete(ids ? { type: 'ok', value: ids } : { type: 'fail', error: 'NOT_SERVED' });
    }
  }
}
