import type { RecordKey, StoreId } from '@meridian/core/ids';
import { Flush, type FlushRequest } from '@meridian/server/adapters/flush';
import type { SharedDatabase, SharedState } from '@meridian/server/adapters/shared/shared-database';
import type { RecordWrite, TurnMark } from '@meridian/server/ports/store';

/** Of who has seen nothing of the store yet. */
export const NOTHING_SEEN: TurnMark = { id: '' as StoreId, version: 0, turn: '' };

type Look = (at: number) => string | undefined;

/** One turn that writes what `change` makes of the texts found; `undefined` leaves a key alone, `null` removes it. */
export function change(
  database: SharedDatabase,
  keys: readonly string[],
  make: (found: Look, at: number) => string | null | undefined,
): Promise<SharedState> {
  const asked = keys as readonly RecordKey[];
  return database.transact(
    asked,
    (turn) => {
      const flush = new Flush(turn, turn.state);
      const request: FlushRequest = {
        keys: asked,
        decide: (view) => {
          const found: Look = (at) => text(view.record(at));
          const writes: RecordWrite[] = [];
          asked.forEach((key, at) => {
            const made = make(found, at);
            if (made !== undefined) writes.push({ key, record: made === null ? null : new TextEncoder().encode(made) });
          });
          return { writes, result: undefined };
        },
        amend: undefined,
        result: undefined,
        hasFailed: false,
      };
      flush.run(request);
      if (request.hasFailed) throw request.result;
      return flush.changes();
    },
    () => NOTHING_SEEN,
  );
}

export function put(database: SharedDatabase, key: string, value: string): Promise<SharedState> {
  return change(database, [key], () => value);
}

export async function read(database: SharedDatabase, key: string): Promise<string | undefined> {
  return text((await database.get([key as RecordKey], NOTHING_SEEN)).rows.get(key as RecordKey)?.record);
}

/** Adds a word to the list under a key, so that what was done twice, or not at all, is seen in it. */
export function append(database: SharedDatabase, key: string, word: string): Promise<SharedState> {
  return change(database, [key], (found) => [...wordsIn(found(0)), word].join(' '));
}

export function wordsIn(list: string | undefined): string[] {
  return list === undefined ? [] : list.split(' ');
}

function text(record: Uint8Array | undefined): string | undefined {
  return record === undefined ? undefined : new TextDecoder().decode(record);
}
