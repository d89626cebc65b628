import type { Sequence, StoreId } from '@meridian/core/ids';
import type { FollowPosition, TurnMark } from '../../ports/store.ts';
import type { FoundState } from '../shared/shared-database.ts';
import { PostgresFailure } from './failures.ts';
import type { Answer } from './session.ts';

/** Notes as they were once read. */
export interface KnownNotes {
  /** Random, made anew whenever the notes change: a number might come again in a database that was restored. */
  readonly tag: string;
  readonly notes: ReadonlyMap<string, string>;
}

export interface FoundRow {
  readonly state: FoundState;
  readonly notesTag: string;
}

export const NO_STORE = 'the database no longer holds the store';
const NO_NOTES: ReadonlyMap<string, string> = new Map();

type StateCells = [StoreId, Sequence, number, string, string | null, string, string, string | null];

/**
 * The last turn's row as a state. Texts that have not changed are not parsed again, and notes that have not changed are not
 * even sent: a turn reads the row each time, and a note may be a whole layout.
 */
export class StateRow {
  #known: KnownNotes = { tag: '', notes: NO_NOTES };
  #positionsText = '';
  #positions: ReadonlyMap<StoreId, FollowPosition> = new Map();

  /** Its tag goes with the statement that reads the row, and it goes with the answer. */
  get known(): KnownNotes {
    return this.#known;
  }

  /** @throws PostgresFailure where the row is gone */
  take({ rows }: Answer, known: KnownNotes, seen: TurnMark): FoundRow {
    const cells = rows[0] as StateCells | undefined;
    if (cells === undefined) throw new PostgresFailure('refused', NO_STORE);
    const [id, sequence, version, turn, seenTurn, positionsText, notesTag, notesText] = cells;
    // A store that has never had notes has none under its tag.
    const notes =
      notesText === null
        ? notesTag === known.tag
          ? known.notes
          : NO_NOTES
        : new Map(JSON.parse(notesText) as [string, string][]);
    if (notesText !== null) this.#known = { tag: notesTag, notes };
    if (positionsText !== this.#positionsText) {
      this.#positions = positionsOf(positionsText);
      this.#positionsText = positionsText;
    }
    const hasSeen = isInThePast(seen, { id, version, turn }, seenTurn);
    return { notesTag, state: { id, sequence, version, turn, hasSeen, positions: this.#positions, notes } };
  }
}

/** Whether `seen` is a turn on the way to `found`. `seenTurn`: the turn that the database has under that version, if any. */
export function isInThePast(seen: TurnMark, found: TurnMark, seenTurn: string | null): boolean {
  if (seen.id !== found.id) return true;
  return seen.version <= found.version && (seenTurn === null || seenTurn === seen.turn);
}

export function notesTextOf(notes: ReadonlyMap<string, string>): string {
  return JSON.stringify([...notes]);
}

type PositionEntry = [origin: StoreId, cursor: Sequence, applied: Sequence, isFilled: boolean];

export function positionsTextOf(positions: ReadonlyMap<StoreId, FollowPosition>): string {
  const entries = [...positions].map(
    ([origin, { cursor, applied, isFilled }]): PositionEntry => [origin, cursor, applied, isFilled],
  );
  return JSON.stringify(entries);
}

function positionsOf(text: string): ReadonlyMap<StoreId, FollowPosition> {
  const entries = JSON.parse(text) as PositionEntry[];
  return new Map(entries.map(([origin, cursor, applied, isFilled]) => [origin, { cursor, applied, isFilled }]));
}
