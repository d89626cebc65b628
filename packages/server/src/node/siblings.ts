import { COMMITTED, type Committed } from '@meridian/core/wire/messages';
import type { CommitNotice, StoredRow } from '../ports/store.ts';
import type { Transport } from '../ports/transport.ts';
import type { NodeState } from './node-state.ts';

/**
 * Nodes that share a store tell one another what they have committed, so that each knows within a message's time what its
 * store holds: for the streams it ships, for the sessions it serves. What is lost is found in the database a moment later.
 */
export class Siblings {
  readonly #state: NodeState;
  readonly #transport: Transport;

  constructor(state: NodeState, transport: Transport) {
    this.#state = state;
    this.#transport = transport;
  }

  start(): void {
    this.#state.store.shared?.onChange((notice) => this.#tell(notice));
  }

  #tell({ store, from, upTo, rows, changesState, turn }: CommitNotice): void {
    const siblings = this.#state.peers.siblings();
    if (siblings.length === 0) return;
    const entries = rows?.map(({ key, sequence, record }) => [key, sequence, record] as const) ?? null;
    const { version, name, before } = turn;
    const message: Committed = [COMMITTED, store, from, upTo, entries, changesState, version, name, before];
    for (const { node, isUp } of siblings) if (isUp) this.#transport.send(node, message);
  }

  onCommitted([, store, from, upTo, entries, changesState, version, name, before]: Committed): void {
    const { shared } = this.#state.store;
    if (!shared) return;
    const rows = entries?.map(([key, sequence, record]): StoredRow => ({ key, sequence, record }));
    shared.notice({ store, from, upTo, rows, changesState, turn: { version, name, before } });
    if (!changesState) return;
    // Sessions wait for claims too, and those come without rows.
    shared.refresh().then(
      () => this.#state.coverage.onProgress(),
      () => undefined,
    );
  }
}
