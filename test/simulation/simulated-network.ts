import type { NodeName } from '@meridian/core/ids';
import { checkMessage, type Message } from '@meridian/core/wire/messages';
import type { Transport, TransportHandler } from '@meridian/server/ports/transport';
import type { SeededRandom } from './seeded-random.ts';
import type { Trace } from './trace.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What the network does to messages. All zero is a good network. */
export interface Weather {
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
  readonly jitterMs: number;
}

export const CALM: Weather = { loss: 0, duplication: 0, reordering: 0, jitterMs: 1 };

const RECONNECT_MS_MAX = 800;
/** How long a connection may stay up while the network between its ends is cut, until one of them notices. */
const NOTICE_MS_MAX = 4_000;

class Link {
  isUp = false;
  lastArrivalMs = 0;
  bufferedBytes = 0;
}

/** The network of a simulated cluster: links with delays between processes that come and go. */
export class SimulatedNetwork {
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #trace: Trace;
  readonly #delayMs: (from: NodeName, to: NodeName) => number;
  readonly #endpoints = new Map<NodeName, SimulatedTransport>();
  readonly #links = new Map<string, Link>();
  readonly #cut = new Set<string>();
  weather: Weather = CALM;
  /** Messages that are lost whatever the weather is. */
  isLost: (from: NodeName, to: NodeName, message: Message) => boolean = () => false;
  /** Sees every message that leaves a node, whether or not it arrives. */
  inspect: (from: NodeName, to: NodeName, message: Message) => void = () => undefined;
  delivered = 0;

  constructor(
    time: VirtualTime,
    random: SeededRandom,
    trace: Trace,
    delayMs: (from: NodeName, to: NodeName) => number,
  ) {
    this.#time = time;
    this.#random = random;
    this.#trace = trace;
    this.#delayMs = delayMs;
  }

  /** `whenAwake` runs what the network brings to the process, which may be stopped. */
  transport(node: NodeName, whenAwake?: (fire: () => void) => void): SimulatedTransport {
    return new SimulatedTransport(this, node, whenAwake);
  }

  link(from: NodeName, to: NodeName): Link {
    const name = `${from}>${to}`;
    let link = this.#links.get(name);
    if (!link) {
      link = new Link();
      this.#links.set(name, link);
    }
    return link;
  }

