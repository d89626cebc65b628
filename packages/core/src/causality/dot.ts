import type { Sequence, StoreId } from '../ids.ts';

/** The unique name of one write: which store took it, under which of its sequence numbers. */
export interface Dot {
  readonly store: StoreId;
  readonly sequence: Sequence;
}

/** A total order without meaning for causality; it breaks ties between equal times, the same way everywhere. */
export function compareDots(left: Dot, right: Dot): number {
  if (left.store !== right.store) return left.store < right.store ? -1 : 1;
  return left.sequence - right.sequence;
}

export function sameDot(left: Dot, right: Dot): boolean {
  return left.sequence === right.sequence && left.store === right.store;
}

export function dotText(dot: Dot): string {
  return `${dot.store}:${dot.sequence}`;
}

/** The dot that `dotText` wrote, or nothing where the text is none. */
export function parseDot(text: string): Dot | undefined {
  const match = /^([a-z0-9._-]{3,200}):([1-9][0-9]{0,15})$/i.exec(text);
  if (!match || Number(match[2]) > Number.MAX_SAFE_INTEGER) return undefined;
  return { store: match[1] as StoreId, sequence: Number(match[2]) as Sequence };
}
