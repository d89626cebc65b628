import type { Readable, Writable } from 'node:stream';
import type { ClusterFile } from '../config/cluster-file.ts';
import type { NodeSettings } from '../config/settings.ts';

/** What a node needs to start. */
export interface ServeOptions {
  readonly clusterFile: ClusterFile;
  /** Shared by the nodes of the cluster. */
  readonly secret: Uint8Array;
  /** One of the nodes of `clusterFile`. */
  readonly nodeName: string;
  readonly settings: NodeSettings;
}

/** Where a running node writes its events; `pino` is one. */
export interface EventLog {
  info(figures: object, message: string): void;
  warn(figures: object, message: string): void;
  error(figures: object, message: string): void;
}

export interface RunningNode {
  readonly log: EventLog;
  /** Stops accepting, finishes what is in flight, flushes, closes. Never rejects because it was called twice. */
  stop(): Promise<void>;
}

/** A terminal stream: what is written for eyes looks at `isTTY` and `columns`. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** What the command line gets from outside, so that tests can hand in their own. */
export interface Dependencies {
  /** Starts a node; resolves when it serves. A failing start rejects, and leaves nothing open. */
  readonly serve: (options: ServeOptions) => Promise<RunningNode>;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: Readable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where relative paths begin, and where meridian.yaml is looked for. */
  readonly folder: string;
  readonly version: string;
  /** How `demo` starts a node: the executable, and all that comes before `serve`. */
  readonly self: readonly string[];
  /** `process`, or a test's own: what tells a command that goes on until it is stopped. */
  readonly signals: SignalSource;
}

/** The part of `process` that long-running commands listen to. */
export interface SignalSource {
  on(event: 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'disconnect', listener: () => void): unknown;
  off(event: 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'disconnect', listener: () => void): unknown;
}