  attach(transport: SimulatedTransport): void {
    this.#endpoints.set(transport.node, transport);
    for (const other of this.#endpoints.keys()) if (other !== transport.node) this.#connectSoon(transport.node, other);
  }

  detach(transport: SimulatedTransport, reason: string): void {
    if (this.#endpoints.get(transport.node) !== transport) return;
    this.#endpoints.delete(transport.node);
    for (const other of this.#endpoints.keys()) this.#disconnect(transport.node, other, reason);
  }

  /** Cuts what `from` sends to `to`. Both directions make a split; one makes a one-way split. */
  cut(from: NodeName, to: NodeName): void {
    this.#cut.add(`${from}>${to}`);
    this.#time.at(this.#random.between(0, NOTICE_MS_MAX), () => {
      if (this.#cut.has(`${from}>${to}`)) this.#disconnect(from, to, 'no answer');
    });
  }

  heal(): void {
    this.#cut.clear();
    const nodes = [...this.#endpoints.keys()];
    for (const from of nodes) for (const to of nodes) if (from < to) this.#connectSoon(from, to);
  }

  /** Both ways. */
  mend(one: NodeName, other: NodeName): void {
    this.#cut.delete(`${one}>${other}`);
    this.#cut.delete(`${other}>${one}`);
    this.#connectSoon(one, other);
  }

  #isCut(from: NodeName, to: NodeName): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  #connectSoon(left: NodeName, right: NodeName): void {
    this.#time.at(this.#random.between(1, RECONNECT_MS_MAX), () => this.#connect(left, right));
  }

  #connect(left: NodeName, right: NodeName): void {
    const a = this.#endpoints.get(left);
    const b = this.#endpoints.get(right);
    if (!a || !b || this.link(left, right).isUp) return;
    if (this.#isCut(left, right) || this.#isCut(right, left)) return;
    this.#links.set(`${left}>${right}`, new Link());
    this.#links.set(`${right}>${left}`, new Link());
    this.link(left, right).isUp = true;
    this.link(right, left).isUp = true;
    this.#trace.add(`${this.#time.nowMs} up ${left} ${right}`);
    a.take((handler) => handler.onUp(right));
    b.take((handler) => handler.onUp(left));
  }

  #disconnect(left: NodeName, right: NodeName, reason: string): void {
    if (!this.link(left, right).isUp) return;
    this.link(left, right).isUp = false;
    this.link(right, left).isUp = false;
    this.#trace.add(`${this.#time.nowMs} down ${left} ${right}`);
    this.#endpoints.get(left)?.take((handler) => handler.onDown(right, reason));
    this.#endpoints.get(right)?.take((handler) => handler.onDown(left, reason));
    this.#connectSoon(left, right);
  }

  /** Connections break now and then, with whatever is under way. */
  breakConnection(left: NodeName, right: NodeName): void {
    this.#disconnect(left, right, 'reset');
  }

  send(from: NodeName, to: NodeName, message: Message): boolean {
    const link = this.link(from, to);
    if (!link.isUp) return false;
    this.inspect(from, to, message);
    const { loss, duplication } = this.weather;
    if (this.#isCut(from, to) || this.isLost(from, to, message) || this.#random.chance(loss)) return true;
    this.#deliverLater(link, from, to, message);
    if (this.#random.chance(duplication)) this.#deliverLater(link, from, to, message);
    return true;
  }

  #deliverLater(link: Link, from: NodeName, to: NodeName, message: Message): void {
    const { reordering, jitterMs } = this.weather;
    let atMs = this.#time.nowMs + this.#delayMs(from, to) + this.#random.between(0, jitterMs);
    if (this.#random.chance(reordering)) atMs += this.#random.between(0, 20 * jitterMs);
    else atMs = Math.max(atMs, link.lastArrivalMs);
    link.lastArrivalMs = Math.max(atMs, link.lastArrivalMs);
    this.#time.at(atMs - this.#time.nowMs, () => {
      // A connection that went down takes what was under way with it.
      if (this.link(from, to) !== link || !link.isUp || this.#isCut(from, to)) return;
      this.delivered += 1;
      this.#trace.add(`${this.#time.nowMs} ${from}>${to} ${message[0]} ${String(message[1])}`);
      this.#endpoints.get(to)?.take((handler) => handler.onMessage(from, checkMessage(message)));
    });
  }
}

/** One process's end of the network. */
export class SimulatedTransport implements Transport {
  readonly node: NodeName;
  readonly #network: SimulatedNetwork;
  readonly #whenAwake: (fire: () => void) => void;
  handler: TransportHandler | undefined;

  constructor(network: SimulatedNetwork, node: NodeName, whenAwake: (fire: () => void) => void = (fire) => fire()) {
    this.#network = network;
    this.node = node;
    this.#whenAwake = whenAwake;
  }

  /** What the network brings. */
  take(deliver: (handler: TransportHandler) => void): void {
    this.#whenAwake(() => {
      if (this.handler) deliver(this.handler);
    });
  }

  start(handler: TransportHandler): Promise<void> {
    this.handler = handler;
    this.#network.attach(this);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.kill('stopped');
    return Promise.resolve();
  }

  kill(reason: string): void {
    this.handler = undefined;
    this.#network.detach(this, reason);
  }

  send(to: NodeName, message: Message): boolean {
    return this.handler !== undefined && this.#network.send(this.node, to, message);
  }

  isUp(node: NodeName): boolean {
    return this.#network.link(this.node, node).isUp;
  }

  bufferedBytes(): number {
    return 0;
  }
}
