import { eventually } from './eventually.ts';
import { freeBasePort } from './free-ports.ts';
import { RedisServerProcess } from './redis.ts';

const SERVERS = 3;
const SLOTS = 16_384;
/** Of the servers' own port above the clients' one. */
const OWN_PORT_OFFSET = SERVERS;

/** A Redis Cluster of three servers on this machine, each with a third of the slots, none with a copy. */
export class RedisClusterProcesses {
  readonly servers: readonly RedisServerProcess[];

  private constructor(servers: readonly RedisServerProcess[]) {
    this.servers = servers;
  }

  static async start(): Promise<RedisClusterProcesses> {
    const base = await freeBasePort(SERVERS, OWN_PORT_OFFSET);
    const options = {
      clusterPortOffset: OWN_PORT_OFFSET,
      settings: ['--cluster-node-timeout', '1000', '--cluster-require-full-coverage', 'no'],
    };
    const ports = Array.from({ length: SERVERS }, (_, at) => base + at);
    const servers = await Promise.all(ports.map((port) => RedisServerProcess.start(options, port)));
    const cluster = new RedisClusterProcesses(servers);
    await cluster.#join();
    return cluster;
  }

  get url(): string {
    return `redis+cluster://${this.servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  async #join(): Promise<void> {
    for (const [at, server] of this.servers.entries()) {
      const from = Math.ceil((SLOTS * at) / SERVERS);
      const to = Math.ceil((SLOTS * (at + 1)) / SERVERS) - 1;
      await server.command('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to));
      await server.command('CLUSTER', 'SET-CONFIG-EPOCH', String(at + 1));
    }
    const [first, ...others] = this.servers;
    for (const { port } of others)
      await first?.command('CLUSTER', 'MEET', '127.0.0.1', String(port), String(port + OWN_PORT_OFFSET));
    await eventually(
      async () => {
        const infos = await Promise.all(this.servers.map((server) => server.command('CLUSTER', 'INFO')));
        return infos.every((info) => /cluster_state:ok[\s\S]*cluster_known_nodes:3/.test(String(info)));
      },
      { what: 'a cluster that is whole', everyMs: 50 },
    );
  }
}
