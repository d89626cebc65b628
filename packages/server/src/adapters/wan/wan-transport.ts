import type { NodeName, RegionName } from '@meridian/core/ids';
import type { Message } from '@meridian/core/wire/messages';
import type { Clock } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import type { Transport, TransportHandler } from '../../ports/transport.ts';
import { WanLink } from './wan-link.ts';
import { type RttTable, WanNetwork, type WanStatus } from './wan-network.ts';

export interface WanOptions {
  /** Where this node is. */
  readonly region: RegionName;
  /** All regions of the cluster: a change may name no others. */
  readonly regions: readonly RegionName[];
  readonly regionOf: (node: NodeName) => RegionName;
  /** Round trips to begin with; pairs that are not in it have none. */
  readonly rtt: RttTable;
  readonly clock: Clock;
  readonly random: Random;
  /** On their way to one peer. */
  readonly bytesMax?: number;
}

export interface WanTransport extends Transport {
  status(): WanStatus;
  /**
   * Takes the body of `POST /admin/wan`: `{"split": [["a","b"]], "oneWay"?: true}`, `{"heal": true}`, `{"rtt": {"a|b": 120}}`,
   * `{"loss": 0.01}`, or several at once. Makes all of it or nothing; the text says what is wrong then.
   */
  apply(change: unknown): string | undefined;
}

const BYTES_MAX = 64 * 1024 * 1024;
/** The least time after which TCP sends again what was not acknowledged (RFC 6298 says a second; Linux takes 200 ms). */
const RETRANSMISSION_MS = 200;

/**
 * Puts the sea between regions that stand on one machine. Each node works on its own links:
 * - *Distance.* What this node sends waits for half a round trip. So two nodes with the same table have all of it between them.
 * - *Split.* Nothing goes either way, what is on its way is lost, and the peer is shown as down; when healed it is shown as up.
 *   A split one way says nothing to anybody: what is sent that way is lost, as on a link that is silently broken. A
 *   connection that is dropped meanwhile is shown again only once the link is healed, since none can be made over half of it.
 *   One that was kept goes down and comes up then, as TCP would have dropped and made it anew.
 * - *Loss.* TCP loses nothing: it sends again, and what came behind the lost packet waits for it. So a message that is
 *   drawn as lost, and all behind it on its link, are late by a retransmission: 200 ms and a round trip. The order stays.
 *
 * Messages within a region with no round trip of its own pass at once. What is on its way at a stop is lost.
 */
export function wanTransport(inner: Transport, options: WanOptions): WanTransport {
  return new WanNode(inner, options);
}

class WanNode implements WanTransport {
  readonly #inner: Transport;
  readonly #options: WanOptions;
  readonly #network: WanNetwork;
  readonly #links = new Map<NodeName, WanLink>();
  /** Up below; of these, those that are shown as up. */
  readonly #reached = new Set<NodeName>();
  readonly #shown = new Set<NodeName>();
  #handler: TransportHandler | undefined;

  constructor(inner: Transport, options: WanOptions) {
    this.#inner = inner;
    this.#options = options;
    this.#network = new WanNetwork(options.region, options.regions, options.rtt);
  }

  start(handler: TransportHandler): Promise<void> {
    this.#handler = handler;
    return this.#inner.start({
      onUp: (node) => {
        this.#reached.add(node);
        if (this.#isPassable(node)) this.#show(node);
      },
      onDown: (node, reason) => {
        this.#reached.delete(node);
        this.#hide(node, reason);
      },
      onMessage: (from, message) => {
        if (!this.#shown.has(from) || this.#network.isCut(this.#regionOf(from), this.#network.region)) return;
        handler.onMessage(from, message);
      },
    });
  }

  stop(): Promise<void> {
    for (const link of this.#links.values()) link.clear();
    return this.#inner.stop();
  }

  send(to: NodeName, message: Message): boolean {
    if (!this.#shown.has(to)) return false;
    const region = this.#regionOf(to);
    if (this.#network.isCut(this.#network.region, region)) return true;
    const link = this.#linkTo(to);
    const delayMs = this.#delayMs(region);
    return delayMs === 0 && link.bytes === 0 ? this.#inner.send(to, message) : link.send(message, delayMs);
  }

  isUp(node: NodeName): boolean {
    return this.#shown.has(node);
  }

  bufferedBytes(node: NodeName): number {
    return (this.#links.get(node)?.bytes ?? 0) + this.#inner.bufferedBytes(node);
  }

  status(): WanStatus {
    return this.#network.status();
  }

  apply(change: unknown): string | undefined {
    const cutBefore = new Set([...this.#shown].filter((node) => this.#isHalfCut(node)));
    const problem = this.#network.apply(change);
    if (problem !== undefined) return problem;
    for (const node of [...this.#reached]) {
      const isSplit = this.#network.isSplit(this.#regionOf(node));
      if (isSplit) this.#hide(node, 'split');
      else if (cutBefore.has(node) && !this.#isHalfCut(node)) this.#hide(node, 'the link was cut one way');
      if (this.#isPassable(node)) this.#show(node);
    }
    return undefined;
  }

  #delayMs(region: RegionName): number {
    const rttMs = this.#network.rttMs(region);
    const { loss } = this.#network;
    const isLost = loss > 0 && region !== this.#network.region && this.#options.random.uint32() / 2 ** 32 < loss;
    return rttMs / 2 + (isLost ? RETRANSMISSION_MS + rttMs : 0);
  }

  #isPassable(node: NodeName): boolean {
    return !this.#network.isSplit(this.#regionOf(node)) && !this.#isHalfCut(node);
  }

  #isHalfCut(node: NodeName): boolean {
    const region = this.#regionOf(node);
    return this.#network.isCut(this.#network.region, region) || this.#network.isCut(region, this.#network.region);
  }

  #show(node: NodeName): void {
    if (this.#shown.has(node)) return;
    this.#shown.add(node);
    this.#handler?.onUp(node);
  }

  #hide(node: NodeName, reason: string): void {
    this.#links.get(node)?.clear();
    if (this.#shown.delete(node)) this.#handler?.onDown(node, reason);
  }

  #linkTo(node: NodeName): WanLink {
    const known = this.#links.get(node);
    if (known) return known;
    const link = new WanLink(this.#options.clock, this.#options.bytesMax ?? BYTES_MAX, (message) =>
      this.#pass(node, message),
    );
    this.#links.set(node, link);
    return link;
  }

  /** Whether the message is done with. One that is refused though nothing waits below would be refused for ever, and is dropped. */
  #pass(node: NodeName, message: Message): boolean {
    return this.#inner.send(node, message) || !this.#inner.isUp(node) || this.#inner.bufferedBytes(node) === 0;
  }

  #regionOf(node: NodeName): RegionName {
    return this.#options.regionOf(node);
  }
}
