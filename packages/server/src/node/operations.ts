import { sequenceIn } from '@meridian/core/causality/version-vector';
import { type RecordKey, recordKey, type Sequence } from '@meridian/core/ids';
import type { LayoutNode } from '@meridian/core/placement/layout';
import type { Namespace } from '@meridian/core/placement/namespace';
import { partitionOf } from '@meridian/core/placement/partition';
import { preferenceList } from '@meridian/core/placement/preference-list';
import { STATUS, statusResult } from '@meridian/core/wire/messages';
import type { StoreFigures } from '../ports/store.ts';
import { within } from './deadline.ts';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import { round } from './rounded.ts';
import type { Health, PeerHealth, RegionStatus, RingAnswer } from './service.ts';
import type { Shipper } from './shipper.ts';

const STATUS_TIMEOUT_MS = 1_500;
/** Probes of orchestrators wait a second or two. */
const FIGURES_TIMEOUT_MS = 800;

interface Holdings {
  readonly keys: number;
  readonly bytes: number;
}

/** What operators look at: health, regions, the ring. */
export class Operations {
  readonly #state: NodeState;
  readonly #shipper: Shipper;
  readonly #version: string;
  readonly #startedAtMs: number;
  /** As last told. */
  #engine = 'unknown';

  constructor(state: NodeState, shipper: Shipper, version: string) {
    this.#state = state;
    this.#shipper = shipper;
    this.#version = version;
    this.#startedAtMs = state.clock.monotonicMs();
  }

  peersHealth(): PeerHealth[] {
    const { peers } = this.#state;
    return [...peers.all()].map((peer) => ({
      node: peer.node,
      region: peer.region,
      reachable: peers.isLive(peer),
      rttMs: peer.rttMs === undefined ? null : round(peer.rttMs),
      lagMs: this.#lagMs(peer),
    }));
  }

  /**
   * Of nodes that share a store one ships and one follows; the others know from what that store says of itself. So does the
   * one that ships, while the question to be shipped to is lost.
   */
  #lagMs(peer: Peer): number | null {
    const { store, peers } = this.#state;
    if (peers.isSibling(peer)) return 0;
    const lagMs = this.#shipper.lagMs(peer.node);
    if (lagMs !== undefined) return Math.round(lagMs);
    if (peer.storeId === undefined) return null;
    const claim = Math.max(...peers.nodesOf(peer.storeName).map(({ applied }) => sequenceIn(applied, store.id)));
    return Math.round(this.#shipper.lagOfClaimMs(claim as Sequence));
  }

