import type { NodeName, RegionName, StoreId, StoreName } from '@meridian/core/ids';
import type { Placement } from '@meridian/core/placement/layout';
import type { ConflictRule, Namespace, NamespaceMode } from '@meridian/core/placement/namespace';

/** What front ends call, and what they get. Failures are `MeridianError`s of the table in core/wire/errors. */

export const LEVELS = ['eventual', 'session', 'quorum', 'strong'] as const;
export type Level = (typeof LEVELS)[number];

export interface RequestOptions {
  /** Goes into the logs of every node that works on the request. */
  readonly requestId: string;
  readonly level: Level;
  /** From now; what is not decided by then is answered with what is known. */
  readonly timeoutMs: number;
  /** The client named no level: the namespace's own mode says which. */
  readonly isDefaultLevel?: boolean | undefined;
  /** The token the client sent, unopened. */
  readonly session?: string | undefined;
  readonly conditions?: WriteConditions | undefined;
}

/** What a client makes a write depend on. Only namespaces of mode strong can keep it. */
export interface WriteConditions {
  /** `If-Match` as it was sent. */
  readonly ifMatch?: string | undefined;
  /** `If-None-Match` as it was sent. */
  readonly ifNoneMatch?: string | undefined;
  /** `Idempotency-Key`: a change that was applied under it before is answered and not applied again. */
  readonly idempotencyKey?: string | undefined;
}

/** One question to another node, and its answer. */
export interface Hop {
  readonly node: NodeName;
  readonly region: RegionName;
  /** Of the request's rounds, from 1. */
  readonly round: number;
  /** From the request's start until it was asked. */
  readonly atMs: number;
  /** From then until it had answered. */
  readonly ms: number;
}

export interface Receipt {
  readonly region: RegionName;
  readonly node: NodeName;
  readonly store: StoreId;
  readonly level: Level;
  readonly replicasAsked: number;
  readonly replicasAnswered: number;
  /** Rounds of messages to other replicas, one after another; 0 where this node's store alone answered. */
  readonly rounds: number;
  readonly hops: readonly Hop[];
  readonly tookMs: number;
  /** The answer holds all that was acknowledged at the other replicas' regions this long ago; `null` where unknown. */
  readonly stalenessMs: number | null;
}

/** Goes with every answer about a key. */
export interface AnswerHead {
  /** Opaque: what the answer has seen of the key. */
  readonly context: string;
  /** A strong validator of the record, without quotes. */
  readonly etag: string;
  /** The session's token, with this answer in it. */
  readonly session: string;
  readonly receipt: Receipt;
}

export interface SeenValue {
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly timeMs: number;
  /** Where it was written; `null` where that store's place is no longer in the layout. */
  readonly region: RegionName | null;
  readonly expiresAtMs: number | null;
}

export interface ReadAnswer {
  readonly head: AnswerHead;
  /** Live values, winner first. Empty where the key is not found; more than one where there is a conflict. */
  readonly values: readonly SeenValue[];
}

export interface WriteAnswer {
  readonly head: AnswerHead;
  /** Whether a live value was known before. A delete of none is answered by `existed: false`, and wrote nothing. */
  readonly existed: boolean;
  readonly timeMs: number;
  readonly region: RegionName;
  readonly expiresAtMs: number | null;
}

export interface PutValue {
  readonly body: Uint8Array;
  readonly contentType: string;
  /** Seconds; `undefined` takes the namespace's default. */
  readonly ttlSeconds?: number | undefined;
}

export interface KeyRange {
  readonly prefix: string;
  /** Inclusive. */
  readonly start?: string | undefined;
  /** Exclusive. */
  readonly end?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
  /** `false`: the values' bodies are left out, and count for nothing. */
  readonly withBodies?: boolean | undefined;
}

export interface ListItem {
  readonly key: string;
  readonly context: string;
  readonly values: readonly SeenValue[];
}

export interface ListAnswer {
  readonly items: readonly ListItem[];
  /** Where the next page begins; absent after the last. */
  readonly cursor?: string;
  readonly session: string;
  readonly receipt: Receipt;
}

export type BatchOperation =
  | { readonly op: 'get'; readonly key: string }
  | { readonly op: 'put'; readonly key: string; readonly value: PutValue; readonly context?: string | undefined }
  | { readonly op: 'delete'; readonly key: string; readonly context?: string | undefined };

export interface NamespaceChange {
  readonly mode?: NamespaceMode | undefined;
  readonly conflict?: ConflictRule | undefined;
  readonly placement?: Placement | undefined;
  readonly defaultTtlSeconds?: number | null | undefined;
  readonly ledgerKeepSeconds?: number | undefined;
}

export interface LedgerItem {
  /** Names the value for `restore`. */
  readonly id: string;
  readonly key: string;
  readonly value: SeenValue;
  readonly hiddenAtMs: number;
}

/** A record in the form that `/replicate/` takes and gives. */
export interface PortableRecord {
  readonly namespace: string;
  readonly key: string;
  readonly vector: Readonly<Record<string, number>>;
  readonly siblings: readonly PortableSibling[];
  /** Values that a last-writer-wins choice hid. */
  readonly ledger?:
    | readonly (PortableSibling & { readonly hiddenAtMs: number; readonly keepUntilMs: number })[]
    | undefined;
}

