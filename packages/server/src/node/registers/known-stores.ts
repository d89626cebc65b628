import { type StoreId, type StoreName, storeNameOf } from '@meridian/core/ids';
import type { Store } from '../../ports/store.ts';
import type { Peers } from '../peers.ts';

const NOTE_PREFIX = 'known-store/';

/**
 * By which ids this store knows the others. Kept on disk: an acceptor that has once learned that a store was made anew must
 * not, after a restart, take part in a quorum with what the lost store had promised.
 */
export class KnownStores {
  readonly #store: Store;
  readonly #peers: Peers;

  constructor(store: Store, peers: Peers) {
    this.#store = store;
    this.#peers = peers;
  }

  /** The id that is known under this name, this store's own included; `undefined` where none was ever heard of. */
  idOf = (name: StoreName): StoreId | undefined => {
    if (name === storeNameOf(this.#store.id)) return this.#store.id;
    return this.#peers.ofStore(name)?.storeId ?? (this.#store.note(NOTE_PREFIX + name) as StoreId | undefined);
  };

  /** Durable when it resolves. */
  async learn(id: StoreId): Promise<void> {
    const note = NOTE_PREFIX + storeNameOf(id);
    if (this.#store.note(note) !== id) await this.#store.setNote(note, id);
  }
}