  async health(isStopping: boolean, isWritable: boolean): Promise<Health> {
    const { self, store, filling, clock } = this.#state;
    const figures = await this.#figures();
    const peers = this.peersHealth();
    const isWell = figures && isWritable && filling.isFilled() && peers.every(({ reachable }) => reachable);
    return {
      status: isStopping ? 'stopping' : isWell ? 'ok' : 'degraded',
      node: self.node,
      region: self.region,
      version: this.#version,
      uptimeSeconds: Math.floor((clock.monotonicMs() - this.#startedAtMs) / 1000),
      store: {
        id: store.id,
        name: self.store,
        engine: this.#engine,
        sequence: store.sequence,
        keys: figures?.records ?? null,
        bytesUsed: figures?.bytesUsed ?? null,
        bytesFree: figures?.bytesFree ?? null,
        isFilled: filling.isFilled(),
        isWritable: isWritable && figures !== undefined,
      },
      peers,
    };
  }

  /** Nothing where the store does not answer: its database may be away. */
  async #figures(): Promise<StoreFigures | undefined> {
    const { store, clock } = this.#state;
    const figures = await within(clock, FIGURES_TIMEOUT_MS, store.figures(), tooSlow).catch(() => undefined);
    this.#engine = figures?.engine ?? this.#engine;
    return figures;
  }

  async regions(): Promise<readonly RegionStatus[]> {
    const { placement } = this.#state;
    return Promise.all(
      placement.layout.regions.map(async ({ name, latitude, longitude, nodes }) => {
        const statuses = await Promise.all(nodes.map((node) => this.#nodeStatus(node)));
        const known = oneOfEachStore(statuses.filter(({ keys }) => keys !== null));
        return {
          name,
          latitude,
          longitude,
          nodes: statuses,
          reachable: statuses.some(({ reachable }) => reachable),
          rttMs: least(statuses.map(({ rttMs }) => rttMs)),
          lagMs: most(statuses.map(({ lagMs }) => lagMs)),
          keys: known.length === 0 ? null : known.reduce((sum, { keys }) => sum + (keys ?? 0), 0),
          bytes: known.length === 0 ? null : known.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0),
        };
      }),
    );
  }

  async #nodeStatus(node: LayoutNode): Promise<RegionStatus['nodes'][number]> {
    const { self, peers } = this.#state;
    const peer = peers.get(node.name);
    const isSelf = node.name === self.node;
    const reachable = isSelf || (peer !== undefined && peers.isLive(peer));
    const held = reachable ? await this.#holdings(node).catch(() => undefined) : undefined;
    return {
      name: node.name,
      http: node.http,
      store: node.store,
      reachable,
      rttMs: isSelf ? 0 : peer?.rttMs === undefined ? null : round(peer.rttMs),
      lagMs: isSelf ? 0 : peer === undefined ? null : this.#lagMs(peer),
      keys: held?.keys ?? null,
      bytes: held?.bytes ?? null,
    };
  }

  async #holdings(node: LayoutNode): Promise<Holdings | undefined> {
    const { self, calls } = this.#state;
    if (node.name !== self.node) {
      const [keys, bytes] = await calls.call(node.name, 'status', STATUS_TIMEOUT_MS, [STATUS], statusResult);
      return { keys, bytes };
    }
    const figures = await this.#figures();
    return figures && { keys: figures.records, bytes: figures.bytesUsed };
  }

  async onStatus(): Promise<readonly number[]> {
    const { store } = this.#state;
    const figures = await store.figures();
    return [figures.records, Math.floor(figures.bytesUsed), store.sequence];
  }

  ring(namespace: Namespace, plainKey: string): RingAnswer {
    const { catalog, hashes, peers, placement, self } = this.#state;
    const key: RecordKey = recordKey(namespace.id, plainKey);
    const partition = partitionOf(hashes.text, key);
    const ordered = preferenceList(catalog.replicasIn(namespace, key), self, (region) => peers.rttMs(region));
    const preference = ordered.map(({ store, region }) => ({
      store,
      region,
      nodes: placement.nodesOf(store).map(({ name }) => name),
      reachable: store === self.store || peers.isStoreLive(store),
      why: this.#why(store, region, partition),
    }));
    return {
      key: plainKey,
      namespace: namespace.name,
      partition,
      placement: namespace.placement,
      preferenceList: preference,
    };
  }

  #why(store: string, region: string, partition: number): string {
    const { self, peers, placement } = this.#state;
    const stores = placement.storesOf(region as typeof self.region).length;
    const place =
      stores === 1
        ? `the only store of ${region}`
        : `one of ${stores} stores of ${region}, next on its ring from partition ${partition}`;
    if (store === self.store) return `${place}; this node's own store`;
    if (region === self.region) return `${place}; this node's own region`;
    const rttMs = peers.rttMs(region as typeof self.region);
    return `${place}; round trip ${rttMs >= 10_000 ? 'unknown' : `${round(rttMs)} ms`}`;
  }
}

function tooSlow(): Error {
  return new Error('the store does not answer');
}

/** Nodes that share a store tell of the same keys and bytes. */
function oneOfEachStore<Status extends { readonly store: string }>(statuses: readonly Status[]): readonly Status[] {
  return [...new Map(statuses.map((status) => [status.store, status])).values()];
}

function least(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.min(...known);
}

function most(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}
