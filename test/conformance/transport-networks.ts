import { createServer } from 'node:net';
import type { NodeName } from '@meridian/core/ids';
import { systemClock } from '@meridian/server/adapters/system/system-clock';
import { systemRandom } from '@meridian/server/adapters/system/system-random';
import { type TcpOptions, type TcpTransport, tcpTransport } from '@meridian/server/adapters/tcp/tcp-transport';
import type { Log } from '@meridian/server/ports/log';

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((done) => {
          server.listen(0, '127.0.0.1', () => done((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** Keeps what was logged, as `level event fields`. */
export class KeptLog implements Log {
  readonly lines: string[] = [];
  debug(fields: object, event: string): void {
    this.#keep('debug', fields, event);
  }
  info(fields: object, event: string): void {
    this.#keep('info', fields, event);
  }
  warn(fields: object, event: string): void {
    this.#keep('warn', fields, event);
  }
  error(fields: object, event: string): void {
    this.#keep('error', fields, event);
  }
  #keep(level: string, fields: object, event: string): void {
    this.lines.push(`${level} ${event} ${JSON.stringify(fields)}`);
  }
  warnings(): readonly string[] {
    return this.lines.filter((line) => line.startsWith('warn') || line.startsWith('error'));
  }
}

/** Nodes `a`, `b` and `c` of one cluster on loopback. */
export class TcpNetwork {
  readonly ports: ReadonlyMap<NodeName, number>;

  constructor(ports: ReadonlyMap<NodeName, number>) {
    this.ports = ports;
  }

  static async open(names: readonly string[] = ['a', 'b', 'c']): Promise<TcpNetwork> {
    const ports = await freePorts(names.length);
    return new TcpNetwork(new Map(names.map((name, at) => [name as NodeName, ports[at] as number])));
  }

  make(node: NodeName, change: Partial<TcpOptions> = {}): TcpTransport {
    return tcpTransport({
      cluster: 'test',
      node,
      secret: 'a secret that all nodes share',
      listen: { host: '127.0.0.1', port: this.ports.get(node) as number },
      peers: [...this.ports].map(([name, port]) => ({ node: name, host: '127.0.0.1', port })),
      clock: systemClock,
      random: systemRandom,
      log: new KeptLog(),
      ...change,
    });
  }
}
