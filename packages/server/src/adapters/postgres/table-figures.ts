import type { StoreFigures } from '../../ports/store.ts';
import type { Reads } from './reads.ts';

/** So many records are counted one by one; where there are more, the server's own estimate is told. */
const COUNTED_MAX = 10_000;

/**
 * `records` is exact up to 10,000 and an estimate above; `bytesUsed` is 0 on an engine that cannot tell. What room there is
 * left on its disks a server does not tell.
 */
export async function measure(reads: Reads, schema: string): Promise<StoreFigures> {
  const [records, bytesUsed] = await Promise.all([countRecords(reads, schema), bytesOf(reads, schema)]);
  return { engine: 'postgres', records, bytesUsed, bytesFree: undefined };
}

async function countRecords(reads: Reads, schema: string): Promise<number> {
  const counted = await number(
    reads,
    `SELECT count(*) FROM (SELECT 1 FROM "${schema}".records LIMIT ${COUNTED_MAX + 1}) AS counted`,
  );
  if (counted <= COUNTED_MAX) return counted;
  // The density of when the table was last analysed, times its size now: that is how the planner does it.
  const estimated = await number(
    reads,
    `SELECT round(reltuples::numeric / relpages * (pg_relation_size(oid) / current_setting('block_size')::int))::bigint
      FROM pg_class WHERE oid = '"${schema}".records'::regclass AND relpages > 0 AND reltuples > 0`,
  ).catch(() => 0);
  return Math.max(counted, estimated);
}

function bytesOf(reads: Reads, schema: string): Promise<number> {
  return number(reads, `SELECT pg_total_relation_size('"${schema}".records'::regclass)`).catch(() => 0);
}

async function number(reads: Reads, text: string): Promise<number> {
  const rows = await reads.query(text);
  return Number(rows[0]?.[0] ?? 0);
}
