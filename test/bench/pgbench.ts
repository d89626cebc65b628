import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Database } from './databases.ts';
import type { LoadResult } from './load.ts';
import type { Session } from './session.ts';
import { KEYS, VALUE } from './workload.ts';

/** Where Debian puts the programs of each version. */
const DEBIAN = '/usr/lib/postgresql';
const EXTRA_MS = 15_000;
/** Its connections are made within the time of its load, though they do not count in its transactions a second. */
const CONNECT_SECONDS = 2;
const TABLE = `CREATE TABLE IF NOT EXISTS bench (key integer PRIMARY KEY, value bytea NOT NULL)`;
/** What a client that batches nothing does: one row a statement, one statement a transaction. */
const SCRIPTS = {
  upsert: `\\set key random(0, ${KEYS - 1})
INSERT INTO bench VALUES (:key, '${VALUE}') ON CONFLICT (key) DO UPDATE SET value = excluded.value;
`,
  select: `\\set key random(0, ${KEYS - 1})
SELECT value FROM bench WHERE key = :key;
`,
} as const;

/** `pgbench 18.1`, and how it is started; `undefined` where it is not installed (Debian: `postgresql-contrib`). */
export function findPgbench(): { readonly name: string; readonly program: string } | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN) : [];
  const places = versions.map((version) => join(DEBIAN, version, 'bin', 'pgbench'));
  for (const program of [...places.toReversed(), 'pgbench']) {
    const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
    const version = /\(PostgreSQL\) (\S+)/.exec(String(stdout ?? ''))?.[1];
    if (version !== undefined) return { name: `pgbench ${version}`, program };
  }
  return undefined;
}

/** Fills a table of its own with as many keys as the load has. */
export async function fillBenchTable({ url }: Database): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(TABLE);
  await client.query(
    `INSERT INTO bench SELECT key, '${VALUE}' FROM generate_series(0, ${KEYS - 1}) AS key ON CONFLICT DO NOTHING`,
  );
  await client.query('VACUUM ANALYZE bench');
  await client.end();
}

/** Prepared statements, one client a connection. @throws Error where any transaction failed */
export async function runPgbench(
  session: Session,
  program: string,
  { url }: Database,
  load: { readonly script: keyof typeof SCRIPTS; readonly clients: number; readonly seconds: number },
): Promise<LoadResult> {
  const file = join(session.folder, `${load.script}.sql`);
  writeFileSync(file, SCRIPTS[load.script]);
  const seconds = load.seconds + CONNECT_SECONDS;
  const settings = ['-n', '-M', 'prepared', '-c', `${load.clients}`, '-j', '1', '-T', `${seconds}`, '-f', file];
  const child = session.start(program, [...settings, url], { stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), load.seconds * 1_000 + EXTRA_MS);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  await once(child, 'close');
  clearTimeout(timer);
  const figureOf = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? Number.NaN);
  const requestsPerSecond = figureOf(/tps = ([\d.]+)/);
  const failures = figureOf(/number of failed transactions: (\d+)/) || 0;
  if (Number.isNaN(requestsPerSecond) || failures > 0) throw new Error(`pgbench did not finish: ${text}`);
  return { requestsPerSecond, medianMs: figureOf(/latency average = ([\d.]+) ms/), failures };
}
