import type { PortableRecord } from './service.ts';

/** A store that is in no layout: its writes come from elsewhere. */
export const GONE = 'us-1.goneforgood';

/** A record of the namespace `default` with one value, `x`, written by `store` as its `sequence`. */
export function portableRecord(
  key: string,
  store: string,
  sequence: number,
  more: Partial<PortableRecord> = {},
): PortableRecord {
  const sibling = { store, sequence, timeMs: 1, body: 'eA==', contentType: 'text/plain', expiresAtMs: null };
  return { namespace: 'default', key, vector: { [store]: sequence }, siblings: [sibling], ...more };
}
