import type { Actor, RegisterOperations, Tagged } from './register-operations.ts';
import type { Workload } from './workload.ts';

const KEYS = 4;

export function registerKey(epoch: number, index: number): string {
  return `register-${epoch}-${index}`;
}

/** Reads, writes, creates, compares and deletes a few keys that all clients share, through all nodes. */
export async function runRegisterClient(
  operations: RegisterOperations,
  actor: Actor,
  workload: Workload,
): Promise<void> {
  const known = new Map<string, Tagged>();
  while (!workload.isOver()) {
    const key = registerKey(workload.epoch(), actor.random.below(KEYS));
    await act(operations, actor, key, known);
    await workload.pace(actor.random);
  }
}

async function act(
  operations: RegisterOperations,
  actor: Actor,
  key: string,
  known: Map<string, Tagged>,
): Promise<void> {
  const choice = actor.random.share();
  if (choice < 0.28) {
    const read = await operations.read(actor, key);
    if (read) known.set(key, read);
  } else if (choice < 0.38) await operations.relaxedRead(actor, key);
  else if (choice < 0.5) await operations.write(actor, key, operations.newValue(actor));
  else if (choice < 0.57) await operations.create(actor, key, operations.newValue(actor));
  else if (choice < 0.61) await operations.delete(actor, key);
  else {
    // What was read a while ago is often out of date: then the condition must fail, and that is checked too.
    const expected = actor.random.chance(0.3) ? known.get(key) : await operations.read(actor, key);
    if (!expected) return;
    known.set(key, expected);
    const value = operations.newValue(actor);
    if (expected.value === null) await operations.create(actor, key, value);
    else if (actor.random.chance(0.1)) await operations.casDelete(actor, key, expected);
    else await operations.cas(actor, key, expected, value);
  }
}

/** Reads and writes only: what level `strong` promises in an eventual namespace. */
export async function runPlainRegisterClient(
  operations: RegisterOperations,
  actor: Actor,
  workload: Workload,
): Promise<void> {
  while (!workload.isOver()) {
    const key = registerKey(workload.epoch(), actor.random.below(2));
    if (actor.random.chance(0.5)) await operations.read(actor, key);
    else await operations.write(actor, key, operations.newValue(actor));
    await workload.pace(actor.random);
  }
}
