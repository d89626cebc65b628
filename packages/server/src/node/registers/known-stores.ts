import { type StoreId, type StoreName, storeNameOf } from '@meridian/core/ids';
import type { Store } from '../../ports/store.ts';
import type { Peers } from '../peers.ts';

const NOTE_PREFIX = 'known-store/';

/** What is learned of one other store. */
interface Learned {
  readonly note: string;
  /** As the note said when it was last looked at. */
  id: StoreId | undefined;
  /** Ids that the note has gone past since this process began. */
  readonly former: Set<StoreId>;
}

/**
 * By which ids this store knows the others. Kept on disk: an acceptor that has once learned that a store was made anew must
 * not, after a restart, take part in a quorum with what the lost store had promised. Nor must another node of a shared store,
 * which may hear nothing of the one made anew, or still hear of it by its former id.
 */
export class KnownStores {
  readonly #store: Store;
  readonly #peers: Peers;
  readonly #learned = new Map<StoreName, Learned>();

  constructor(store: Store, peers: Peers) {
    this.#store = store;
    this.#peers = peers;
    for (const [name] of peers.otherStores()) {
      const note = NOTE_PREFIX + name;
      this.#learned.set(name, { note, id: store.note(note) as StoreId | undefined, former: new Set() });
    }
  }

  /** The id that is known under this name, this store's own included; `undefined` where none was ever heard of. */
  idOf = (name: StoreName): StoreId | undefined => {
    if (name === storeNameOf(this.#store.id)) return this.#store.id;
    const learned = this.#learned.get(name);
    if (!learned) return this.#store.note(NOTE_PREFIX + name) as StoreId | undefined;
    const id = this.#store.note(learned.note) as StoreId | undefined;
    if (id !== learned.id) {
      if (learned.id !== undefined) learned.former.add(learned.id);
      learned.id = id;
    }
    const told = this.#peers.ofStore(name)?.storeId;
    return told === undefined || learned.former.has(told) ? id : told;
  };

  /** Durable when it resolves. */
  async learn(id: StoreId): Promise<void> {
    const note = NOTE_PREFIX + storeNameOf(id);
    if (this.#store.note(note) !== id) await this.#store.setNote(note, id);
  }
}
