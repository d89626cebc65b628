import { NO_SEQUENCE, type RecordKey, type Sequence, type StoreId } from '@meridian/core/ids';
import type { FollowPosition, PageLimits, Store, StoredRow } from '@meridian/server/ports/store';

export const ALL: PageLimits = { rowsMax: 1_000_000, bytesMax: Number.MAX_SAFE_INTEGER };
export const FIRST = '' as RecordKey;
export const LAST = '\u{10ffff}' as RecordKey;
export const ORIGIN = 'eu-1.abc' as StoreId;
export const OTHER_ORIGIN = 'ap-1.def' as StoreId;
export const MEBIBYTE = 1024 * 1024;

export const bytes = (text: string) => new TextEncoder().encode(text);
export const text = (record: Uint8Array | undefined) =>
  record === undefined ? undefined : new TextDecoder().decode(record);
export const key = (name: string) => name as RecordKey;
export const position = (cursor: number, applied: number, isFilled = false): FollowPosition => ({
  cursor: cursor as Sequence,
  applied: applied as Sequence,
  isFilled,
});

export function put(store: Store, name: string, value: string): Promise<Sequence> {
  return store.update([key(name)], (view) => ({
    writes: [{ key: key(name), record: bytes(value) }],
    result: view.nextSequence,
  }));
}

export function remove(store: Store, name: string): Promise<null> {
  return store.update([key(name)], () => ({ writes: [{ key: key(name), record: null }], result: null }));
}

/** Appends to what is there: a lost or doubled turn shows in the value. */
export function append(store: Store, name: string, letter: string): Promise<string> {
  return store.update([key(name)], (view) => {
    const value = (text(view.record(0)) ?? '') + letter;
    return { writes: [{ key: key(name), record: bytes(value) }], result: value };
  });
}

export function seen(rows: readonly StoredRow[]): string[] {
  return rows.map((row) => `${row.key}=${text(row.record)}@${row.sequence}`);
}

export async function allChanges(store: Store, after = NO_SEQUENCE): Promise<string[]> {
  return seen((await store.changes(after, ALL)).rows);
}

export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no failure',
    (error: unknown) => error,
  );
}
