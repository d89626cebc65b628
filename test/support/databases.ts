import type { NodeStore, Shape } from './cluster.ts';
import type { PostgresServer } from './postgres.ts';

const DATABASE = 'postgres';

/** What a cluster file calls the store in a schema of a server; `port` is that of a proxy where one is in between. */
export function storeIn(server: PostgresServer, schema: string, port = server.port): string {
  return server.url(DATABASE, port, `?schema=${schema}`);
}

/** All that the store in a schema held is gone, as with a disk. Nothing may have it open. */
export async function dropStore(server: PostgresServer, schema: string): Promise<void> {
  await server.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`, DATABASE);
}

/** Whether a transaction of any store has stood still for so long, with whatever it has locked. */
export async function hasStalled(server: PostgresServer, forMs: number): Promise<boolean> {
  const rows = await server.query(
    "SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'" +
      ` AND state_change < clock_timestamp() - interval '${forMs} ms'`,
    DATABASE,
  );
  return rows.length > 0;
}

/**
 * One region on an embedded store, one of two nodes that share a store, one of a single node on PostgreSQL. `cache` is the
 * URL of a Redis for the nodes that share.
 */
export function mixedShape(server: PostgresServer, cache?: string): Shape {
  const shared: Omit<NodeStore, 'name'> = { store: storeIn(server, 'eu_central'), storeName: 'eu', cache };
  return {
    'us-east': ['us-1'],
    'eu-central': ['eu-1', 'eu-2'].map((name) => ({ name, ...shared })),
    'ap-northeast': [{ name: 'ap-1', store: storeIn(server, 'ap_northeast') }],
  };
}
