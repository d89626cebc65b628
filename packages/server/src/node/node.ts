import { dotText } from '@meridian/core/causality/dot';
import { sequenceIn } from '@meridian/core/causality/version-vector';
import type { NodeName, RegionName, Sequence, StoreId } from '@meridian/core/ids';
import { layoutFingerprint } from '@meridian/core/placement/layout';
import type { Namespace } from '@meridian/core/placement/namespace';
import { MeridianError } from '@meridian/core/wire/errors';
import * as wire from '@meridian/core/wire/messages';
import type { CancelTimer } from '../ports/clock.ts';
import type { Commit } from '../ports/store.ts';
import type { TransportHandler } from '../ports/transport.ts';
import { Calls } from './calls.ts';
import { Catalog } from './catalog.ts';
import { Coverage } from './coverage.ts';
import { Filling } from './filling.ts';
import { Following } from './following.ts';
import { Gossip } from './gossip.ts';
import { KeyValues } from './key-values.ts';
import { PING_MS, STREAM_LIMITS } from './limits.ts';
import { Listing } from './listing.ts';
import { Namespaces } from './namespaces.ts';
import { newMetrics } from './node-metrics.ts';
import type { NodeState, Self } from './node-state.ts';
import { Operations } from './operations.ts';
import type { NodeParts } from './parts.ts';
import { type Peer, Peers } from './peers.ts';
import { NO_BUGS } from './planted-bugs.ts';
import { Purge } from './purge.ts';
import { Reads } from './reads.ts';
import { Replica } from './replica.ts';
import type * as service from './service.ts';
import { Shipper } from './shipper.ts';
import { Tokens } from './tokens.ts';
import { Transfer } from './transfer.ts';
import { WriteGate } from './write-gate.ts';
import { Writes } from './writes.ts';

/** After a peer's store was replaced, how long until the others compare what they have of the lost one. */
const COMPARE_AFTER_MS = 5_000;
/** How soon again where a region could not be reached. */
const COMPARE_AGAIN_MS = 15_000;
const COMPARE_TIMEOUT_MS = 30_000;
/** How long a stopping node waits for its last writes to reach those who follow it. */
const FLUSH_MS = 1_000;

/**
 * One node: the parts wired together, and what they tell one another. `start` must have resolved before any call;
 * `stop` may be called once, with no request under way.
 */
export class MeridianNode implements service.Service {
  readonly node: NodeName;
  readonly region: RegionName;
  readonly #parts: NodeParts;
  readonly #state: NodeState;
  readonly #shipper: Shipper;
  readonly #following: Following;
  readonly #reads: Reads;
  readonly #writes: Writes;
  readonly #namespaces: Namespaces;
  readonly #keyValues: KeyValues;
  readonly #listing: Listing;
  readonly #transfer: Transfer;
  readonly #operations: Operations;
  readonly #purge: Purge;
  readonly #tokens: Tokens;
  readonly #gossip: Gossip;
  readonly #gate = new WriteGate();
  #cancelTick: CancelTimer = () => {};
  #cancelCompare: CancelTimer = () => {};
  /** Regions that this store has not compared itself with since a store was last replaced. */
  readonly #toCompare = new Set<RegionName>();
  #isStarted = false;
  #isStopping = false;

