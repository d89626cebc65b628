import type { Recorder } from '../histories/recorder.ts';
import type { Actor, RegisterOperations } from './register-operations.ts';
import type { Told } from './request.ts';
import type { Workload } from './workload.ts';

export const COUNTER = 'counter';
export const SET = 'set';
const TRIES_MAX = 6;

/** What is built on a register by reading it and comparing-and-setting it until that succeeds. */
interface Accumulation {
  readonly key: string;
  /** The operation as its history calls it, and what goes in. */
  readonly f: 'increment' | 'add';
  readonly input: number | string;
  /** The value after it. */
  readonly after: (value: unknown) => unknown;
}

/** Increments one counter and adds to one set, through all nodes, and at times reads them. */
export async function runAccumulatingClient(
  recorders: { readonly counters: Recorder; readonly sets: Recorder },
  operations: RegisterOperations,
  inner: Actor,
  workload: Workload,
): Promise<void> {
  const outer = { counter: recorders.counters.newProcess(), set: recorders.sets.newProcess() };
  let count = 0;
  while (!workload.isOver()) {
    const isCounter = inner.random.chance(0.5);
    const kind = isCounter ? COUNTER : SET;
    const recorder = isCounter ? recorders.counters : recorders.sets;
    const accumulation = isCounter ? increment(1 + inner.random.below(3)) : addition(`${outer.set}-${count++}`);
    const isLost = inner.random.chance(0.2)
      ? await readAccumulated(recorder, outer[kind], operations, inner, kind)
      : await accumulate(recorder, outer[kind], operations, inner, accumulation);
    if (isLost) outer[kind] = recorder.newProcess();
    await workload.pace(inner.random);
  }
}

/** @returns whether nobody knows what became of it, so that its process has ended */
export async function readAccumulated(
  recorder: Recorder,
  process: number,
  operations: RegisterOperations,
  inner: Actor,
  key: string,
  node?: string,
): Promise<boolean> {
  const complete = recorder.invoke(process, { f: 'read', key, at: node });
  const read = await operations.read(inner, key, node);
  complete(read ? { type: 'ok', value: read.value } : { type: 'fail' });
  return false;
}

async function accumulate(
  recorder: Recorder,
  process: number,
  operations: RegisterOperations,
  inner: Actor,
  { key, f, input, after }: Accumulation,
): Promise<boolean> {
  const complete = recorder.invoke(process, { f, key, value: input });
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const before = await operations.read(inner, key);
    if (!before) continue;
    const value = after(before.value);
    const told: Told =
      before.value === null
        ? await operations.create(inner, key, value)
        : await operations.cas(inner, key, before, value);
    if (told.type === 'ok') {
      complete({ type: 'ok' });
      return false;
    }
    if (told.type === 'info') {
      complete({ type: 'info', error: told.error });
      return true;
    }
  }
  // Every try was told, for certain, that it changed nothing.
  complete({ type: 'fail', error: 'GAVE_UP' });
  return false;
}

function increment(by: number): Accumulation {
  return { key: COUNTER, f: 'increment', input: by, after: (value) => Number(value ?? 0) + by };
}

function addition(element: string): Accumulation {
  return { key: SET, f: 'add', input: element, after: (value) => [...((value ?? []) as readonly string[]), element] };
}
