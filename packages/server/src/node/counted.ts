import type { NodeState } from './node-state.ts';

/**
 * Whether what this store holds counts in a majority: it is filled, and knows that its disk is no older than what its peers
 * have seen of it. The gate is not asked before anybody was heard: who waits for it then has the store take a new id.
 */
export function isCounted({ filling, peers, readyToWrite }: NodeState): boolean {
  return filling.isFilled() && peers.isAnyGreeted && readyToWrite() === undefined;
}
