import type { NodeName, RegionName, Sequence, StoreId } from '@meridian/core/ids';
import { layoutFingerprint } from '@meridian/core/placement/layout';
import type { Namespace } from '@meridian/core/placement/namespace';
import { MeridianError } from '@meridian/core/wire/errors';
import * as wire from '@meridian/core/wire/messages';
import { vectorEntries } from '@meridian/core/wire/vector-entries';
import { sequenceIn } from '@meridian/core/causality/version-vector';
import { dotText } from '@meridian/core/causality/dot';
import type { CancelTimer } from '../ports/clock.ts';
import type { Commit } from '../ports/store.ts';
import type { TransportHandler } from '../ports/transport.ts';
import { Calls } from './calls.ts';
import { Catalog } from './catalog.ts';
import { Coverage } from './coverage.ts';
import { Filling } from './filling.ts';
import { Following } from './following.ts';
import { KeyValues } from './key-values.ts';
import { FIRST_GREETING_MS, PING_MS, STREAM_LIMITS } from './limits.ts';
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
import { Writes } from './writes.ts';

/** After a peer's store was replaced, how long until the others compare what they have of the lost one. */
const COMPARE_AFTER_MS = 5_000;
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
  readonly #pingsSent = new Map<NodeName, { count: number; atMs: number }>();
  #cancelTick: CancelTimer = () => {};
  #writeGate: Promise<void> | undefined;
  #openWriteGate: () => void = () => {};
  #isStarted = false;
  #isStopping = false;
  #isRenewing = false;

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
    const readyToWrite = (): Promise<void> | undefined => this.#writeGate;
    const metrics = newMetrics();
    this.#state = { self, placement, store, replica, catalog, coverage, filling, peers, calls, clock, seal, hashes, log, metrics, bugs, readyToWrite };
    this.#shipper = new Shipper(store, transport, catalog, clock, log, limits, bugs);
    this.#following = new Following(parts, { catalog, replica, calls, peers, limits, bugs, isFilled: filling.isFilled }, this.#followingEvents());
    filling.listen(() => this.#following.inheritedClaims());
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
    this.#holdWrites();
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
      [...this.#state.peers.all()].some(({ node }) => transport.isUp(node) && (transport.bufferedBytes(node) > 0 || (this.#shipper.lagMs(node) ?? 0) > 0));
    while (isLagging() && clock.monotonicMs() < deadlineMs) {
      await new Promise<void>((resolve) => void clock.timer(10, resolve));
    }
  }

  /** A restarted store may be older than what its peers have of it. It asks those it can reach before it takes a write. */
  #holdWrites(): void {
    const { store, clock } = this.#parts;
    if (store.isNew || [...this.#state.peers.all()].length === 0) return;
    this.#writeGate = new Promise((resolve) => {
      this.#openWriteGate = () => {
        this.#writeGate = undefined;
        resolve();
      };
    });
    clock.timer(FIRST_GREETING_MS, () => this.#openGateUnlessRenewing());
  }

  #openGateUnlessRenewing(): void {
    if (!this.#isRenewing) this.#openWriteGate();
  }

  #followingEvents() {
    return {
      onProgress: (origin: StoreId): void => {
        const { peers, coverage, filling } = this.#state;
        for (const peer of peers.all()) if (peer.storeId === origin) peers.refresh(peer, coverage.appliedOf);
        coverage.onProgress();
        if (!filling.isFilled()) this.#inBackground('filling', filling.check());
      },
      onAheadOfSelf: (sequence: Sequence): void => this.#renew(sequence),
    };
  }

  #onCommit(commit: Commit): void {
    this.#state.catalog.onRows(commit.rows);
    this.#shipper.onCommit(commit);
    this.#state.coverage.onProgress();
  }

  #onPlacementChange(namespace: Namespace): void {
    if (!this.#isStarted) return;
    const begun = this.#state.filling.begin(`the placement of ${namespace.name} was decided otherwise`).then(() => this.#following.followAllAnew());
    this.#inBackground('filling', begun);
  }

  #inBackground(what: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#parts.log.warn({ what, reason: (error as Error).message }, 'background work failed'));
  }

  #transportHandler(): TransportHandler {
    return {
      onUp: (node) => this.#onUp(node),
      onDown: (node, reason) => this.#onDown(node, reason),
      onMessage: (from, message) => this.#onMessage(from, message),
    };
  }

  #onUp(node: NodeName): void {
    const peer = this.#state.peers.heard(node);
    if (!peer) return;
    peer.isUp = true;
    this.#parts.log.info({ peer: node, region: peer.region }, 'peer connected');
    this.#greet(peer);
  }

  #onDown(node: NodeName, reason: string): void {
    const peer = this.#state.peers.get(node);
    if (!peer) return;
    peer.isUp = false;
    this.#state.calls.onDown(node);
    if (!this.#isStopping) this.#parts.log.warn({ peer: node, region: peer.region, reason }, 'peer disconnected');
  }

  #greet(peer: Peer): void {
    const { store } = this.#parts;
    const { self, filling, coverage } = this.#state;
    this.#parts.transport.send(peer.node, [wire.GREETING, self.store, store.id, store.sequence, filling.isFilled(), vectorEntries(coverage.claims())]);
  }

  #onMessage(from: NodeName, message: wire.Message): void {
    const peer = this.#state.peers.heard(from);
    if (!peer) return;
    switch (message[0]) {
      case wire.GREETING:
        return this.#onGreeting(peer, message);
      case wire.FOLLOW:
        return this.#shipper.onFollow(from, peer.storeName, message);
      case wire.CHANGES:
        return this.#following.onChanges(from, message);
      case wire.APPLIED:
        return this.#shipper.onApplied(from, message);
      case wire.PING:
        return this.#onPing(peer, message);
      case wire.PONG:
        return this.#onPong(peer, message[1]);
      case wire.REQUEST:
        return this.#state.calls.onRequest(from, message);
      case wire.ANSWER:
        return this.#state.calls.onAnswer(from, message);
    }
  }

  #onGreeting(peer: Peer, greeting: wire.Greeting): void {
    const { log, clock } = this.#parts;
    if (greeting[1] !== peer.storeName) {
      log.error({ peer: peer.node, theirs: greeting[1], ours: peer.storeName }, 'a peer stands on another store than in this layout');
      return;
    }
    const former = this.#state.peers.greeted(peer, greeting);
    this.#compareWithSelf(peer);
    this.#following.follow(peer);
    if (former !== undefined) {
      this.#state.metrics.storesReplaced += 1;
      log.warn({ peer: peer.node, former, now: peer.storeId }, 'the store of a peer was replaced; the others will compare what they have of it');
      clock.timer(COMPARE_AFTER_MS, () => this.#compareAll());
    }
    if ([...this.#state.peers.all()].every(({ storeId }) => storeId !== undefined)) this.#openGateUnlessRenewing();
  }

  #compareAll(): void {
    if (this.#isStopping) return;
    const options = { requestId: 'compare', level: 'eventual', timeoutMs: COMPARE_TIMEOUT_MS } as const;
    this.#inBackground('comparing with all regions', this.#transfer.sync(undefined, undefined, options));
  }

  /** Whether a peer has seen writes of this store that this store does not have. */
  #compareWithSelf(peer: Peer): void {
    const seenOfSelf = sequenceIn(peer.applied, this.#parts.store.id);
    if (seenOfSelf > this.#parts.store.sequence) this.#renew(seenOfSelf);
  }

  #renew(seen: Sequence): void {
    const { store, log } = this.#parts;
    if (this.#isRenewing || seen <= store.sequence) return;
    this.#isRenewing = true;
    const former = store.id;
    log.warn({ store: former, sequence: store.sequence, seen }, 'peers have seen more of this store than it holds itself: it takes a new id');
    const renewed = this.#renewId().finally(() => {
      this.#isRenewing = false;
      this.#openWriteGate();
    });
    this.#inBackground('taking a new store id', renewed);
  }

  async #renewId(): Promise<void> {
    this.#writeGate ??= new Promise((resolve) => {
      this.#openWriteGate = () => {
        this.#writeGate = undefined;
        resolve();
      };
    });
    await this.#parts.store.renewId();
    await this.#state.filling.begin('its disk is older than what its peers have seen of it');
    for (const peer of this.#state.peers.all()) if (peer.isUp) this.#greet(peer);
    this.#following.followAllAnew();
  }

  #tick(): void {
    this.#cancelTick = this.#parts.clock.timer(PING_MS, () => this.#tick());
    const { peers, filling } = this.#state;
    for (const peer of peers.all()) if (peer.isUp) this.#ping(peer);
    this.#shipper.onTick();
    this.#following.onTick();
    if (!filling.isFilled()) this.#inBackground('filling', filling.check());
  }

  #ping(peer: Peer): void {
    const { store, transport, clock } = this.#parts;
    const { filling, coverage } = this.#state;
    const count = (this.#pingsSent.get(peer.node)?.count ?? 0) + 1;
    this.#pingsSent.set(peer.node, { count, atMs: clock.monotonicMs() });
    transport.send(peer.node, [wire.PING, count, store.id, store.sequence, filling.isFilled(), vectorEntries(coverage.claims())]);
  }

  #onPing(peer: Peer, ping: wire.Ping): void {
    this.#parts.transport.send(peer.node, [wire.PONG, ping[1]]);
    // Its greeting was lost, as any message can be: a ping tells the same.
    if (peer.storeId !== ping[2]) return this.#onGreeting(peer, [wire.GREETING, peer.storeName, ping[2], ping[3], ping[4], ping[5]]);
    this.#state.peers.pinged(peer, ping);
    this.#compareWithSelf(peer);
    this.#state.peers.refresh(peer, this.#state.coverage.appliedOf);
  }

  #onPong(peer: Peer, count: number): void {
    const sent = this.#pingsSent.get(peer.node);
    if (sent?.count === count) this.#state.peers.measured(peer, this.#parts.clock.monotonicMs() - sent.atMs);
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
    if (held.length < rows.length) throw new MeridianError('REPLICA_UNAVAILABLE', 'this node holds no replica of a key, or does not know its namespace yet');
    const { changed, aheadOfSelf } = await replica.merge(held.map(([key, bytes]) => ({ key, bytes })));
    if (aheadOfSelf !== undefined) this.#renew(aheadOfSelf);
    return [this.#parts.store.id, changed.length, changed.filter(({ isConflict }) => isConflict).length];
  }

  get(namespace: string, key: string, options: service.RequestOptions): Promise<service.ReadAnswer> {
    return this.#keyValues.get(namespace, key, options);
  }

  put(namespace: string, key: string, value: service.PutValue, context: string | undefined, options: service.RequestOptions): Promise<service.WriteAnswer> {
    return this.#keyValues.put(namespace, key, value, context, options);
  }

  create(namespace: string, key: string, value: service.PutValue, options: service.RequestOptions): Promise<service.WriteAnswer> {
    return this.#keyValues.create(namespace, key, value, options);
  }

  delete(namespace: string, key: string, context: string | undefined, options: service.RequestOptions): Promise<service.WriteAnswer> {
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

  putNamespace(name: string, change: service.NamespaceChange, options: service.RequestOptions): Promise<{ namespace: Namespace; isNew: boolean }> {
    return this.#namespaces.put(name, change, options);
  }

  dropNamespace(name: string, options: service.RequestOptions): Promise<void> {
    return this.#namespaces.drop(name, options);
  }

  async ledger(namespace: string, key: string, options: service.RequestOptions): Promise<readonly service.LedgerItem[]> {
    const entries = await this.#namespaces.ledger(await this.#namespaces.find(namespace, options), key, options);
    return entries.map(({ sibling, hiddenAtMs }) => ({ id: dotText(sibling.dot), key, value: this.#keyValues.seenValue(sibling), hiddenAtMs }));
  }

  async restore(namespaceName: string, key: string, id: string, options: service.RequestOptions): Promise<service.WriteAnswer> {
    const namespace = await this.#namespaces.find(namespaceName, options);
    const { sibling } = await this.#namespaces.ledgerEntry(namespace, key, id, options);
    const value = { body: sibling.body ?? new Uint8Array(0), contentType: sibling.contentType };
    return this.#keyValues.put(namespaceName, key, value, undefined, options);
  }

  replicate(records: readonly service.PortableRecord[], options: service.RequestOptions): Promise<service.ReplicateAnswer> {
    return this.#transfer.replicate(records, options);
  }

  sync(region: string | undefined, namespace: string | undefined, options: service.RequestOptions): Promise<service.SyncAnswer> {
    return this.#transfer.sync(region, namespace, options);
  }

  changes(since: number, limit: number, namespace: string | undefined): Promise<service.ChangesAnswer> {
    return this.#transfer.changes(since, limit, namespace);
  }

  health(): Promise<service.Health> {
    return this.#operations.health(this.#isStopping, this.#state.replica.isWritable);
  }

  isReady(): boolean {
    return this.#isStarted && !this.#isStopping && this.#writeGate === undefined;
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
