import type { Sequence, StoreId } from '@meridian/core/ids';
import { layoutFingerprint } from '@meridian/core/placement/layout';
import { inBackground } from './background.ts';
import { Calls } from './calls.ts';
import { Catalog } from './catalog.ts';
import { Comparing } from './comparing.ts';
import { Coverage } from './coverage.ts';
import { Filling } from './filling.ts';
import { Following, type FollowingEvents } from './following.ts';
import { Gossip } from './gossip.ts';
import { Intake } from './intake.ts';
import { KeyValues } from './key-values.ts';
import type { Lifecycle } from './lifecycle.ts';
import { STREAM_LIMITS } from './limits.ts';
import { Links } from './links.ts';
import { Listing } from './listing.ts';
import { Namespaces } from './namespaces.ts';
import { newMetrics } from './node-metrics.ts';
import type { NodeState, Self } from './node-state.ts';
import { Operations } from './operations.ts';
import type { NodeParts } from './parts.ts';
import { PeerCalls } from './peer-calls.ts';
import { PeerMessages } from './peer-messages.ts';
import { Peers } from './peers.ts';
import { NO_BUGS } from './planted-bugs.ts';
import { Purge } from './purge.ts';
import { Reads } from './reads.ts';
import { Acceptors } from './registers/acceptors.ts';
import { ChosenMarks } from './registers/chosen-marks.ts';
import { ChosenNews } from './registers/chosen-news.ts';
import { KnownStores } from './registers/known-stores.ts';
import { RegisterRequests } from './registers/register-requests.ts';
import { Registers } from './registers/registers.ts';
import { RelaxedReads } from './registers/relaxed-reads.ts';
import { Settling } from './registers/settling.ts';
import { Replica } from './replica.ts';
import type { ServiceParts } from './service-facade.ts';
import { Shipper } from './shipper.ts';
import { Siblings } from './siblings.ts';
import { StrongKeyValues } from './strong-key-values.ts';
import { Sync } from './sync.ts';
import { Tokens } from './tokens.ts';
import { WriteGate } from './write-gate.ts';
import { Writes } from './writes.ts';

/** All parts of a node. */
export interface Wiring extends ServiceParts {
  readonly shipper: Shipper;
  readonly following: Following;
  readonly siblings: Siblings;
  readonly comparing: Comparing;
  readonly purge: Purge;
  readonly marks: ChosenMarks;
  readonly news: ChosenNews;
  readonly settling: Settling;
  readonly peerMessages: PeerMessages;
}

/**
 * Builds the parts of a node and tells each whom it has to tell of what. None of them does anything before
 * `MeridianNode.start`; only then may what they tell one another arrive, so a part may name one that is built after it.
 */
export function wireNode(parts: NodeParts): Wiring {
  const { placement, store, transport, clock, seal, log } = parts;
  const lifecycle: Lifecycle = { isStarted: false, isStopping: false };
  const gate = new WriteGate();
  const calls = new Calls(
    transport,
    clock,
    parts.random.uint32() * 2 ** 16,
    (...call) => peerCalls.onCall(...call),
    parts.plantedBugs,
  );
  const state = stateOf(parts, calls, gate);
  const { catalog, replica, filling, peers, bugs } = state;
  const limits = parts.streamLimits ?? STREAM_LIMITS;
  const known = new KnownStores(store, peers);
  const shipper = new Shipper(
    store,
    transport,
    catalog,
    clock,
    log,
    limits,
    bugs,
    (seen, isSurelyBehind) => gossip.renewIfBehind(seen, isSurelyBehind),
    (id) => known.learn(id),
  );
  const links = new Links(state);
  const siblings = new Siblings(state, transport);
  const following = new Following(
    parts,
    { catalog, replica, calls, peers, limits, bugs, isFilled: filling.isFilled, links },
    followingEvents(state, (sequence) => gossip.renewIfBehind(sequence)),
  );
  const gossip = new Gossip(state, transport, following, gate, (peer, former) =>
    comparing.onStoreReplaced(peer, former),
  );
  filling.listen(() => following.inheritedClaims());
  replica.listen((sequence) => gossip.renewIfBehind(sequence));
  const tokens = new Tokens(seal);
  const reads = new Reads(state, (key, bytes) => marks.knownBytes(key, bytes));
  const writes = new Writes(state, reads);
  const acceptors = new Acceptors(state, known, (key, register) => marks.known(key, register));
  const marks = new ChosenMarks(
    acceptors,
    clock,
    log,
    (key, ballot) => settling.forget(key, ballot),
    (key, ballot) => settling.note(key, ballot),
  );
  const news = new ChosenNews(state, transport, marks);
  const registers = new Registers(state, acceptors, known, news, parts.random);
  const settling = new Settling(state, registers, parts.random, () => marks);
  const registerRequests = new RegisterRequests(state, registers);
  const relaxedReads = new RelaxedReads(state, reads, marks, settling);
  const strong = new StrongKeyValues(state, registerRequests, relaxedReads, tokens);
  const namespaces = new Namespaces(state, reads, registers, placement.layout);
  const keyValues = new KeyValues(state, namespaces, reads, writes, strong, tokens, parts.meter);
  const listing = new Listing(state, keyValues, marks, tokens);
  const intake = new Intake(state, namespaces);
  const sync = new Sync(state, namespaces, listing);
  const comparing = new Comparing(state, sync);
  const operations = new Operations(state, shipper, parts.version);
  const purge = new Purge(store, clock, log);
  const peerCalls = new PeerCalls(
    state,
    { reads, writes, listing, operations, acceptors, registerRequests, namespaces, siblings },
    lifecycle,
  );
  const peerMessages = new PeerMessages(state, { gossip, shipper, following, news, siblings }, lifecycle);
  return {
    state,
    lifecycle,
    gate,
    tokens,
    namespaces,
    keyValues,
    listing,
    intake,
    sync,
    operations,
    shipper,
    following,
    gossip,
    siblings,
    comparing,
    purge,
    marks,
    news,
    settling,
    peerMessages,
  };
}

function stateOf(parts: NodeParts, calls: Calls, gate: WriteGate): NodeState {
  const { node, region, storeName, placement, store, clock, seal, hashes, log } = parts;
  const bugs = parts.plantedBugs ?? NO_BUGS;
  const layoutNodes = placement.layout.regions.flatMap(({ nodes }) => nodes);
  const peers = new Peers(layoutNodes, node, clock);
  const catalog = new Catalog(placement, hashes, storeName);
  const self: Self = { node, region, store: storeName, whoAmI: () => ({ node, region, store: store.id }) };
  return {
    self,
    placement,
    store,
    replica: new Replica(store, catalog, clock, bugs),
    catalog,
    coverage: new Coverage(store, catalog, peers, clock, bugs),
    filling: new Filling(
      store,
      peers,
      placement,
      layoutFingerprint(placement.layout),
      () => catalog.replicaCounts(),
      log,
      parts.random,
    ),
    peers,
    calls,
    clock,
    seal,
    hashes,
    log,
    metrics: newMetrics(),
    bugs,
    readyToWrite: gate.wait,
  };
}

function followingEvents(
  { peers, coverage, filling, log }: NodeState,
  onAheadOfSelf: (sequence: Sequence) => void,
): FollowingEvents {
  return {
    onProgress(origin: StoreId): void {
      for (const peer of peers.all()) if (peer.storeId === origin) peers.refresh(peer, coverage.appliedOf);
      coverage.onProgress();
      if (!filling.isFilled()) inBackground(log, 'filling', filling.check());
    },
    onAheadOfSelf,
  };
}
