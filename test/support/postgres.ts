import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresSettings } from '@meridian/server/adapters/postgres/settings';
import { PostgresServer as DemoServer, SUPERUSER } from '@meridian/server/cli/postgres/postgres-server';
import { parsePostgresUrl } from '@meridian/server/config/postgres-url';
import pg from 'pg';
import { eventually } from './eventually.ts';
import { freeBasePort } from './free-ports.ts';

const PASSWORD = 'pass:word';

export interface PostgresServerOptions {
  /** `-c name=value` of the server. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A real PostgreSQL in a temporary folder, on the loopback interface. Made for a test file, and removed with `remove`. */
export class PostgresServer {
  readonly port: number;
  readonly #root: string;
  readonly #server: DemoServer;
  #databases = 0;

  private constructor(root: string, port: number, settings: Readonly<Record<string, string>>) {
    this.#root = root;
    this.port = port;
    this.#server = new DemoServer({
      folder: join(root, 'data'),
      port,
      password: PASSWORD,
      settings: { max_connections: '60', ...settings },
      isTemporary: true,
    });
  }

  static async start({ settings = {} }: PostgresServerOptions = {}): Promise<PostgresServer> {
    const root = await mkdtemp(join(tmpdir(), 'meridian-postgres-'));
    // Where the tests run as root, the server runs as another user, who must be able to enter.
    await chmod(root, 0o755);
    const server = new PostgresServer(root, await freeBasePort(1), settings);
    await server.#server.start();
    return server;
  }

  /** Of a database that need not exist. */
  url(database: string, port = this.port, parameters = ''): string {
    return `postgres://${SUPERUSER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/${database}${parameters}`;
  }

  settings(database: string, changes: Partial<PostgresSettings> = {}): PostgresSettings {
    return { ...parsePostgresUrl(this.url(database)), ...changes };
  }

  /** Makes an empty database, and gives its name. */
  async newDatabase(): Promise<string> {
    const name = `t${++this.#databases}_${randomBytes(4).toString('hex')}`;
    await this.query(`CREATE DATABASE ${name}`);
    return name;
  }

  async query(text: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: this.url(database) });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text)).rows as Record<string, unknown>[];
    } finally {
      await client.end();
    }
  }

  /** A fast shutdown: sessions are ended, transactions undone. */
  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** SIGKILL, as a machine that loses power: what was not on disk is gone. The other processes of the server end by themselves. */
  async kill(): Promise<void> {
    this.#server.kill();
    await eventually(() => Promise.resolve(this.#server.pid === undefined), { what: 'the end of the server' });
  }

  /** After `stop` or `kill`. */
  async startAgain(): Promise<void> {
    // Processes of a server that was killed may still hold its memory for a moment.
    await eventually(() => this.#server.start().then(() => true), { what: 'a server that started again' });
  }

  async remove(): Promise<void> {
    await this.kill();
    await eventually(() => rm(this.#root, { recursive: true, force: true }).then(() => true), { what: 'removal' });
  }
}
