import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { eventually } from './eventually.ts';
import { freeBasePort } from './free-ports.ts';
import { requireSystemPackage } from './system-package.ts';

export interface RedisOptions {
  /** One more than for a single server: a cluster's servers talk on a second port, this far above the first. */
  readonly clusterPortOffset?: number;
  readonly password?: string;
  readonly settings?: readonly string[];
}

/** A real Redis on a free loopback port, that keeps nothing on disk. */
export class RedisServerProcess {
  readonly port: number;
  readonly #options: RedisOptions;
  readonly #folder: string;
  #process: ChildProcess | undefined;

  private constructor(port: number, options: RedisOptions) {
    this.port = port;
    this.#options = options;
    this.#folder = mkdtempSync(join(tmpdir(), 'meridian-redis-'));
  }

  static async start(options: RedisOptions = {}, port?: number): Promise<RedisServerProcess> {
    requireSystemPackage('redis-server');
    const server = new RedisServerProcess(port ?? (await freeBasePort(1)), options);
    await server.start();
    return server;
  }

  get url(): string {
    const login = this.#options.password === undefined ? '' : `:${this.#options.password}@`;
    return `redis://${login}127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    if (this.#process) throw new Error('it runs already');
    const { clusterPortOffset, password, settings = [] } = this.#options;
    const cluster = clusterPortOffset
      ? ['--cluster-enabled', 'yes', '--cluster-port', String(this.port + clusterPortOffset)]
      : [];
    const args = [
      ...['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder],
      ...['--save', '', '--appendonly', 'no', ...cluster, ...settings],
      ...(password === undefined ? [] : ['--requirepass', password]),
    ];
    const child = spawn('redis-server', args, { stdio: 'ignore' });
    this.#process = child;
    process.once('exit', this.#atExit);
    await eventually(() => this.command('PING'), { what: 'a Redis that answers', everyMs: 20 });
  }

  /** One command, on a connection of its own. */
  async command(...command: string[]): Promise<unknown> {
    const { password } = this.#options;
    const client = createClient({
      socket: { host: '127.0.0.1', port: this.port, connectTimeout: 1_000, reconnectStrategy: false },
      ...(password === undefined ? {} : { password }),
    });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await client.sendCommand(command);
    } finally {
      client.destroy();
    }
  }

  /** It answers nothing from now on; what is sent to it waits. */
  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** All that it held is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    process.off('exit', this.#atExit);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  readonly #atExit = (): void => {
    this.#process?.kill('SIGKILL');
  };
}
