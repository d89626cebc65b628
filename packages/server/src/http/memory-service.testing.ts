import type { NamespaceId, NodeName, RegionName, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { compareKeys } from '@meridian/core/ids';
import type { Namespace } from '@meridian/core/placement/namespace';
import { MeridianError } from '@meridian/core/wire/errors';
import type {
  AnswerHead,
  ChangesAnswer,
  Health,
  KeyRange,
  LedgerItem,
  ListAnswer,
  NamespaceChange,
  PortableRecord,
  PutValue,
  ReadAnswer,
  Receipt,
  RegionStatus,
  ReplicateAnswer,
  RequestOptions,
  RingAnswer,
  SeenValue,
  Service,
  SyncAnswer,
  WriteAnswer,
} from '../node/service.ts';

interface Versioned extends SeenValue {
  readonly version: number;
}

/** One key: what was written, and the highest version that any writer had seen of it. */
interface Slot {
  siblings: Versioned[];
  version: number;
}

const REGION = 'us-east' as RegionName;

/**
 * A `Service` in memory for tests of the front end: one replica, real contexts and siblings in their simplest form, and
 * every call written down. `c7` is the context that has seen version 7; sessions are `s` and a number, cursors `k` and hex.
 * Namespaces of mode strong keep conditions and idempotency keys, eventual ones refuse them.
 */
export class MemoryService implements Service {
  readonly node = 'us-1' as NodeName;
  readonly region = REGION;
  readonly calls: {
    readonly call: string;
    readonly namespace: string;
    readonly key: string;
    readonly options: RequestOptions;
  }[] = [];
  readonly ledgerItems: LedgerItem[] = [];
  readonly received: PortableRecord[] = [];
  isServing = true;
  status: Health['status'] = 'ok';
  /** Thrown by the next call on a key. */
  failure: unknown;
  /** Awaited by every call on a key, before it does anything. */
  gate: Promise<void> | undefined;
  readonly #spaces = new Map<string, { settings: Namespace; slots: Map<string, Slot> }>();
  /** By namespace, key and idempotency key. */
  readonly #answered = new Map<string, WriteAnswer>();
  #version = 0;

  constructor() {
    this.#make('default', {});
  }

  #make(name: string, change: NamespaceChange): Namespace {
    const settings: Namespace = {
      id: `${name}.1` as NamespaceId,
      name,
      mode: change.mode ?? 'eventual',
      conflict: change.conflict ?? 'siblings',
      placement: change.placement ?? 'all',
      defaultTtlSeconds: change.defaultTtlSeconds ?? null,
      ledgerKeepSeconds: change.ledgerKeepSeconds ?? 3600,
    };
    this.#spaces.set(name, { settings, slots: this.#spaces.get(name)?.slots ?? new Map() });
    return settings;
  }

  #slots(namespace: string): Map<string, Slot> {
    const space = this.#spaces.get(namespace);
    if (!space) throw new MeridianError('NAMESPACE_NOT_FOUND', `There is no namespace "${namespace}".`);
    return space.slots;
  }

  async #enter(call: string, namespace: string, key: string, options: RequestOptions): Promise<Map<string, Slot>> {
    this.calls.push({ call, namespace, key, options });
    if (this.gate) await this.gate;
    if (this.failure !== undefined) {
      const failure = this.failure;
      this.failure = undefined;
      throw failure;
    }
    if (options.session !== undefined && !/^s\d+$/.test(options.session))
      throw new MeridianError('INVALID_SESSION', 'The token was not issued here.');
    return this.#slots(namespace);
  }

  #receipt(options: RequestOptions): Receipt {
    const hops = [{ node: this.node, region: REGION, round: 1, atMs: 0, ms: 0.2 }];
    return {
      region: REGION,
      node: this.node,
      store: 'us-1.abc' as StoreId,
      level: options.level,
      replicasAsked: 1,
      replicasAnswered: 1,
      rounds: 0,
      hops,
      tookMs: 0.2,
      stalenessMs: 0,
    };
  }

  #head(slot: Slot | undefined, options: RequestOptions): AnswerHead {
    const version = slot?.version ?? 0;
    return {
      context: `c${version}`,
      etag: `v${version}`,
      session: `s${this.#version}`,
      receipt: this.#receipt(options),
    };
  }

  #live(slot: Slot | undefined): Versioned[] {
    return (slot?.siblings ?? []).filter((value) => value.expiresAtMs === null || value.expiresAtMs > Date.now());
  }

  async get(namespace: string, key: string, options: RequestOptions): Promise<ReadAnswer> {
    const slot = (await this.#enter('get', namespace, key, options)).get(key);
    return { head: this.#head(slot, options), values: this.#live(slot) };
  }

  async put(
    namespace: string,
    key: string,
    value: PutValue,
    context: string | undefined,
    options: RequestOptions,
  ): Promise<WriteAnswer> {
    const slots = await this.#enter('put', namespace, key, options);
    return this.#once(namespace, key, options, () => {
      this.#ensure(namespace, slots.get(key), options);
      return this.#write(slots, key, value, context, options);
    });
  }

  /** @throws CONDITION_FAILED, CONDITION_NEEDS_STRONG_NAMESPACE */
  #ensure(namespace: string, slot: Slot | undefined, { conditions }: RequestOptions): void {
    if (!conditions) return;
    if (this.#spaces.get(namespace)?.settings.mode !== 'strong')
      throw new MeridianError('CONDITION_NEEDS_STRONG_NAMESPACE', 'Conditions need a namespace of mode strong.');
    const { ifMatch, ifNoneMatch } = conditions;
    const isLive = this.#live(slot).length > 0;
    const isMatch = ifMatch === undefined || (isLive && (ifMatch === '*' || ifMatch.includes(`"v${slot?.version}"`)));
    if (!isMatch || (ifNoneMatch !== undefined && isLive))
      throw new MeridianError('CONDITION_FAILED', 'The condition does not hold.');
  }

  /** Under an idempotency key that was used before, the answer of then. */
  #once(namespace: string, key: string, { conditions }: RequestOptions, write: () => WriteAnswer): WriteAnswer {
    if (conditions?.idempotencyKey === undefined) return write();
    const name = JSON.stringify([namespace, key, conditions.idempotencyKey]);
    const answer = this.#answered.get(name) ?? write();
    this.#answered.set(name, answer);
    return answer;
  }

  #write(
    slots: Map<string, Slot>,
    key: string,
    value: PutValue | undefined,
    context: string | undefined,
    options: RequestOptions,
  ): WriteAnswer {
    if (context !== undefined && !/^c\d+$/.test(context))
      throw new MeridianError('INVALID_CONTEXT', 'The context was not issued here.');
    const slot = slots.get(key) ?? { siblings: [], version: 0 };
    const existed = this.#live(slot).length > 0;
    const seen = context === undefined ? slot.version : Number(context.slice(1));
    const version = ++this.#version;
    const timeMs = Date.now();
    const expiresAtMs = value?.ttlSeconds === undefined ? null : timeMs + value.ttlSeconds * 1000;
    const kept = slot.siblings.filter((sibling) => sibling.version > seen);
    const added = value
      ? [{ body: value.body, contentType: value.contentType, timeMs, region: REGION, expiresAtMs, version }]
      : [];
    slots.set(key, { siblings: [...added, ...kept], version });
    return { head: this.#head(slots.get(key), options), existed, timeMs, region: REGION, expiresAtMs };
  }

  async create(namespace: string, key: string, value: PutValue, options: RequestOptions): Promise<WriteAnswer> {
    const slots = await this.#enter('create', namespace, key, options);
    return this.#once(namespace, key, options, () => {
      this.#ensure(namespace, slots.get(key), options);
      if (this.#live(slots.get(key)).length > 0)
        throw new MeridianError('KEY_EXISTS', 'The key has a live value already.', { key });
      return this.#write(slots, key, value, undefined, options);
    });
  }

  async delete(
    namespace: string,
    key: string,
    context: string | undefined,
    options: RequestOptions,
  ): Promise<WriteAnswer> {
    const slots = await this.#enter('delete', namespace, key, options);
    return this.#once(namespace, key, options, () => {
      const slot = slots.get(key);
      this.#ensure(namespace, slot, options);
      if (this.#live(slot).length > 0) return this.#write(slots, key, undefined, context, options);
      return { head: this.#head(slot, options), existed: false, timeMs: 0, region: REGION, expiresAtMs: null };
    });
  }

  async list(namespace: string, range: KeyRange, options: RequestOptions): Promise<ListAnswer> {
    const slots = await this.#enter('list', namespace, range.prefix, options);
    const after = range.cursor === undefined ? undefined : openCursor(range.cursor);
    const keys = [...slots.keys()]
      .filter((key) => this.#live(slots.get(key)).length > 0 && key.startsWith(range.prefix))
      .filter((key) => range.start === undefined || compareKeys(key, range.start) >= 0)
      .filter((key) => range.end === undefined || compareKeys(key, range.end) < 0)
      .filter((key) => after === undefined || compareKeys(key, after) > 0)
      .sort(compareKeys);
    const page = keys.slice(0, range.limit);
    const items = page.map((key) => ({
      key,
      context: `c${slots.get(key)?.version}`,
      values: this.#live(slots.get(key)),
    }));
    const cursor = keys.length > page.length ? { cursor: `k${Buffer.from(page.at(-1) ?? '').toString('hex')}` } : {};
    return { items, ...cursor, session: `s${this.#version}`, receipt: this.#receipt(options) };
  }

  joinSessions(tokens: readonly string[]): string {
    return `s${Math.max(...tokens.map((token) => Number(token.slice(1))))}`;
  }

  namespaces(): readonly Namespace[] {
    return [...this.#spaces.values()].map((space) => space.settings);
  }

  async namespace(name: string): Promise<Namespace> {
    this.#slots(name);
    return (this.#spaces.get(name) as { settings: Namespace }).settings;
  }

  async putNamespace(name: string, change: NamespaceChange): Promise<{ namespace: Namespace; isNew: boolean }> {
    if (!/^[a-z0-9-]{1,60}$/.test(name)) throw new MeridianError('INVALID_NAMESPACE', 'The name is impossible.');
    const isNew = !this.#spaces.has(name);
    return { namespace: this.#make(name, change), isNew };
  }

  async dropNamespace(name: string): Promise<void> {
    this.#slots(name);
    this.#spaces.delete(name);
  }

  async ledger(namespace: string, key: string): Promise<readonly LedgerItem[]> {
    this.#slots(namespace);
    return this.ledgerItems.filter((item) => item.key === key);
  }

  async restore(namespace: string, key: string, id: string, options: RequestOptions): Promise<WriteAnswer> {
    const item = this.ledgerItems.find((entry) => entry.key === key && entry.id === id);
    if (!item) throw new MeridianError('LEDGER_ENTRY_NOT_FOUND', 'The ledger holds no such value.');
    return this.#write(this.#slots(namespace), key, item.value, undefined, options);
  }

  async replicate(records: readonly PortableRecord[]): Promise<ReplicateAnswer> {
    this.received.push(...records);
    return { applied: records.length, ignored: 0, concurrent: 0 };
  }

  async sync(region: string | undefined, namespace: string | undefined, options: RequestOptions): Promise<SyncAnswer> {
    this.calls.push({ call: 'sync', namespace: namespace ?? '', key: region ?? '', options });
    return { partitionsCompared: 1024, partitionsDifferent: 0, recordsSent: 0, recordsReceived: 0, tookMs: 1.5 };
  }

  async changes(since: number, limit: number, namespace: string | undefined): Promise<ChangesAnswer> {
    if (namespace !== undefined) this.#slots(namespace);
    const records = this.received.slice(since, since + limit);
    const changes = records.map((record, at) => ({ sequence: since + at + 1, record }));
    return {
      store: 'us-1.abc' as StoreId,
      changes,
      upTo: since + records.length,
      isComplete: since + records.length >= this.received.length,
    };
  }

  async health(): Promise<Health> {
    const store = {
      id: 'us-1.abc' as StoreId,
      name: 'us-1' as StoreName,
      engine: 'memory',
      sequence: this.#version as Sequence,
      keys: 0,
      bytesUsed: 0,
      bytesFree: 1,
      isFilled: true,
      isWritable: true,
    };
    const peers = [
      { node: 'eu-1' as NodeName, region: 'eu-central' as RegionName, reachable: true, rttMs: 90, lagMs: null },
    ];
    return { status: this.status, node: this.node, region: REGION, version: '0.0.0', uptimeSeconds: 1, store, peers };
  }

  isReady(): boolean {
    return this.isServing;
  }

  async regions(): Promise<readonly RegionStatus[]> {
    const seen = { reachable: true, rttMs: 0, lagMs: 0, keys: 0, bytes: 0 };
    const nodes = [{ name: this.node, http: '127.0.0.1:8001', store: 'us-1' as StoreName, ...seen }];
    return [{ name: REGION, latitude: 38.9, longitude: -77.4, nodes, ...seen }];
  }

  async ring(namespace: string, key: string): Promise<RingAnswer> {
    this.#slots(namespace);
    const preferenceList = [
      { store: 'us-1' as StoreName, region: REGION, nodes: [this.node], reachable: true, why: 'first clockwise' },
    ];
    return { key, namespace, partition: 7, placement: 'all', preferenceList };
  }
}

function openCursor(cursor: string): string {
  if (!/^k(?:[0-9a-f]{2})+$/.test(cursor)) throw new MeridianError('INVALID_CURSOR', 'The cursor was not issued here.');
  return Buffer.from(cursor.slice(1), 'hex').toString('utf8');
}