  constructor(parts: NodeParts) {
    const { node, region, storeName, placement, store, transport, clock, random, seal, hashes, log } = parts;
    const bugs = parts.plantedBugs ?? NO_BUGS;
    const limits = parts.streamLimits ?? STREAM_LIMITS;
    this.#parts = parts;
    this.node = node;
    this.region = region;
    const layoutNodes = placement.layout.regions.flatMap(({ nodes }) => nodes);
    const peers = new Peers(layoutNodes, node, clock);
    const catalog = new Catalog(placement, hashes, storeName);
    const coverage = new Coverage(store, catalog, clock, bugs);
    const replica = new Replica(store, catalog, clock, bugs);
    const filling = new Filling(store, peers, placement, layoutFingerprint(placement.layout), log);
    const calls = new Calls(transport, clock, random.uint32() * 2 ** 16, (...call) => this.#onCall(...call));
    const self: Self = { node, region, store: storeName, whoAmI: () => ({ node, region, store: store.id }) };
    const readyToWrite = this.#gate.wait;
    const metrics = newMetrics();
    this.#state = {
      self,
      placement,
      store,
      replica,
      catalog,
      coverage,
      filling,
      peers,
      calls,
      clock,
      seal,
      hashes,
      log,
      metrics,
      bugs,
      readyToWrite,
    };
    this.#shipper = new Shipper(store, transport, catalog, clock, log, limits, bugs, (seen) =>
      this.#gossip.renewIfBehind(seen, true),
    );
    this.#following = new Following(
      parts,
      { catalog, replica, calls, peers, limits, bugs, isFilled: filling.isFilled },
      this.#followingEvents(),
    );
    this.#gossip = new Gossip(this.#state, transport, this.#following, this.#gate, (peer, former) =>
      this.#onStoreReplaced(peer, former),
    );
    filling.listen(() => this.#following.inheritedClaims());
    replica.listen((sequence) => this.#gossip.renewIfBehind(sequence));
    const tokens = new Tokens(seal);
    this.#tokens = tokens;
    this.#reads = new Reads(this.#state);
    this.#writes = new Writes(this.#state, this.#reads);
    this.#namespaces = new Namespaces(this.#state, this.#reads, this.#writes, placement.layout);
    this.#keyValues = new KeyValues(this.#state, this.#namespaces, this.#reads, this.#writes, tokens, parts.meter);
    this.#listing = new Listing(this.#state, this.#keyValues, this.#reads, tokens);
    this.#transfer = new Transfer(this.#state, this.#namespaces, this.#listing);
    this.#operations = new Operations(this.#state, this.#shipper, parts.version);
    this.#purge = new Purge(store, clock, log);
  }

  async start(): Promise<void> {
    const { store, transport, clock } = this.#parts;
    const { catalog, filling } = this.#state;
    catalog.listen(
      (namespace) => this.#onPlacementChange(namespace),
      (id) => this.#isStarted && this.#purge.start(id),
    );
    await catalog.load(store);
    store.onCommit((commit) => this.#onCommit(commit));
    this.#gossip.start();
    await filling.start();
    await transport.start(this.#transportHandler());
    this.#isStarted = true;
    for (const id of catalog.dropped()) this.#purge.start(id);
    this.#cancelTick = clock.timer(PING_MS, () => this.#tick());
  }

  /** Sends on what is durable here, then lets go of the peers and the store. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#flush();
    this.#cancelTick();
    this.#cancelCompare();
    this.#gossip.stop();
    this.#state.coverage.stop();
    this.#state.calls.stop();
    this.#following.stop();
    this.#shipper.stop();
    this.#purge.stop();
    await this.#parts.transport.stop();
    await this.#parts.store.close();
  }

  async #flush(): Promise<void> {
    const { clock, transport } = this.#parts;
    const deadlineMs = clock.monotonicMs() + FLUSH_MS;
    const isLagging = (): boolean =>
      [...this.#state.peers.all()].some(
        ({ node }) =>
          transport.isUp(node) && (transport.bufferedBytes(node) > 0 || (this.#shipper.lagMs(node) ?? 0) > 0),
      );
    while (isLagging() && clock.monotonicMs() < deadlineMs) {
      await new Promise<void>((resolve) => void clock.timer(10, resolve));
    }
  }

  #followingEvents() {
    return {
      onProgress: (origin: StoreId): void => {
        const { peers, coverage, filling } = this.#state;
        for (const peer of peers.all()) if (peer.storeId === origin) peers.refresh(peer, coverage.appliedOf);
        coverage.onProgress();
        if (!filling.isFilled()) this.#inBackground('filling', filling.check());
      },
      onAheadOfSelf: (sequence: Sequence): void => this.#gossip.renewIfBehind(sequence),
    };
  }

  #onCommit(commit: Commit): void {
    this.#state.catalog.onRows(commit.rows);
    this.#shipper.onCommit(commit);
    this.#state.coverage.onProgress();
  }

  #onPlacementChange(namespace: Namespace): void {
    if (!this.#isStarted) return;
    const begun = this.#state.filling
      .begin(`the placement of ${namespace.name} was decided otherwise`)
      .then(() => this.#following.followAllAnew());
    this.#inBackground('filling', begun);
  }

  #inBackground(what: string, work: Promise<unknown>): void {
    work.catch((error: unknown) =>
      this.#parts.log.warn({ what, reason: (error as Error).message }, 'background work failed'),
    );
  }

  #transportHandler(): TransportHandler {
    return {
      onUp: (node) => {
        const peer = this.#state.peers.heard(node);
        if (peer) this.#gossip.onUp(peer);
      },
      onDown: (node, reason) => {
        const peer = this.#state.peers.get(node);
        this.#state.calls.onDown(node);
        if (peer) this.#gossip.onDown(peer, reason, this.#isStopping);
      },
      onMessage: (from, message) => {
        try {
          this.#onMessage(from, message);
        } catch (error) {
          this.#parts.log.error(
            { peer: from, kind: message[0], reason: (error as Error).message },
            'a message of a peer could not be handled',
          );
        }
      },
    };
  }

  #onMessage(from: NodeName, message: wire.Message): void {
    const peer = this.#state.peers.heard(from);
    if (!peer) return;
    switch (message[0]) {
      case wire.GREETING:
        this.#gossip.onGreeting(peer, message);
        break;
      case wire.FOLLOW:
        this.#shipper.onFollow(from, peer.storeName, message);
        break;
      case wire.CHANGES:
        this.#following.onChanges(from, message);
        break;
      case wire.APPLIED:
        this.#shipper.onApplied(from, message);
        break;
      case wire.PING:
        this.#gossip.onPing(peer, message);
        this.#shipper.onClaim(from, message[2], sequenceIn(peer.applied, this.#parts.store.id));
        break;
      case wire.PONG:
        this.#gossip.onPong(peer, message[1]);
        break;
      case wire.REQUEST:
        this.#state.calls.onRequest(from, message);
        break;
      case wire.ANSWER:
        this.#state.calls.onAnswer(from, message);
        break;
    }
  }

  /** What others have of a lost store's writes differs, and no stream brings it: they compare. */
  #onStoreReplaced(peer: Peer, former: StoreId): void {
    this.#state.metrics.storesReplaced += 1;
    const figures = { peer: peer.node, former, now: peer.storeId };
    this.#parts.log.warn(figures, 'the store of a peer was replaced; the others will compare what they have of it');
    for (const { name } of this.#parts.placement.layout.regions) this.#toCompare.add(name);
    this.#compareAfter(COMPARE_AFTER_MS);
  }

  #compareAfter(delayMs: number): void {
    this.#cancelCompare();
    if (this.#isStopping) return;
    this.#cancelCompare = this.#parts.clock.timer(delayMs, () => this.#inBackground('comparing', this.#compareAll()));
  }

  /** A region that cannot be compared with now still owes it later: it may be the one that has what others lack. */
  async #compareAll(): Promise<void> {
    const { placement } = this.#parts;
    const options = { requestId: 'compare', level: 'eventual', timeoutMs: COMPARE_TIMEOUT_MS } as const;
    for (const region of [...this.#toCompare]) {
      const others = placement.storesOf(region).filter(({ name }) => name !== this.#state.self.store);
      if (this.#isStopping || !others.every(({ name }) => this.#state.peers.isStoreLive(name))) continue;
      this.#toCompare.delete(region);
      await this.#transfer.sync(region, undefined, options).catch((error: unknown) => {
        this.#toCompare.add(region);
        this.#parts.log.warn(
          { peerRegion: region, reason: (error as Error).message },
          'comparing with a region failed',
        );
      });
    }
    if (this.#toCompare.size > 0) this.#compareAfter(COMPARE_AGAIN_MS);
  }

  #tick(): void {
    this.#cancelTick = this.#parts.clock.timer(PING_MS, () => this.#tick());
    const { filling } = this.#state;
    this.#gossip.pingAll();
    this.#shipper.onTick();
    this.#following.onTick();
    if (!filling.isFilled()) this.#inBackground('filling', filling.check());
  }

  #onCall(from: NodeName, requestId: string, timeoutMs: number, call: wire.Call): Promise<unknown> {
    if (this.#isStopping) return Promise.reject(new MeridianError('SHUTTING_DOWN', `${this.node} is stopping`));
    switch (call[0]) {
      case wire.READ:
        return this.#reads.onCall(call, timeoutMs);
      case wire.MERGE:
        return this.#onMerge(call[1]);
      case wire.WRITE:
        return this.#writes.onCall(from, call, requestId, timeoutMs);
      case wire.SCAN:
        return this.#listing.onCall(call, timeoutMs);
      case wire.STATUS:
        return this.#operations.onStatus();
      case wire.FETCH:
        return this.#transfer.onFetch(call[1]);
    }
  }

  async #onMerge(rows: wire.RowEntries): Promise<readonly unknown[]> {
    const { catalog, replica } = this.#state;
    const held = rows.filter(([key]) => catalog.isHeldHere(key));
    if (held.length < rows.length)
      throw new MeridianError(
        'REPLICA_UNAVAILABLE',
        'this node holds no replica of a key, or does not know its namespace yet',
      );
    const { changed } = await replica.merge(held.map(([key, bytes]) => ({ key, bytes })));
    return [this.#parts.store.id, changed.length, changed.filter(({ isConflict }) => isConflict).length];
  }

  get(namespace: string, key: string, options: service.RequestOptions): Promise<service.ReadAnswer> {
    return this.#keyValues.get(namespace, key, options);
  }

  put(
    namespace: string,
    key: string,
    value: service.PutValue,
    context: string | undefined,
    options: service.RequestOptions,
  ): Promise<service.WriteAnswer> {
    return this.#keyValues.put(namespace, key, value, context, options);
  }

  create(
    namespace: string,
    key: string,
    value: service.PutValue,
    options: service.RequestOptions,
  ): Promise<service.WriteAnswer> {
    return this.#keyValues.create(namespace, key, value, options);
  }

  delete(
    namespace: string,
    key: string,
    context: string | undefined,
    options: service.RequestOptions,
  ): Promise<service.WriteAnswer> {
    return this.#keyValues.delete(namespace, key, context, options);
  }

  async list(namespace: string, range: service.KeyRange, options: service.RequestOptions): Promise<service.ListAnswer> {
    return this.#listing.list(await this.#namespaces.find(namespace, options), range, options);
  }

  joinSessions(tokens: readonly string[]): string {
    return this.#tokens.joinSessions(tokens);
  }

  namespaces(): readonly Namespace[] {
    return this.#state.catalog.all();
  }

  namespace(name: string, options: service.RequestOptions): Promise<Namespace> {
    return this.#namespaces.find(name, options);
  }

  putNamespace(
    name: string,
    change: service.NamespaceChange,
    options: service.RequestOptions,
  ): Promise<{ namespace: Namespace; isNew: boolean }> {
    return this.#namespaces.put(name, change, options);
  }

  dropNamespace(name: string, options: service.RequestOptions): Promise<void> {
    return this.#namespaces.drop(name, options);
  }

  async ledger(
    namespace: string,
    key: string,
    options: service.RequestOptions,
  ): Promise<readonly service.LedgerItem[]> {
    const entries = await this.#namespaces.ledger(await this.#namespaces.find(namespace, options), key, options);
    return entries.map(({ sibling, hiddenAtMs }) => ({
      id: dotText(sibling.dot),
      key,
      value: this.#keyValues.seenValue(sibling),
      hiddenAtMs,
    }));
  }

  async restore(
    namespaceName: string,
    key: string,
    id: string,
    options: service.RequestOptions,
  ): Promise<service.WriteAnswer> {
    const namespace = await this.#namespaces.find(namespaceName, options);
    const { sibling } = await this.#namespaces.ledgerEntry(namespace, key, id, options);
    const value = { body: sibling.body ?? new Uint8Array(0), contentType: sibling.contentType };
    return this.#keyValues.put(namespaceName, key, value, undefined, options);
  }

  replicate(
    records: readonly service.PortableRecord[],
    options: service.RequestOptions,
  ): Promise<service.ReplicateAnswer> {
    return this.#transfer.replicate(records, options);
  }

  sync(
    region: string | undefined,
    namespace: string | undefined,
    options: service.RequestOptions,
  ): Promise<service.SyncAnswer> {
    return this.#transfer.sync(region, namespace, options);
  }

  changes(since: number, limit: number, namespace: string | undefined): Promise<service.ChangesAnswer> {
    return this.#transfer.changes(since, limit, namespace);
  }

  health(): Promise<service.Health> {
    return this.#operations.health(this.#isStopping, this.#state.replica.isWritable);
  }

  isReady(): boolean {
    return this.#isStarted && !this.#isStopping && this.#gate.isReady;
  }

  regions(): Promise<readonly service.RegionStatus[]> {
    return this.#operations.regions();
  }

  async ring(namespace: string, key: string): Promise<service.RingAnswer> {
    const options = { requestId: 'ring', level: 'eventual', timeoutMs: COMPARE_AFTER_MS } as const;
    return this.#operations.ring(await this.#namespaces.find(namespace, options), key);
  }

  /** For observability and the simulator: what the parts count. */
  figures() {
    return {
      ...this.#state.metrics,
      shipping: this.#shipper.figures(),
      following: this.#following.figures(),
      callsPending: this.#state.calls.pendingCount,
      stalenessMs: this.#reads.stalenessMs(),
      peers: this.#operations.peersHealth(),
      sequence: this.#parts.store.sequence,
      isFilled: this.#state.filling.isFilled(),
      isWritable: this.#state.replica.isWritable,
    };
  }
}
