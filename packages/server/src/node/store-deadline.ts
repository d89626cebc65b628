import { within } from './deadline.ts';
import type { NodeState } from './node-state.ts';
import { storeTooSlow } from './read-errors.ts';

/**
 * What this node's own store answers, within the time that a request has left; the work itself goes on. Only a shared store can
 * take longer than that: its database may hang, or be away.
 *
 * @throws REPLICA_UNAVAILABLE
 */
export function storeWithin<Result>(
  { clock, store }: Pick<NodeState, 'clock' | 'store'>,
  timeoutMs: number,
  work: Promise<Result>,
): Promise<Result> {
  return store.shared ? within(clock, timeoutMs, work, storeTooSlow) : work;
}
