import { dotText } from '@meridian/core/causality/dot';
import type { NodeName, RegionName } from '@meridian/core/ids';
import type { Namespace } from '@meridian/core/placement/namespace';
import type { Clock } from '../ports/clock.ts';
import { changesAfter } from './change-feed.ts';
import type { Gossip } from './gossip.ts';
import type { Intake } from './intake.ts';
import type { KeyValues } from './key-values.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Listing } from './listing.ts';
import type { Namespaces } from './namespaces.ts';
import type { NodeState } from './node-state.ts';
import type { Operations } from './operations.ts';
import type * as service from './service.ts';
import type { Sync } from './sync.ts';
import type { Tokens } from './tokens.ts';
import type { WriteGate } from './write-gate.ts';

/** How long the placement of a key waits for a namespace that this node does not know yet. */
const RING_TIMEOUT_MS = 5_000;

/** What a front end's requests are answered with. */
export interface ServiceParts {
  readonly state: NodeState;
  readonly lifecycle: Lifecycle;
  readonly gate: WriteGate;
  readonly gossip: Gossip;
  readonly tokens: Tokens;
  readonly namespaces: Namespaces;
  readonly keyValues: KeyValues;
  readonly listing: Listing;
  readonly intake: Intake;
  readonly sync: Sync;
  readonly operations: Operations;
}

/** The service as front ends see it: each request goes to the part that has its path. */
export class ServiceFacade implements service.Service {
  readonly node: NodeName;
  readonly region: RegionName;
  readonly #parts: ServiceParts;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    this.node = parts.state.self.node;
    this.region = parts.state.self.region;
  }

  get(
    namespace: string,
    key: string,
    options: service.RequestOptions,
  ): service.ReadAnswer | Promise<service.ReadAnswer> {
    return this.#parts.keyValues.get(namespace, key, options);
  }

  put(
    namespace: string,
    key: string,
    value: service.PutValue,
    context: string | undefined,
    options: service.RequestOptions,
  ): Promise<service.WriteAnswer> {
    return this.#parts.keyValues.put(namespace, key, value, context, options);
  }

  create(
    namespace: string,
    key: string,
    value: service.PutValue,
    options: service.RequestOptions,
  ): Promise<service.WriteAnswer> {
    return this.#parts.keyValues.create(namespace, key, value, options);
  }

  delete(
    namespace: string,
    key: string,
    context: string | undefined,
    options: service.RequestOptions,
  ): Promise<service.WriteAnswer> {
    return this.#parts.keyValues.delete(namespace, key, context, options);
  }

  async list(namespace: string, range: service.KeyRange, options: service.RequestOptions): Promise<service.ListAnswer> {
    return this.#parts.listing.list(await this.#parts.namespaces.find(namespace, options), range, options);
  }

  joinSessions(tokens: readonly string[]): string {
    return this.#parts.tokens.joinSessions(tokens);
  }

  namespaces(): readonly Namespace[] {
    return this.#parts.state.catalog.all();
  }

  namespace(name: string, options: service.RequestOptions): Promise<Namespace> {
    return this.#parts.namespaces.find(name, options);
  }

  putNamespace(
    name: string,
    change: service.NamespaceChange,
    options: service.RequestOptions,
  ): Promise<{ namespace: Namespace; isNew: boolean }> {
    return this.#parts.namespaces.put(name, change, options);
  }

  dropNamespace(name: string, options: service.RequestOptions): Promise<void> {
    return this.#parts.namespaces.drop(name, options);
  }

  async ledger(
    namespace: string,
    key: string,
    options: service.RequestOptions,
  ): Promise<readonly service.LedgerItem[]> {
    const { namespaces, keyValues, tokens } = this.#parts;
    const token = tokens.openSession(options.session);
    const entries = await namespaces.ledger(await namespaces.find(namespace, options), key, token, options);
    return entries.map(({ sibling, hiddenAtMs }) => ({
      id: dotText(sibling.dot),
      key,
      value: keyValues.seenValue(sibling),
      hiddenAtMs,
    }));
  }

  async restore(
    namespaceName: string,
    key: string,
    id: string,
    options: service.RequestOptions,
  ): Promise<service.WriteAnswer> {
    const { namespaces, keyValues, tokens, state } = this.#parts;
    const token = tokens.openSession(options.session);
    const namespace = await namespaces.find(namespaceName, options);
    const { sibling } = await namespaces.ledgerEntry(namespace, key, id, token, options);
    const { body, contentType, expiresAtMs } = sibling;
    const value = { body: body ?? new Uint8Array(0), contentType, ttlSeconds: secondsLeft(expiresAtMs, state.clock) };
    return keyValues.put(namespaceName, key, value, undefined, options);
  }

  replicate(
    records: readonly service.PortableRecord[],
    options: service.RequestOptions,
  ): Promise<service.ReplicateAnswer> {
    return this.#parts.intake.replicate(records, options);
  }

  sync(
    region: string | undefined,
    namespace: string | undefined,
    options: service.RequestOptions,
  ): Promise<service.SyncAnswer> {
    return this.#parts.sync.run(region, namespace, options);
  }

  changes(since: number, limit: number, namespace: string | undefined): Promise<service.ChangesAnswer> {
    return changesAfter(this.#parts.state, since, limit, namespace);
  }

  health(): Promise<service.Health> {
    const { operations, lifecycle, state } = this.#parts;
    return operations.health(lifecycle.isStopping, state.replica.isWritable);
  }

  isReady(): boolean {
    const { lifecycle, gate, gossip } = this.#parts;
    return lifecycle.isStarted && !lifecycle.isStopping && gate.isReady && gossip.hasMetOthers;
  }

  regions(): Promise<readonly service.RegionStatus[]> {
    return this.#parts.operations.regions();
  }

  async ring(namespace: string, key: string): Promise<service.RingAnswer> {
    const options = { requestId: 'ring', level: 'eventual', timeoutMs: RING_TIMEOUT_MS } as const;
    return this.#parts.operations.ring(await this.#parts.namespaces.find(namespace, options), key);
  }
}

/** Until an instant to come, at least one; nothing where there is none. */
function secondsLeft(atMs: number | null, clock: Clock): number | undefined {
  return atMs === null ? undefined : Math.max(1, Math.floor((atMs - clock.wallMs()) / 1000));
}
