import { ClientClosedError, ClientOfflineError, createClient, createCluster, RESP_TYPES } from '@redis/client';
import { CacheFailedError } from '../../ports/cache.ts';
import type { CancelTimer, Clock } from '../../ports/clock.ts';

export interface RedisServer {
  readonly host: string;
  readonly port: number;
}

export interface RedisServers {
  /** One, or of a cluster some, from which the others are found. */
  readonly servers: readonly RedisServer[];
  readonly isCluster: boolean;
  readonly isTls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
}

const CONNECT_TIMEOUT_MS = 2_000;
/** A connection on which nothing goes either way for so long is dead: one that is well carries pings. */
const SILENCE_MS_MAX = 6_000;
const PING_EVERY_MS = 2_000;
const RECONNECT_MS_MIN = 50;
const RECONNECT_MS_MAX = 1_000;
/** Commands that wait for an answer, on one connection; more are refused. */
const COMMANDS_WAITING_MAX = 8_192;
/** A cluster of which no server was reached is tried again after this. */
const DISCOVER_AGAIN_MS = 1_000;
/** An answer that is late by so much will not come: the network may have dropped it without either end knowing. */
const STALLED_MS = 5_000;

/** The little that is used of the library's clients. */
interface Client {
  connect(): Promise<unknown>;
  destroy(): void;
  send(firstKey: string | undefined, command: (string | Buffer)[]): Promise<unknown>;
}

/**
 * Commands to Redis, or to a Redis Cluster, over one connection to each server. What cannot be sent at once fails at once;
 * connections are made, and made again, in the background.
 */
export class RedisConnection {
  readonly #servers: RedisServers;
  readonly #clock: Clock;
  #client: Client;
  #trouble = 'not connected yet';
  #cancelDiscovery: CancelTimer = () => {};
  #isClosed = false;
  /** When the oldest command was sent that is still without an answer. */
  readonly #waitingSinceMs = new Map<number, number>();
  #sent = 0;

  constructor(servers: RedisServers, clock: Clock) {
    this.#servers = servers;
    this.#clock = clock;
    this.#client = this.#open();
  }

  /** @throws CacheFailedError; of Redis's own errors it says the first word alone, since the rest may quote what was sent */
  async send(firstKey: string | undefined, command: (string | Buffer)[]): Promise<unknown> {
    const number = this.#sent++;
    this.#waitingSinceMs.set(number, this.#clock.monotonicMs());
    try {
      return await this.#client.send(firstKey, command);
    } catch (error) {
      throw new CacheFailedError(this.#reason(error));
    } finally {
      this.#waitingSinceMs.delete(number);
    }
  }

  /** Begins anew where an answer is so late that it will not come. */
  replaceIfStalled(): void {
    const [oldestMs] = this.#waitingSinceMs.values();
    if (this.#isClosed || oldestMs === undefined || this.#clock.monotonicMs() - oldestMs < STALLED_MS) return;
    this.#cancelDiscovery();
    this.#client.destroy();
    this.#client = this.#open();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelDiscovery();
    this.#client.destroy();
  }

  #open(): Client {
    const onError = (error: unknown): void => {
      this.#trouble = troubleOf(error);
    };
    const client = this.#servers.isCluster
      ? clusterClient(this.#servers, onError)
      : standaloneClient(this.#servers, onError);
    this.#connect(client);
    return client;
  }

  /** A single server's client goes on trying by itself; that of a cluster gives up when it has found no server. */
  #connect(client: Client): void {
    client.connect().catch((error: unknown) => {
      this.#trouble = troubleOf(error);
      if (this.#isClosed || client !== this.#client) return;
      this.#cancelDiscovery = this.#clock.timer(DISCOVER_AGAIN_MS, () => this.#connect(client));
    });
  }

  #reason(error: unknown): string {
    return error instanceof ClientOfflineError || error instanceof ClientClosedError ? this.#trouble : troubleOf(error);
  }
}

/** A code, a first word, or a kind: a message may hold more than may be logged. */
function troubleOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? /^[A-Z]{2,}(?= )/.exec(message)?.[0] ?? (error as Error).constructor.name;
}

function connectionOptions({ isTls, user, password }: RedisServers) {
  return {
    RESP: 2,
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
    disableOfflineQueue: true,
    commandsQueueMaxLength: COMMANDS_WAITING_MAX,
    pingInterval: PING_EVERY_MS,
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENCE_MS_MAX,
      reconnectStrategy: (tries: number) => Math.min(RECONNECT_MS_MIN * 2 ** Math.min(tries, 10), RECONNECT_MS_MAX),
      ...(isTls ? { tls: true as const } : {}),
    },
  } as const;
}

const AS_BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } } as const;

function standaloneClient(servers: RedisServers, onError: (error: unknown) => void): Client {
  const options = connectionOptions(servers);
  const [server] = servers.servers;
  const client = createClient({
    ...options,
    socket: { ...options.socket, ...server },
    database: servers.database,
    commandOptions: AS_BYTES,
  });
  client.on('error', onError);
  return {
    connect: () => client.connect(),
    destroy: () => client.destroy(),
    send: (_, command) => client.sendCommand(command),
  };
}

function clusterClient(servers: RedisServers, onError: (error: unknown) => void): Client {
  const cluster = createCluster({
    RESP: 2,
    rootNodes: servers.servers.map((server) => ({ socket: { ...server } })),
    defaults: connectionOptions(servers),
    commandOptions: AS_BYTES,
  });
  cluster.on('error', onError);
  cluster.on('node-error', onError);
  return {
    connect: () => cluster.connect(),
    destroy: () => cluster.destroy(),
    send: (firstKey, command) => cluster.sendCommand(firstKey, false, command),
  };
}
