import type { Sequence, StoreId } from '@meridian/core/ids';
import { type Draft, extended } from './flush.ts';

/** A change of what a store keeps beside its records; it takes its turn among the updates. */
export type Amendment<Result = unknown> = (draft: Draft) => Result;

/** The old id stays as that of an origin all of whose writes are here. Nothing where the store is not `former` any more. */
export function renewed(former: StoreId, id: StoreId): Amendment<void> {
  return (draft) => {
    if (draft.id !== former) return;
    const sequence = draft.sequence as Sequence;
    draft.positions = extended(draft.positions, draft.id, { cursor: sequence, applied: sequence, isFilled: true });
    draft.id = id;
  };
}

export function withoutPositions(draft: Draft): void {
  if (draft.positions.size > 0) draft.positions = new Map();
}

export function noted(name: string, text: string): Amendment<void> {
  return (draft) => {
    if (draft.notes.get(name) !== text) draft.notes = extended(draft.notes, name, text);
  };
}

/** Says whether the note was as expected. */
export function noteReplaced(name: string, expected: string | undefined, text: string): Amendment<boolean> {
  return (draft) => {
    if (draft.notes.get(name) !== expected) return false;
    draft.notes = extended(draft.notes, name, text);
    return true;
  };
}
