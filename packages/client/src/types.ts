/** What the API takes and gives (its OpenAPI description is at /openapi.json of every node). */

export type Level = 'eventual' | 'session' | 'quorum' | 'strong';

/** One question to another node, and its answer. */
export interface Hop {
  readonly node: string;
  readonly region: string;
  /** Of the request's rounds, from 1. */
  readonly round: number;
  /** From the request's start until it was asked. */
  readonly atMs: number;
  /** From then until it had answered. */
  readonly ms: number;
}

export interface Receipt {
  readonly region: string;
  readonly node: string;
  readonly store: string;
  readonly level: Level;
  readonly replicasAsked: number;
  readonly replicasAnswered: number;
  /** Rounds of messages to other replicas, one after another; 0 where the serving node's store alone answered. */
  readonly rounds: number;
  /** Answers that came before the request was decided. */
  readonly hops: readonly Hop[];
  readonly tookMs: number;
  /** `null` where the node cannot tell. */
  readonly stalenessMs: number | null;
}

/** Goes with every answer about a key. */
export interface AnswerHead {
  /** Opaque: hand it back with a write, to say what the write has seen. */
  readonly context?: string;
  /** With its quotes, as it came: hand it back as it is in `ifMatch`. */
  readonly etag?: string;
  readonly region?: string;
  /** Only where one was asked for. */
  readonly receipt?: Receipt;
}

export interface ValueSeen {
  /** JSON; of a value that is not JSON its bytes in base64, and `encoding` says so. */
  readonly value: unknown;
  readonly encoding?: 'base64';
  readonly contentType?: string;
  readonly region: string | null;
  readonly time: string;
  readonly expiresAt?: string | null;
}

export interface Entry extends ValueSeen {
  readonly key: string;
  readonly context: string;
  readonly conflict: boolean;
  /** Winner first; only where more than one value is live. */
  readonly siblings?: readonly ValueSeen[];
}

export interface ReadEntry extends Entry {
  readonly head: AnswerHead;
}

export interface RawValue {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  readonly head: AnswerHead;
}

export interface Written {
  /** Whether no live value was known before. */
  readonly isNew: boolean;
  readonly head: AnswerHead;
}

export interface Deleted {
  /** Whether a live value was known before. Where none was, nothing was written. */
  readonly existed: boolean;
  readonly head: AnswerHead;
}

export interface ListedKey extends Partial<Entry> {
  readonly key: string;
}

export interface ListPage {
  readonly items: readonly ListedKey[];
  /** Absent after the last page. */
  readonly cursor?: string;
}

export interface ListRange {
  readonly prefix?: string;
  /** Inclusive. */
  readonly start?: string;
  /** Exclusive. */
  readonly end?: string;
  /** Keys on one page. */
  readonly pageSize?: number;
  readonly values?: boolean;
}

export type BatchOperation =
  | { readonly op: 'get'; readonly key: string }
  | {
      readonly op: 'put';
      readonly key: string;
      readonly value: unknown;
      readonly encoding?: 'base64';
      readonly contentType?: string;
      readonly ttl?: number;
      readonly context?: string;
    }
  | { readonly op: 'delete'; readonly key: string; readonly context?: string };

/** One for each operation, in their order. `code` and `detail` tell what went wrong where `status` is 400 or above. */
export interface BatchResult extends Partial<Entry> {
  readonly status: number;
  readonly code?: string;
  readonly detail?: string;
}

export interface NamespaceSettings {
  readonly mode?: 'eventual' | 'strong';
  readonly conflict?: 'siblings' | 'lww';
  readonly placement?: 'all' | Readonly<Record<string, number>>;
  readonly defaultTtl?: number | null;
  readonly ledger?: { readonly keepSeconds: number };
}

export interface NamespaceInfo extends NamespaceSettings {
  readonly name: string;
}

export interface LedgerItem extends ValueSeen {
  /** Names the value for `restore`. */
  readonly id: string;
  readonly key: string;
  readonly hiddenAt?: string;
}

export interface Health {
  readonly status: 'ok' | 'degraded' | 'stopping';
  readonly node: string;
  readonly region: string;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly store: Readonly<Record<string, string | number | boolean>>;
  readonly peers: readonly {
    readonly node: string;
    readonly region: string;
    readonly reachable: boolean;
    readonly rttMs: number | null;
    readonly lagMs: number | null;
  }[];
}

/** Of a node or of a whole region, as seen from the node that answers; `null` where it cannot tell. */
export interface Standing {
  readonly reachable: boolean;
  readonly rttMs: number | null;
  readonly lagMs: number | null;
  readonly keys: number | null;
  readonly bytes: number | null;
}

export interface NodeStatus extends Standing {
  readonly name: string;
  /** host:port */
  readonly http: string;
  readonly store: string;
}

export interface RegionStatus extends Standing {
  readonly name: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly nodes: readonly NodeStatus[];
}

export interface RingAnswer {
  readonly key: string;
  readonly namespace: string;
  readonly partition: number;
  readonly placement: 'all' | Readonly<Record<string, number>>;
  readonly preferenceList: readonly {
    readonly store: string;
    readonly region: string;
    readonly nodes: readonly string[];
    readonly reachable: boolean;
    readonly why: string;
  }[];
}

export interface WanChange {
  /** Pairs of regions whose link is cut. */
  readonly split?: readonly (readonly [string, string])[];
  /** Restores every link. */
  readonly heal?: true;
  /** Milliseconds there and back, by `region|region`. */
  readonly rtt?: Readonly<Record<string, number>>;
  /** Share of messages lost, 0 to 1. */
  readonly loss?: number;
}

/** The emulated links of one node. */
export interface WanStatus {
  readonly region: string;
  readonly regions: readonly string[];
  /** Milliseconds there and back, by `region|region` in either order. */
  readonly rtt: Readonly<Record<string, number>>;
  /** Pairs that are cut both ways. */
  readonly split: readonly (readonly [string, string])[];
  /** Pairs that are cut from the first to the second only. */
  readonly oneWay: readonly (readonly [string, string])[];
  /** Share of messages that are held back as if lost and sent again, 0 to 1. */
  readonly loss: number;
}

export interface ReplicateAnswer {
  readonly applied: number;
  readonly ignored: number;
  readonly concurrent: number;
}

export interface SyncAnswer {
  readonly partitionsCompared: number;
  readonly partitionsDifferent: number;
  readonly recordsSent: number;
  readonly recordsReceived: number;
  readonly tookMs: number;
}
