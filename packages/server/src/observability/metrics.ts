import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client';
import type { MeridianNode } from '../node/node.ts';
import { OperationTimes } from './operation-times.ts';

type NodeFigures = ReturnType<MeridianNode['figures']>;

/** Numbers that other parts count, by the end of their metric's name. */
export type ExtraFigures = () => Readonly<Record<string, number>>;

/** The metrics of one node. What parts count anyway is read when somebody asks; only operations are measured as they end. */
export class Metrics {
  readonly #registry = new Registry();
  readonly meter = new OperationTimes();
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;

  constructor(labels: Readonly<Record<string, string>>) {
    this.#registry.setDefaultLabels(labels);
    collectDefaultMetrics({ register: this.#registry });
    for (const { name } of this.meter.families()) {
      const get = () => Promise.resolve(this.meter.families().find((family) => family.name === name));
      this.#registry.registerMetric({ name, get } as unknown as Metric);
    }
  }

  /** Reads the node's own counts whenever metrics are asked for. */
  watch(figures: () => NodeFigures, extra: ExtraFigures): void {
    const total = (name: string, help: string, read: (now: NodeFigures) => number): void =>
      this.#readCounter(name, help, () => read(figures()));
    const gauge = (name: string, help: string, read: (now: NodeFigures) => number): void =>
      this.#readGauge(name, help, () => read(figures()));
    total('reads_local_total', 'Reads answered from this store alone', (now) => now.readsLocal);
    total('reads_quorum_total', 'Reads of a majority', (now) => now.readsQuorum);
    total('read_repairs_total', 'Replicas repaired after a quorum read found them stale', (now) => now.readRepairs);
    total('writes_passed_on_total', 'Writes passed on to a replica elsewhere', (now) => now.writesPassedOn);
    total('outcomes_unknown_total', 'Writes whose outcome could not be told', (now) => now.outcomesUnknown);
    total('stores_replaced_total', 'Peers seen to come back with another store', (now) => now.storesReplaced);
    total('replication_rows_sent_total', 'Records sent to followers', (now) => now.shipping.rowsSent);
    total('replication_rows_merged_total', 'Records merged from origins', (now) => now.following.rowsMerged);
    total(
      'replication_gaps_total',
      'Batches that did not join on, and were asked for again',
      (now) => now.following.gaps,
    );
    gauge(
      'replication_in_flight_bytes',
      'Bytes sent to followers and not yet acknowledged',
      (now) => now.shipping.inFlightBytes,
    );
    gauge('replication_inbox_bytes', 'Bytes received and not yet merged', (now) => now.following.inboxBytes);
    gauge('calls_pending', 'Calls to peers that wait for an answer', (now) => now.callsPending);
    gauge('store_sequence', 'The highest durable sequence of this store', (now) => now.sequence);
    gauge('store_filled', '1 once this store holds what its place obliges it to', (now) => (now.isFilled ? 1 : 0));
    gauge('store_writable', '0 while the disk is full or failing', (now) => (now.isWritable ? 1 : 0));
    this.#peerGauge('peer_reachable', '1 while the peer is heard', figures, (peer) => (peer.reachable ? 1 : 0));
    this.#peerGauge('peer_round_trip_ms', 'Round trip to the peer', figures, (peer) => peer.rttMs);
    this.#peerGauge(
      'replication_lag_ms',
      'Age of the first change that the peer has not applied',
      figures,
      (peer) => peer.lagMs,
    );
    for (const name of Object.keys(extra()))
      this.#readGauge(name, `Counted by an adapter: ${name.replaceAll('_', ' ')}`, () => extra()[name] ?? 0);
  }

  #readCounter(name: string, help: string, read: () => number): void {
    const counter: Counter = new Counter({
      name: `meridian_${name}`,
      help,
      registers: [this.#registry],
      collect: () => {
        counter.reset();
        counter.inc(read());
      },
    });
  }

  #readGauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({
      name: `meridian_${name}`,
      help,
      registers: [this.#registry],
      collect: () => gauge.set(read()),
    });
  }

  #peerGauge(
    name: string,
    help: string,
    figures: () => NodeFigures,
    read: (peer: NodeFigures['peers'][number]) => number | null,
  ): void {
    const gauge: Gauge<'peer' | 'peer_region'> = new Gauge({
      name: `meridian_${name}`,
      help,
      labelNames: ['peer', 'peer_region'],
      registers: [this.#registry],
      collect: () => {
        gauge.reset();
        for (const peer of figures().peers) {
          const value = read(peer);
          if (value !== null) gauge.set({ peer: peer.node, peer_region: peer.region }, value);
        }
      },
    });
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  json(): Promise<unknown> {
    return this.#registry.getMetricsAsJSON();
  }
}
