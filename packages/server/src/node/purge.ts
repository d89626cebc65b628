import { endOfNamespace, type NamespaceId, recordKey } from '@meridian/core/ids';
import type { CancelTimer, Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Store } from '../ports/store.ts';

const PURGE_ROWS = 256;
/** Writes that were under way when a namespace was dropped have long ended by then. */
const PURGE_AGAIN_MS = 60_000;

/** Removes what a dropped namespace has left on this store's disk. Its id is never used again, so nothing can come back. */
export class Purge {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #timers = new Set<CancelTimer>();
  #isStopped = false;

  constructor(store: Store, clock: Clock, log: Log) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  start(id: NamespaceId): void {
    if (this.#isStopped) return;
    this.#run(id);
    const cancel = this.#clock.timer(PURGE_AGAIN_MS, () => {
      this.#timers.delete(cancel);
      this.#run(id);
    });
    this.#timers.add(cancel);
  }

  #run(id: NamespaceId): void {
    this.#removeAll(id).then(
      (removed) =>
        removed > 0 && this.#log.info({ namespaceId: id, removed }, 'a dropped namespace was removed from this store'),
      (error: unknown) =>
        this.#log.warn(
          { namespaceId: id, reason: (error as Error).message },
          'removing a dropped namespace failed; it goes on at the next start',
        ),
    );
  }

  async #removeAll(id: NamespaceId): Promise<number> {
    let removed = 0;
    while (!this.#isStopped) {
      const { rows, isComplete } = await this.#store.scan(recordKey(id, ''), endOfNamespace(id), {
        rowsMax: PURGE_ROWS,
        bytesMax: 1024 * 1024,
      });
      const keys = rows.map(({ key }) => key);
      if (keys.length > 0) {
        await this.#store.update(keys, () => ({
          writes: keys.map((key) => ({ key, record: null })),
          result: undefined,
        }));
      }
      removed += keys.length;
      if (isComplete) break;
    }
    return removed;
  }
}
