import { within } from './deadline.ts';
import type { NodeState } from './node-state.ts';

export const NOT_READY =
  'this store has not yet found out whether its disk is older than what its peers have seen of it';

/**
 * Whether what this store holds counts in a majority: it is filled, and knows that its disk is no older than what its peers
 * have seen of it. The gate is not asked before anybody was heard: who waits for it then has the store take a new id.
 */
export function isCounted({ filling, peers, readyToWrite }: NodeState): boolean {
  return filling.isFilled() && peers.isAnyGreeted && readyToWrite() === undefined;
}

/** Resolves once this store knows how old its disk is; the gate may close again while that is waited for. @throws what `late` makes */
export async function untilReady(
  { clock, readyToWrite }: NodeState,
  timeoutMs: number,
  late: () => Error,
): Promise<void> {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  for (let held = readyToWrite(); held; held = readyToWrite())
    await within(clock, deadlineMs - clock.monotonicMs(), held, late);
}
