/** Where a store is: a folder, or a database that several nodes may share. */
export type StorePlace =
  | { readonly kind: 'folder' }
  /** `database` is the same for all URLs that lead to the same data, whoever they log in as. */
  | { readonly kind: 'postgres'; readonly database: string };

const POSTGRES_PORT = '5432';
const POSTGRES_SCHEMA = 'meridian';

/** Nothing where no engine is known for it. */
export function storePlace(store: string): StorePlace | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(store)?.[1]?.toLowerCase();
  if (scheme === undefined) return { kind: 'folder' };
  if (scheme !== 'postgres' && scheme !== 'postgresql') return store.includes('://') ? undefined : { kind: 'folder' };
  const url = URL.parse(store);
  const schema = url?.searchParams.get('schema') ?? POSTGRES_SCHEMA;
  // What is wrong with it is said where it is parsed whole.
  const place = url ? `${url.hostname}:${url.port || POSTGRES_PORT}${url.pathname}#${schema}` : store;
  return { kind: 'postgres', database: place };
}