export interface PortableSibling {
  readonly store: string;
  readonly sequence: number;
  readonly timeMs: number;
  /** Base64; `null` is a tombstone. */
  readonly body: string | null;
  readonly contentType: string;
  readonly expiresAtMs: number | null;
  /** What the writer's session had seen. */
  readonly session?: Readonly<Record<string, number>> | undefined;
}

export interface ReplicateAnswer {
  /** Records that changed something here. */
  readonly applied: number;
  /** Records that were known already. */
  readonly ignored: number;
  /** Of the applied, those whose key now has more than one live value. */
  readonly concurrent: number;
}

export interface SyncAnswer {
  readonly partitionsCompared: number;
  readonly partitionsDifferent: number;
  readonly recordsSent: number;
  readonly recordsReceived: number;
  readonly tookMs: number;
}

export interface ChangesAnswer {
  readonly store: StoreId;
  readonly changes: readonly { readonly sequence: number; readonly record: PortableRecord }[];
  /** Where to go on; with `isComplete`, there was nothing above it. */
  readonly upTo: number;
  readonly isComplete: boolean;
}

export interface PeerHealth {
  readonly node: NodeName;
  readonly region: RegionName;
  readonly reachable: boolean;
  readonly rttMs: number | null;
  /** Age of the first of this node's changes that the peer has not applied; 0 where it has all. */
  readonly lagMs: number | null;
}

export interface Health {
  readonly status: 'ok' | 'degraded' | 'stopping';
  readonly node: NodeName;
  readonly region: RegionName;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly store: {
    readonly id: StoreId;
    readonly name: StoreName;
    readonly engine: string;
    readonly sequence: number;
    /** `null` where the store does not answer. */
    readonly keys: number | null;
    readonly bytesUsed: number | null;
    /** `null` also where it cannot be known: a database does not tell. */
    readonly bytesFree: number | null;
    /** `false` while a new store takes in what its peers hold: it answers no quorum then. */
    readonly isFilled: boolean;
    readonly isWritable: boolean;
  };
  readonly peers: readonly PeerHealth[];
}

export interface RegionStatus {
  readonly name: RegionName;
  readonly latitude: number;
  readonly longitude: number;
  readonly nodes: readonly {
    readonly name: NodeName;
    readonly http: string;
    readonly store: StoreName;
    readonly reachable: boolean;
    readonly rttMs: number | null;
    readonly lagMs: number | null;
    readonly keys: number | null;
    readonly bytes: number | null;
  }[];
  readonly reachable: boolean;
  readonly rttMs: number | null;
  readonly lagMs: number | null;
  readonly keys: number | null;
  readonly bytes: number | null;
}

export interface RingAnswer {
  readonly key: string;
  readonly namespace: string;
  readonly partition: number;
  readonly placement: Placement;
  readonly preferenceList: readonly {
    readonly store: StoreName;
    readonly region: RegionName;
    readonly nodes: readonly NodeName[];
    readonly reachable: boolean;
    readonly why: string;
  }[];
}

export interface KeyValueService {
  /** Answers, or fails, at once where nothing has to be waited for. */
  get(namespace: string, key: string, options: RequestOptions): ReadAnswer | Promise<ReadAnswer>;
  /** `context` is the client's, unopened; without it the write has seen what its replica holds. */
  put(
    namespace: string,
    key: string,
    value: PutValue,
    context: string | undefined,
    options: RequestOptions,
  ): Promise<WriteAnswer>;
  /** @throws KEY_EXISTS where a live value is found at the chosen level */
  create(namespace: string, key: string, value: PutValue, options: RequestOptions): Promise<WriteAnswer>;
  delete(namespace: string, key: string, context: string | undefined, options: RequestOptions): Promise<WriteAnswer>;
  list(namespace: string, range: KeyRange, options: RequestOptions): Promise<ListAnswer>;
  /** One token that covers all of these: for an answer that several operations made. @throws INVALID_SESSION */
  joinSessions(tokens: readonly string[]): string;
}

export interface NamespaceService {
  namespaces(): readonly Namespace[];
  namespace(name: string, options: RequestOptions): Promise<Namespace>;
  putNamespace(
    name: string,
    change: NamespaceChange,
    options: RequestOptions,
  ): Promise<{ namespace: Namespace; isNew: boolean }>;
  dropNamespace(name: string, options: RequestOptions): Promise<void>;
  ledger(namespace: string, key: string, options: RequestOptions): Promise<readonly LedgerItem[]>;
  restore(namespace: string, key: string, id: string, options: RequestOptions): Promise<WriteAnswer>;
}

export interface ReplicationService {
  replicate(records: readonly PortableRecord[], options: RequestOptions): Promise<ReplicateAnswer>;
  sync(region: string | undefined, namespace: string | undefined, options: RequestOptions): Promise<SyncAnswer>;
  changes(since: number, limit: number, namespace: string | undefined): Promise<ChangesAnswer>;
}

export interface OperationsService {
  health(): Promise<Health>;
  /** Whether requests should be sent here. */
  isReady(): boolean;
  regions(): Promise<readonly RegionStatus[]>;
  ring(namespace: string, key: string): Promise<RingAnswer>;
}

/** All that a front end may ask of a node. */
export interface Service extends KeyValueService, NamespaceService, ReplicationService, OperationsService {
  readonly node: NodeName;
  readonly region: RegionName;
}
