import { connect, createServer, type Server, type Socket } from 'node:net';
import type { NodeName } from '@meridian/core/ids';
import type { Message } from '@meridian/core/wire/messages';
import { PROTOCOL_VERSION } from '@meridian/core/wire/protocol';
import type { CancelTimer, Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Random } from '../../ports/random.ts';
import type { Transport, TransportHandler } from '../../ports/transport.ts';
import { deriveKey } from '../system/derive-key.ts';
import { backoffMs } from './backoff.ts';
import { noFigures, type Rejection, type TcpFigures } from './figures.ts';
import { dialerHandshake, type HandshakeSelf, isDialer, listenerHandshake } from './handshake.ts';
import { NONCE_CHARS } from './handshake-frames.ts';
import { TCP_LIMITS, type TcpLimits } from './limits.ts';
import { type ConnectionParts, PeerConnection } from './peer-connection.ts';
import { QuietLog } from './quiet-log.ts';

export interface TcpPeer {
  readonly node: NodeName;
  readonly host: string;
  readonly port: number;
}

export interface TcpOptions {
  readonly cluster: string;
  readonly node: NodeName;
  /** Shared by all nodes of the cluster; should hold 128 bits of chance or more. */
  readonly secret: string | Uint8Array;
  readonly listen: { readonly host: string; readonly port: number };
  /** The other nodes. This node itself may be among them, and is left out. */
  readonly peers: readonly TcpPeer[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly limits?: Partial<TcpLimits>;
}

export interface TcpTransport extends Transport {
  /** Counts since the start; a copy. */
  figures(): TcpFigures;
}

/**
 * Messages over TCP, in frames of msgpack. Both ends prove that they know the cluster's secret (handshake.ts); what they
 * then say is neither encrypted nor signed, so links that others can reach into belong in a tunnel.
 *
 * A pair of nodes has one connection: the one with the smaller name dials. A peer that comes back while its old connection
 * still looks alive replaces it, since a proof cannot be an old one. `start` fails where the address cannot be listened on.
 * Handlers must not throw.
 */
export function tcpTransport(options: TcpOptions): TcpTransport {
  return new TcpNode(options);
}

/** The connection to a peer that this node dials: there, on its way, or waiting for its next try. */
interface Dialer {
  readonly peer: TcpPeer;
  failures: number;
  connection: PeerConnection | undefined;
  provedAtMs: number | undefined;
  cancelRetry: CancelTimer | undefined;
  /** Of this outage: each is said once, not once per try. */
  readonly troubles: Set<string>;
}

const KEEPALIVE_MS = 10_000;

class TcpNode implements TcpTransport {
  readonly #options: TcpOptions;
  readonly #limits: TcpLimits;
  readonly #key: Uint8Array;
  readonly #figures = noFigures();
  readonly #parts: ConnectionParts;
  readonly #quiet: QuietLog;
  readonly #known: ReadonlySet<string>;
  readonly #dialers: readonly Dialer[];
  readonly #live = new Map<NodeName, PeerConnection>();
  readonly #wasUp = new Set<NodeName>();
  /** Inbound, without proof; in the order they came. */
  readonly #strangers = new Set<PeerConnection>();
  readonly #open = new Set<PeerConnection>();
  #server: Server | undefined;
  #handler: TransportHandler | undefined;
  #isStopping = false;

  constructor(options: TcpOptions) {
    for (const name of [options.cluster, options.node]) checkName(name);
    this.#options = options;
    this.#limits = { ...TCP_LIMITS, ...options.limits };
    this.#key = deriveKey(options.secret, 'peer handshake');
    this.#quiet = new QuietLog(options.log, options.clock);
    const others = options.peers.filter((peer) => peer.node !== options.node);
    this.#known = new Set(others.map((peer) => peer.node));
    this.#dialers = others.filter((peer) => isDialer(options.node, peer.node)).map((peer) => newDialer(peer));
    this.#parts = {
      clock: options.clock,
      limits: this.#limits,
      figures: this.#figures,
      owner: {
        onProved: (connection, peer) => this.#proved(connection, peer),
        onMessage: (connection, message) => this.#handler?.onMessage(connection.peer as NodeName, message),
        onTooLarge: (connection, bytes) => this.#tooLarge(connection, bytes),
        onClosed: (connection, reason, rejection) => this.#closed(connection, reason, rejection),
      },
    };
  }

