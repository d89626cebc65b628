import { quorumOf } from '@meridian/core/placement/preference-list';
import type { PlacementTable } from '@meridian/core/placement/placement-table';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';
import type { Peers } from './peers.ts';

const FILLED_NOTE = 'filled-under-layout';

/**
 * Whether this store holds what its place on the ring obliges it to. A new store, or one whose place has grown, takes writes
 * at once, but answers no quorum until it has taken in all that every live origin holds, and these with itself make up a
 * majority: one donor's copy lacks what others had not yet shipped to it.
 */
export class Filling {
  readonly #store: Store;
  readonly #peers: Peers;
  readonly #placement: PlacementTable;
  readonly #fingerprint: string;
  readonly #log: Log;
  #isFilled: boolean;

  constructor(store: Store, peers: Peers, placement: PlacementTable, fingerprint: string, log: Log) {
    this.#store = store;
    this.#peers = peers;
    this.#placement = placement;
    this.#fingerprint = fingerprint;
    this.#log = log;
    this.#isFilled = store.note(FILLED_NOTE) === fingerprint;
  }

  isFilled = (): boolean => this.#isFilled;

  /** Where the layout is not the one this store was filled under, its positions claim too much: take everything in anew. */
  async start(): Promise<void> {
    if (this.#isFilled) return;
    const former = this.#store.note(FILLED_NOTE);
    if (former !== undefined && former !== '') await this.begin('the layout has changed');
    await this.check();
  }

  async begin(reason: string): Promise<void> {
    this.#isFilled = false;
    await this.#store.forgetPositions();
    await this.#store.setNote(FILLED_NOTE, '');
    this.#log.warn({ reason }, 'this store takes in anew what its peers hold; it answers no quorum until then');
  }

  async check(): Promise<void> {
    if (this.#isFilled) return;
    const others = this.#placement.allStores().filter(({ name }) => this.#peers.ofStore(name) !== undefined);
    let filledFrom = 0;
    for (const { name } of others) {
      const peer = this.#peers.ofStore(name);
      const isFilledFrom = peer?.storeId !== undefined && this.#store.positions.get(peer.storeId)?.isFilled === true;
      if (isFilledFrom) filledFrom += 1;
      else if (this.#peers.isStoreLive(name)) return;
    }
    if (filledFrom + 1 < quorumOf(others.length + 1)) return;
    this.#isFilled = true;
    await this.#store.setNote(FILLED_NOTE, this.#fingerprint);
    this.#log.info({ origins: filledFrom, sequence: this.#store.sequence }, 'this store is filled');
  }
}
