import { type NodeName, namespaceIdOf, type RecordKey } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import * as wire from '@meridian/core/wire/messages';
import type { Lifecycle } from './lifecycle.ts';
import type { Listing } from './listing.ts';
import type { Namespaces } from './namespaces.ts';
import type { NodeState } from './node-state.ts';
import type { Operations } from './operations.ts';
import type { Reads } from './reads.ts';
import type { Acceptors } from './registers/acceptors.ts';
import type { RegisterRequests } from './registers/register-requests.ts';
import type { Siblings } from './siblings.ts';
import type { Writes } from './writes.ts';

export interface CallTargets {
  readonly reads: Reads;
  readonly writes: Writes;
  readonly listing: Listing;
  readonly operations: Operations;
  readonly acceptors: Acceptors;
  readonly registerRequests: RegisterRequests;
  readonly namespaces: Namespaces;
  readonly siblings: Siblings;
}

const NO_KEYS: readonly RecordKey[] = [];

/** Answers what other nodes ask of this one. A failure goes back to the caller by its code. */
export class PeerCalls {
  readonly #state: NodeState;
  readonly #targets: CallTargets;
  readonly #lifecycle: Lifecycle;

  constructor(state: NodeState, targets: CallTargets, lifecycle: Lifecycle) {
    this.#state = state;
    this.#targets = targets;
    this.#lifecycle = lifecycle;
  }

  onCall(from: NodeName, requestId: string, timeoutMs: number, call: wire.Call): Promise<unknown> {
    if (this.#lifecycle.isStopping)
      return Promise.reject(new MeridianError('SHUTTING_DOWN', `${this.#state.self.node} is stopping`));
    const unknown = this.#unknownKeysOf(call);
    if (unknown.length === 0) return this.#answer(from, requestId, timeoutMs, call);
    const { clock } = this.#state;
    const askedAtMs = clock.monotonicMs();
    // Whoever asks may have made the namespace just now: that is no reason to answer that this store holds nothing of it.
    const isMany = call[0] === wire.REGISTER;
    const learned = unknown.map((key) => {
      const learning = this.#targets.namespaces.learnOf(key, requestId, timeoutMs);
      // Of many registers the others are answered for all that.
      return isMany ? learning.catch(() => undefined) : learning;
    });
    return Promise.all(learned).then(() => {
      const leftMs = timeoutMs - (clock.monotonicMs() - askedAtMs);
      return this.#answer(from, requestId, Math.max(1, leftMs), call);
    });
  }

  /** Keys of namespaces that are not known here. */
  #unknownKeysOf(call: wire.Call): readonly RecordKey[] {
    const { catalog } = this.#state;
    switch (call[0]) {
      case wire.READ:
      case wire.WRITE:
      case wire.CHANGE:
      case wire.CONSULT:
        return catalog.knows(call[1]) ? NO_KEYS : [call[1]];
      case wire.REGISTER:
        return this.#unknownNamespacesOf(call[1]);
      case wire.MERGE:
        return call[1].filter(([key]) => !catalog.knows(key)).map(([key]) => key);
      default:
        return NO_KEYS;
    }
  }

  /** One key of each. */
  #unknownNamespacesOf(keys: readonly RecordKey[]): readonly RecordKey[] {
    const { catalog } = this.#state;
    if (keys.every((key) => catalog.knows(key))) return NO_KEYS;
    return [...new Map(keys.filter((key) => !catalog.knows(key)).map((key) => [namespaceIdOf(key), key])).values()];
  }

  #answer(from: NodeName, requestId: string, timeoutMs: number, call: wire.Call): Promise<unknown> {
    const { reads, writes, listing, operations, acceptors, registerRequests, siblings } = this.#targets;
    switch (call[0]) {
      case wire.READ:
        return reads.onCall(call, timeoutMs);
      case wire.MERGE:
        return this.#onMerge(call[1]);
      case wire.WRITE:
        return writes.onCall(from, call, requestId, timeoutMs);
      case wire.SCAN:
        return listing.onCall(call, timeoutMs);
      case wire.STATUS:
        return operations.onStatus();
      case wire.FETCH:
        return this.#onFetch(call[1]);
      case wire.REGISTER:
        return acceptors.onCall(from, call, timeoutMs);
      case wire.CHANGE:
        return registerRequests.onChange(call, requestId, timeoutMs);
      case wire.CONSULT:
        return registerRequests.onConsult(call, requestId, timeoutMs);
      case wire.LATEST:
        return siblings.onLatest();
    }
  }

  async #onMerge(rows: wire.RowEntries): Promise<readonly unknown[]> {
    const { catalog, replica, store } = this.#state;
    const held = rows.filter(([key]) => catalog.isHeldHere(key));
    if (held.length < rows.length)
      throw new MeridianError(
        'REPLICA_UNAVAILABLE',
        'this node holds no replica of a key, or does not know its namespace yet',
      );
    const { changed } = await replica.merge(held.map(([key, bytes]) => ({ key, bytes })));
    return [store.id, changed.length, changed.filter(({ isConflict }) => isConflict).length];
  }

  async #onFetch(keys: readonly RecordKey[]): Promise<wire.RowEntries> {
    const rows: (readonly [RecordKey, Uint8Array])[] = [];
    for (const key of keys) {
      const bytes = await this.#state.replica.readBytes(key);
      if (bytes) rows.push([key, bytes]);
    }
    return rows;
  }
}