  async start(handler: TransportHandler): Promise<void> {
    if (this.#handler) throw new Error('the transport was started before');
    this.#handler = handler;
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS }, (socket) =>
      this.#accept(socket),
    );
    this.#server = server;
    const { host, port } = this.#options.listen;
    await new Promise<void>((done, fail) => {
      server.once('error', fail);
      server.listen(port, host, () => {
        server.off('error', fail);
        server.on('error', (error) =>
          this.#options.log.error({ code: codeOf(error) }, 'the peer listener has trouble'),
        );
        done();
      });
    });
    for (const dialer of this.#dialers) this.#dial(dialer);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const dialer of this.#dialers) dialer.cancelRetry?.();
    const server = this.#server;
    const serverClosed = server?.listening ? new Promise((done) => server.close(done)) : undefined;
    const open = [...this.#open];
    for (const connection of open) connection.finish('this node stops');
    this.#handler = undefined;
    await Promise.all(open.map((connection) => connection.closed()));
    await serverClosed;
  }

  send(to: NodeName, message: Message): boolean {
    const isTaken = this.#live.get(to)?.send(message) ?? false;
    if (!isTaken) this.#figures.sendsRefused++;
    return isTaken;
  }

  isUp(node: NodeName): boolean {
    return this.#live.has(node);
  }

  bufferedBytes(node: NodeName): number {
    return this.#live.get(node)?.bufferedBytes ?? 0;
  }

  figures(): TcpFigures {
    return { ...this.#figures, rejected: { ...this.#figures.rejected } };
  }

  #self(): HandshakeSelf {
    return {
      version: PROTOCOL_VERSION,
      cluster: this.#options.cluster,
      node: this.#options.node,
      key: this.#key,
      nonce: this.#options.random.id(NONCE_CHARS),
      isKnown: (node) => this.#known.has(node),
    };
  }

  #accept(socket: Socket): void {
    const remote = `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`;
    const connection = new PeerConnection(socket, remote, listenerHandshake(this.#self()), this.#parts);
    this.#open.add(connection);
    this.#strangers.add(connection);
    if (this.#isStopping) connection.finish('this node stops');
    if (this.#strangers.size <= this.#limits.strangersMax) return;
    oldestOfMost(this.#strangers)?.close(`more than ${this.#limits.strangersMax} connections without proof`, 'crowded');
  }

  #dial(dialer: Dialer): void {
    if (this.#isStopping) return;
    const { node, host, port } = dialer.peer;
    const handshake = dialerHandshake(this.#self(), node);
    const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS });
    const connection = new PeerConnection(socket, `${host}:${port}`, handshake, this.#parts);
    dialer.connection = connection;
    dialer.provedAtMs = undefined;
    this.#open.add(connection);
    connection.sendFrame(handshake.opening);
  }

  #proved(connection: PeerConnection, peer: NodeName): void {
    this.#strangers.delete(connection);
    const dialer = this.#dialerOf(connection);
    if (dialer) {
      dialer.provedAtMs = this.#options.clock.monotonicMs();
      dialer.troubles.clear();
    }
    this.#live.get(peer)?.close('the peer connected anew');
    if (connection.isClosed) return;
    this.#live.set(peer, connection);
    this.#figures.connects++;
    if (this.#wasUp.has(peer)) this.#figures.reconnects++;
    this.#wasUp.add(peer);
    this.#options.log.info({ peer, remote: connection.remote }, 'peer is up');
    this.#handler?.onUp(peer);
  }

  #tooLarge(connection: PeerConnection, bytes: number): void {
    const fields = { peer: connection.peer, bytes, bytesMax: this.#limits.frameBytesMax };
    this.#quiet.warn(
      `too large ${connection.peer}`,
      fields,
      'a message is larger than a frame may be, and was not sent',
    );
  }

  #closed(connection: PeerConnection, reason: string, blamed: Rejection | undefined): void {
    this.#strangers.delete(connection);
    void connection.closed().then(() => this.#open.delete(connection));
    const dialer = this.#dialerOf(connection);
    const { peer, remote } = connection;
    // Whom this node waited for in vain did not come to be refused.
    const rejection = dialer && blamed === 'timeout' ? undefined : blamed;
    if (rejection) this.#figures.rejected[rejection]++;
    const wasUp = peer !== undefined && this.#live.get(peer) === connection;
    if (wasUp) {
      this.#live.delete(peer);
      const fields = { peer, remote, ...(rejection ? { rejection } : {}) };
      if (rejection) this.#options.log.warn(fields, `peer is down: ${reason}`);
      else this.#options.log.info(fields, `peer is down: ${reason}`);
    } else if (rejection) {
      const expected = dialer?.peer.node;
      const party = expected ?? addressIn(remote);
      this.#quiet.warn(
        `${rejection} ${party}`,
        { rejection, remote, ...(expected ? { peer: expected } : {}) },
        `refused a peer connection: ${reason}`,
      );
    } else if (dialer && !dialer.troubles.has(reason) && !this.#isStopping) {
      dialer.troubles.add(reason);
      this.#options.log.info({ peer: dialer.peer.node, remote }, `peer cannot be reached: ${reason}`);
    }
    if (dialer) this.#retry(dialer);
    if (wasUp) this.#handler?.onDown(peer, reason);
  }

  #retry(dialer: Dialer): void {
    const { clock, random } = this.#options;
    dialer.connection = undefined;
    if (this.#isStopping) return;
    const lived = dialer.provedAtMs !== undefined && clock.monotonicMs() - dialer.provedAtMs >= this.#limits.settledMs;
    if (lived) dialer.failures = 0;
    const pauseMs = backoffMs(dialer.failures++, this.#limits.backoffMinMs, this.#limits.backoffMaxMs, random);
    dialer.cancelRetry = clock.timer(pauseMs, () => this.#dial(dialer));
  }

  #dialerOf(connection: PeerConnection): Dialer | undefined {
    return this.#dialers.find((dialer) => dialer.connection === connection);
  }
}

function newDialer(peer: TcpPeer): Dialer {
  return {
    peer,
    failures: 0,
    connection: undefined,
    provedAtMs: undefined,
    cancelRetry: undefined,
    troubles: new Set(),
  };
}

function addressIn(remote: string): string {
  return remote.slice(0, remote.lastIndexOf(':'));
}

/** One address cannot take the place of all others. `strangers` are in the order they came. */
function oldestOfMost(strangers: ReadonlySet<PeerConnection>): PeerConnection | undefined {
  const byAddress = Map.groupBy(strangers, ({ remote }) => addressIn(remote));
  let most: readonly PeerConnection[] = [];
  for (const ofOne of byAddress.values()) if (ofOne.length > most.length) most = ofOne;
  return most[0];
}

function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? error.name;
}

/** What a hello can carry. Settings are checked long before; this holds where they were not. */
function checkName(name: string): void {
  if (!/^[\x20-\x7e]{1,255}$/.test(name))
    throw new RangeError('names of clusters and nodes are 1 to 255 characters of ASCII');
}
