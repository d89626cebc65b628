import { randomBytes } from 'node:crypto';
import { createWriteStream, existsSync, readFileSync, type WriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deleteElsewhere, PostgresServer } from '../postgres/postgres-server.ts';
import { RESTART_MS } from './region-process.ts';

const PASSWORD_FILE = 'postgres.password';

export interface RegionDatabaseOptions {
  readonly node: string;
  /** Of the demo: its data and its log go there. */
  readonly folder: string;
  readonly port: number;
  readonly onDeath: (how: string) => void;
  readonly onRestart: (pid: number | undefined) => void;
}

/** The PostgreSQL of one region, kept running until `stop`. */
export class RegionDatabase {
  readonly #options: RegionDatabaseOptions;
  readonly #server: PostgresServer;
  readonly #log: WriteStream;
  #restart: NodeJS.Timeout | undefined;
  #isStopping = false;

  constructor(options: RegionDatabaseOptions) {
    const { node, folder, port } = options;
    this.#options = options;
    this.#log = createWriteStream(join(folder, `${node}.postgres.log`), { flags: 'a' });
    this.#log.on('error', () => {});
    this.#server = new PostgresServer({
      folder: dataFolderOf(node, folder),
      port,
      password: readFileSync(passwordFileIn(folder), 'utf8').trim(),
      onLine: (line) => this.#log.write(`${line}\n`),
      onDeath: (how) => this.#ended(how),
    });
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  #ended(how: string): void {
    if (this.#isStopping) return;
    this.#options.onDeath(how);
    this.#restart = setTimeout(() => {
      this.#server.start().then(
        () => this.#options.onRestart(this.#server.pid),
        (error: unknown) => this.#ended((error as Error).message),
      );
    }, RESTART_MS);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#restart);
    await this.#server.stop();
    this.#log.end();
  }
}

function dataFolderOf(node: string, folder: string): string {
  return join(folder, `${node}.postgres`);
}

/** Whether there are databases of this demo: nobody else has their password. */
export function hasPassword(folder: string): boolean {
  return existsSync(join(folder, PASSWORD_FILE));
}

/** Deletes a database that this folder of a demo knows nothing of: of one that was here before, and was deleted. */
export function deleteLeftDatabase(node: string, folder: string): Promise<void> {
  return deleteElsewhere(dataFolderOf(node, folder));
}

/** The password of all databases of a demo, in a file that only its user may read. Made the first time. */
export function passwordFileIn(folder: string): string {
  const path = join(folder, PASSWORD_FILE);
  if (!existsSync(path)) writeFileSync(path, `${randomBytes(18).toString('base64url')}\n`, { mode: 0o600 });
  return path;
}
