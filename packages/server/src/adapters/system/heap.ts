import { executionAsyncResource } from 'node:async_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/**
 * Gives back what a start has left on the heap: compiled sources, schemas, a young generation grown by loading it all.
 * Takes some 80 ms, so it is for a node that does not serve yet. Young objects get much room under load
 * (`--max-semi-space-size` in bin/meridian: with little of it a sixth of a write's time goes into moving them), and
 * without this an idle node would keep that room too: 35 MB.
 */
export async function giveBackHeap(): Promise<void> {
  await keepTickShape();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

const keptTicks: object[] = [];

/**
 * Keeps one entry of Node's queue of ticks. Where all are gone when the heap is collected, V8 forgets their hidden class,
 * and `process.nextTick`, compiled for it, makes each later one by a slow general way: six times the time, a tenth of a
 * small write's.
 */
function keepTickShape(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(() => {
      if (keptTicks.length === 0) keptTicks.push(executionAsyncResource());
      resolve();
    });
  });
}
