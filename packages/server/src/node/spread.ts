import {
  addDurable,
  addWriteFailure,
  isWriteDecided,
  isWriteImpossible,
  type QuorumWrite,
  startWrite,
} from '@meridian/core/coordination/write';
import type { RecordKey, StoreName } from '@meridian/core/ids';
import type { Replica as Place } from '@meridian/core/placement/preference-list';
import { MERGE, mergeResult } from '@meridian/core/wire/messages';
import type { NodeState } from './node-state.ts';
import { round } from './rounded.ts';
import type { Hop } from './service.ts';
import { storeWithin } from './store-deadline.ts';

export interface SpreadInput {
  readonly key: RecordKey;
  readonly bytes: Uint8Array;
  readonly replicas: readonly Place[];
  /** Those that are known to have it on disk. */
  readonly durable: readonly StoreName[];
  readonly required: number;
  readonly timeoutMs: number;
  readonly requestId: string;
  /** Which round of the request this is, and when it begins: for the hops. */
  readonly round: number;
  readonly atMs: number;
}

export interface SpreadOutcome {
  readonly write: QuorumWrite;
  readonly hops: readonly Hop[];
}

/**
 * Sends a record to the replicas that are not known to have it, until as many as required have it on disk, or too many
 * have failed; `isWriteDecided` of the outcome tells which.
 */
export function spread(state: NodeState, input: SpreadInput): Promise<SpreadOutcome> {
  const { self, peers, calls, clock, replica } = state;
  const { key, bytes, replicas, requestId, timeoutMs } = input;
  const startedAtMs = clock.monotonicMs();
  const hops: Hop[] = [];
  let write = startWrite(
    replicas.map(({ store }) => store),
    state.bugs.has('quorum-of-one') ? 1 : input.required,
  );
  for (const store of input.durable) write = addDurable(write, store);
  return new Promise((resolve) => {
    const onOutcome = (next: QuorumWrite): void => {
      write = next;
      if (isWriteDecided(write) || isWriteImpossible(write)) resolve({ write, hops: [...hops] });
    };
    const follow = (store: StoreName, merged: Promise<unknown>, onDurable: () => void): void => {
      merged.then(
        () => {
          onDurable();
          onOutcome(addDurable(write, store));
        },
        () => onOutcome(addWriteFailure(write, store)),
      );
    };
    onOutcome(write);
    for (const { store } of replicas) {
      if (write.durable.has(store)) continue;
      const peer = peers.ofStore(store);
      // A store that is being filled counts in no majority.
      if (store === self.store && !state.filling.isFilled()) onOutcome(addWriteFailure(write, store));
      else if (store === self.store)
        follow(store, storeWithin(state, timeoutMs, replica.merge([{ key, bytes }])), () => undefined);
      else if (peer === undefined) onOutcome(addWriteFailure(write, store));
      else {
        const merged = calls.call(peer.node, requestId, Math.max(1, timeoutMs), [MERGE, [[key, bytes]]], mergeResult);
        follow(store, merged, () => {
          const ms = round(clock.monotonicMs() - startedAtMs);
          hops.push({ node: peer.node, region: peer.region, round: input.round, atMs: input.atMs, ms });
        });
      }
    }
  });
}
