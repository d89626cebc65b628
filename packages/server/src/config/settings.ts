import { NAME_PATTERN } from './cluster-schema.ts';
import { bytes, choice, flag, httpUrl, integer, matching, names, type SettingKind, text } from './setting-kinds.ts';

export interface Setting<Value> {
  readonly kind: SettingKind<Value>;
  /** As it would be written; `undefined` where there is none. */
  readonly fallback?: string;
  readonly unit?: string;
  readonly description: string;
  readonly scope: 'node' | 'client' | 'demo';
  /** How the value is called in help. */
  readonly placeholder: string;
}

const setting = <Value>(definition: Setting<Value>): Setting<Value> => definition;
const KIB = 1_024;
const MIB = 1_024 * KIB;
const name = matching(new RegExp(NAME_PATTERN), 'a name of 1 to 63 characters a-z, 0-9 and -');

/**
 * The one table of settings. Of `valueBytesMax` the flag is `--value-bytes-max`, the variable `MERIDIAN_VALUE_BYTES_MAX`,
 * the key in meridian.yaml `value-bytes-max`. `docs/reference/settings.md` is tested against it.
 */
export const SETTINGS = {
  cluster: setting({
    scope: 'node',
    kind: text('the path of a cluster file'),
    placeholder: 'FILE',
    fallback: 'cluster.yaml',
    description: 'The cluster file: regions, nodes, stores',
  }),
  node: setting({
    scope: 'node',
    kind: name,
    placeholder: 'NAME',
    description: 'Which node of the cluster file this process is',
  }),
  wanLab: setting({
    scope: 'node',
    kind: flag(),
    placeholder: 'BOOLEAN',
    fallback: 'false',
    description:
      'Emulates the round trips between regions, and opens /admin/wan, which cuts links. Never in production',
  }),
  valueBytesMax: setting({
    scope: 'node',
    kind: bytes(KIB, 64 * MIB),
    placeholder: 'BYTES',
    fallback: '8MiB',
    unit: 'bytes',
    description: 'The largest value taken. Larger bodies are refused before they are read',
  }),
  requestTimeoutMs: setting({
    scope: 'node',
    kind: integer(10, 30_000),
    placeholder: 'MS',
    fallback: '5000',
    unit: 'ms',
    description: 'How long a request may take that names no Meridian-Timeout of its own',
  }),
  connectionsMax: setting({
    scope: 'node',
    kind: integer(1, 100_000),
    placeholder: 'COUNT',
    fallback: '4096',
    unit: 'connections',
    description: 'HTTP connections held open at once; further ones are closed at once',
  }),
  connectionsPerAddressMax: setting({
    scope: 'node',
    kind: integer(1, 100_000),
    placeholder: 'COUNT',
    fallback: '2048',
    unit: 'connections',
    description: 'Of these, from one address. Raise it behind a proxy',
  }),
  diskReserveBytes: setting({
    scope: 'node',
    kind: bytes(0, 1_024 * 1_024 * MIB),
    placeholder: 'BYTES',
    fallback: '64MiB',
    unit: 'bytes',
    description:
      'With less free space than this on its disk, a store refuses writes (507 STORE_FULL) and goes on reading',
  }),
  stopTimeoutMs: setting({
    scope: 'node',
    kind: integer(0, 60_000),
    placeholder: 'MS',
    fallback: '8000',
    unit: 'ms',
    description: 'How long a stopping node waits for requests in flight',
  }),
  logLevel: setting({
    scope: 'node',
    kind: choice('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
    placeholder: 'LEVEL',
    fallback: 'info',
    description: 'The least severe event that is logged',
  }),
  logFormat: setting({
    scope: 'node',
    kind: choice('json', 'pretty'),
    placeholder: 'FORMAT',
    fallback: 'json',
    description: 'One JSON object a line, or lines for eyes',
  }),
  endpoint: setting({
    scope: 'client',
    kind: httpUrl(),
    placeholder: 'URL',
    fallback: 'http://127.0.0.1:8001',
    description: 'The node that client commands talk to',
  }),
  namespace: setting({
    scope: 'client',
    kind: text('the name of a namespace'),
    placeholder: 'NAME',
    fallback: 'default',
    description: 'The namespace that client commands work in',
  }),
  consistency: setting({
    scope: 'client',
    kind: choice('eventual', 'session', 'quorum', 'strong'),
    placeholder: 'LEVEL',
    description: 'The guarantee that client commands ask for; where none is named, the one of the namespace',
  }),
  timeoutMs: setting({
    scope: 'client',
    kind: integer(1, 30_000),
    placeholder: 'MS',
    fallback: '10000',
    unit: 'ms',
    description: 'How long client commands let a node work on one request',
  }),
  regions: setting({
    scope: 'demo',
    kind: names('names of regions with commas between them, each once'),
    placeholder: 'NAMES',
    fallback: 'us-east,eu-central,ap-northeast',
    description: 'The regions that the demo starts; the first answers on the base port, the next on the one after it',
  }),
  basePort: setting({
    scope: 'demo',
    kind: integer(1, 63_000),
    placeholder: 'PORT',
    fallback: '8001',
    description:
      'HTTP port of the first region of the demo; nodes talk to each other 1000 above, databases are 2000 above',
  }),
  dataDir: setting({
    scope: 'demo',
    kind: text('the path of a folder'),
    placeholder: 'FOLDER',
    fallback: '.meridian/demo',
    description: 'Where the demo keeps its data, its cluster file and its logs',
  }),
} as const;

export type SettingName = keyof typeof SETTINGS;
type ValueOf<S> = S extends Setting<infer Value> ? Value : never;
type HasFallback<Name extends SettingName> = Name extends 'node' | 'consistency' ? false : true;

/** Typed values, by setting; `undefined` only for what has no default. */
export type Settings<Name extends SettingName = SettingName> = {
  readonly [N in Name]: HasFallback<N> extends true
    ? ValueOf<(typeof SETTINGS)[N]>
    : ValueOf<(typeof SETTINGS)[N]> | undefined;
};

export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];

/** What a node runs on, besides its place in the cluster file. */
export const NODE_SETTINGS = [
  'wanLab',
  'valueBytesMax',
  'requestTimeoutMs',
  'connectionsMax',
  'connectionsPerAddressMax',
  'diskReserveBytes',
  'stopTimeoutMs',
  'logLevel',
  'logFormat',
] as const satisfies readonly SettingName[];

export type NodeSettings = Settings<(typeof NODE_SETTINGS)[number]>;

/** `valueBytesMax` -> `value-bytes-max`: in flags and in meridian.yaml. */
export function dashed(setting: string): string {
  return setting.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function variableOf(setting: string): string {
  return `MERIDIAN_${dashed(setting).replaceAll('-', '_').toUpperCase()}`;
}

export function flagOf(setting: string): string {
  return `--${dashed(setting)}`;
}

export function settingsOfScope(scope: Setting<unknown>['scope']): readonly SettingName[] {
  return SETTING_NAMES.filter((candidate) => SETTINGS[candidate].scope === scope);
}
