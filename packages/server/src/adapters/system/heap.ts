import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/**
 * Gives back what a start has left on the heap: compiled sources, schemas, a young generation grown by loading it all.
 * Takes some 80 ms, so it is for a node that does not serve yet. Young objects get much room under load
 * (`--max-semi-space-size` in bin/meridian: with little of it a sixth of a write's time goes into moving them), and
 * without this an idle node would keep that room too: 35 MB.
 */
export function giveBackHeap(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
