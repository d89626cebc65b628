import { type StoreId, storeNameOf } from '@meridian/core/ids';
import { START_POSITION } from '@meridian/core/replication/change-stream';
import type { Store } from '../ports/store.ts';

const NOTE_PREFIX = 'taken-in-unfilled/';

function noteOf(id: StoreId): string {
  return NOTE_PREFIX + storeNameOf(id);
}

/** Whether a fill took this store in, or began to, while that was being filled itself: it may hold more since. */
export function wasTakenInUnfilled(store: Store, id: StoreId): boolean {
  return store.note(noteOf(id)) === id;
}

/**
 * To be noted before a fill asks this store for all it has. Where it is filled, what stands of it is true again only of a walk
 * from the start. `undefined` where there is nothing to change, else resolves once it is durable.
 */
export function noteSource(store: Store, id: StoreId, isFilled: boolean): Promise<void> | undefined {
  if (!isFilled) return wasTakenInUnfilled(store, id) ? undefined : store.setNote(noteOf(id), id);
  const { cursor, isFilled: isTakenIn } = store.positions.get(id) ?? START_POSITION;
  if (cursor > 0 || isTakenIn || !wasTakenInUnfilled(store, id)) return undefined;
  return store.setNote(noteOf(id), '');
}

/** The next walk begins at the start, and counts anew. What is claimed of its writes stays: those were taken in. */
export function takeInAnew(store: Store, id: StoreId): Promise<void> {
  return store.update([], (view) => {
    const { applied } = view.position(id) ?? START_POSITION;
    return { writes: [], positions: new Map([[id, { ...START_POSITION, applied }]]), result: undefined };
  });
}
