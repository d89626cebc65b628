import type { StoreName } from '@meridian/core/ids';
import type { Store } from '@meridian/server/ports/store';

/** A disk or database that outlives the stores opened on it. All of them are opened under `STORE_NAME`. */
export interface StoreMedium {
  open(): Promise<Store>;
  dispose(): Promise<void>;
}

export interface StoreCapabilities {
  /** A second `open` at the same time is refused. */
  readonly isExclusive: boolean;
  readonly propertyRuns: number;
}

export const STORE_NAME = 'us-1' as StoreName;

/** The store that a test looks at: a new one for each. */
export class StoreUnderTest {
  #opened: { readonly medium: StoreMedium; store: Store } | undefined;

  get store(): Store {
    return this.#current.store;
  }

  get medium(): StoreMedium {
    return this.#current.medium;
  }

  get #current(): { readonly medium: StoreMedium; store: Store } {
    if (!this.#opened) throw new Error('no test is running');
    return this.#opened;
  }

  async begin(medium: StoreMedium): Promise<void> {
    this.#opened = { medium, store: await medium.open() };
  }

  /** Closes the store, if it is not closed already, and opens it again. */
  async reopen(): Promise<void> {
    await this.store.close();
    this.#current.store = await this.medium.open();
  }

  async end(): Promise<void> {
    await this.store.close();
    await this.medium.dispose();
  }
}
