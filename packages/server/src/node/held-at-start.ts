import type { Sequence } from '@meridian/core/ids';
import type { Store } from '../ports/store.ts';

const HELD_NOTE = 'held-at-start';

/**
 * Up to where a store of one owner surely has all writes of its id, as it is opened. Where it was stopped before it knew
 * whether it is behind, what it has numbered since its start before are records of others, and do not count: under the same
 * numbers it may have made writes that its disk has lost.
 */
export function heldAtStart(store: Store): Sequence {
  const [id, held] = (store.note(HELD_NOTE) ?? '').split(' ');
  return id === store.id ? (Math.min(Number(held), store.sequence) as Sequence) : store.sequence;
}

/** Asked for before anything is merged, it is on disk before that is. */
export async function keepHeldAtStart(store: Store, held: Sequence): Promise<void> {
  const text = `${store.id} ${held}`;
  if (store.note(HELD_NOTE) !== text) await store.setNote(HELD_NOTE, text);
}

/** The store is known not to be behind. Asked for before it makes a write, it is on disk before that is. */
export async function forgetHeldAtStart(store: Store): Promise<void> {
  if (store.note(HELD_NOTE)) await store.setNote(HELD_NOTE, '');
}
