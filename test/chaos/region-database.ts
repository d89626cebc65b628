import type { NodeStore } from '../support/cluster.ts';
import { dropStore, hasStalled, storeIn } from '../support/databases.ts';
import { PostgresServer } from '../support/postgres.ts';
import { type CommitFault, PostgresProxy } from '../support/postgres-proxy.ts';
import { RedisServerProcess } from '../support/redis.ts';
import type { RegionShape } from './shapes.ts';

const SCHEMA = 'meridian';
/** Small: several run beside the nodes. */
const SERVER = { shared_buffers: '32MB' };

/** The PostgreSQL of one region, the proxy through which its nodes reach it, and where nodes share it a Redis beside it. */
export class RegionDatabase {
  readonly #server: PostgresServer;
  readonly #proxy: PostgresProxy;
  readonly #cache: RedisServerProcess | undefined;
  #isUp = true;
  #isCacheUp = true;
  #isCachePaused = false;

  private constructor(server: PostgresServer, proxy: PostgresProxy, cache: RedisServerProcess | undefined) {
    this.#cache = cache;
    this.#server = server;
    this.#proxy = proxy;
  }

  static async start({ nodes }: RegionShape): Promise<RegionDatabase> {
    const server = await PostgresServer.start({ settings: SERVER });
    const cache = nodes.length > 1 ? await RedisServerProcess.start() : undefined;
    return new RegionDatabase(server, await PostgresProxy.start(server.port), cache);
  }

  /** How a cluster file names this database for the nodes of a region. */
  storesOf({ region, nodes }: RegionShape): readonly NodeStore[] {
    const store = storeIn(this.#server, SCHEMA, this.#proxy.port);
    return nodes.map((name) => ({ name, store, storeName: region, cache: this.#cache?.url }));
  }

  /** SIGKILL, or the orderly end of an upgrade. */
  async end(isOrderly: boolean): Promise<void> {
    if (!this.#isUp) return;
    this.#isUp = false;
    await (isOrderly ? this.#server.stop() : this.#server.kill());
  }

  /** Ends all of its faults: it runs and takes connections. */
  async heal(): Promise<void> {
    if (!this.#isUp) await this.#server.startAgain();
    this.#isUp = true;
    this.#proxy.accept();
    await this.healCache();
  }

  /** It answers nothing, and keeps what it is sent. */
  pauseCache(): void {
    this.#cache?.pause();
    this.#isCachePaused = true;
  }

  /** All that it held is gone. */
  async killCache(): Promise<void> {
    await this.#cache?.kill();
    this.#isCacheUp = false;
  }

  async healCache(): Promise<void> {
    if (this.#isCachePaused && this.#isCacheUp) this.#cache?.resume();
    if (!this.#isCacheUp) await this.#cache?.start();
    this.#isCachePaused = false;
    this.#isCacheUp = true;
  }

  /** All connections break, whatever they are at. */
  cut(): void {
    this.#proxy.cut();
  }

  /** The same, and no new one is taken. */
  refuse(): void {
    this.#proxy.refuse();
  }

  breakNextCommit(fault: CommitFault): void {
    this.#proxy.onNextCommit(fault);
  }

  /** Commits that are to break and have not come yet. */
  get faultsPending(): number {
    return this.#proxy.pending;
  }

  /** Whether one of its transactions has stood still for so long. */
  hasStalled(forMs: number): Promise<boolean> {
    return hasStalled(this.#server, forMs);
  }

  /** All that the region holds is gone. */
  wipe(): Promise<void> {
    return dropStore(this.#server, SCHEMA);
  }

  async remove(): Promise<void> {
    await this.#proxy.close();
    await Promise.all([this.#server.remove(), this.#cache?.stop()]);
  }
}
