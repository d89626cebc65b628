import type { PortableRecord } from '@meridian/server/node/service';
import { ask } from './http.ts';

export interface StoreContents {
  /** The id of the store. */
  readonly store: string;
  /** The last sequence seen. */
  readonly upTo: number;
  /** By namespace and key, with `/` between. */
  readonly records: ReadonlyMap<string, PortableRecord>;
}

interface Page {
  readonly store: string;
  readonly changes: readonly { readonly sequence: number; readonly record: PortableRecord }[];
  readonly upTo: number;
  readonly isComplete: boolean;
}

const PAGE_SIZE = 1_000;

/** All that the store of a node holds, by `/replicate/changes`. */
export async function contentsOf(url: string): Promise<StoreContents> {
  const records = new Map<string, PortableRecord>();
  for (let since = 0; ; ) {
    const { status, body } = await ask(`${url}/replicate/changes?since=${since}&limit=${PAGE_SIZE}`);
    if (status !== 200) throw new Error(`/replicate/changes answers ${status}`);
    const page = body as unknown as Page;
    for (const { record } of page.changes) records.set(`${record.namespace}/${record.key}`, record);
    if (page.isComplete) return { store: page.store, upTo: page.upTo, records };
    since = page.upTo;
  }
}

/** What two stores that hold the same must agree in, whatever the order in which it came. */
export function comparable({ vector, siblings, ledger = [] }: PortableRecord): string {
  const dots = [...siblings, ...ledger]
    .map(({ store, sequence, body, timeMs }) => `${store}:${sequence}:${timeMs}:${body}`)
    .sort();
  return JSON.stringify([Object.entries(vector).sort(([a], [b]) => (a < b ? -1 : 1)), dots]);
}

/** The keys of which two stores hold different records, or one none. */
export function differences(one: StoreContents, other: StoreContents): string[] {
  const keys = new Set([...one.records.keys(), ...other.records.keys()]);
  return [...keys].filter((key) => {
    const [left, right] = [one.records.get(key), other.records.get(key)];
    return !left || !right || comparable(left) !== comparable(right);
  });
}
