import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ClusterFile, ClusterNode } from '@meridian/server/config/cluster-file';
import { parsePostgresUrl } from '@meridian/server/config/postgres-url';
import { CONFIG_VARIABLE } from '@meridian/server/config/read-settings';
import { flagOf, SETTING_NAMES, SETTINGS, settingsOfScope, variableOf } from '@meridian/server/config/settings';
import { parse, parseAllDocuments } from 'yaml';
import { lastOf, parseDockerfile, wordsOf } from './dockerfile.ts';

/** The repository. */
export const root = resolve(import.meta.dirname, '../..');
export const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const [buildStage, finalStage] = parseDockerfile(read('Dockerfile'));
if (!buildStage || !finalStage) throw new Error('the Dockerfile has two stages');
export const build = buildStage;
export const image = finalStage;

export interface Service {
  readonly image: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly extra_hosts?: readonly string[];
  readonly networks: readonly string[];
  readonly ports?: readonly string[];
  readonly secrets?: readonly string[];
  readonly configs?: readonly { readonly source: string; readonly target: string }[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck: { readonly test: readonly string[] };
  readonly stop_grace_period?: string;
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, unknown>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly configs: Readonly<Record<string, { readonly file: string }>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

export const compose = parse(read('compose.yaml'), { merge: true }) as Compose;
export const services = Object.entries(compose.services);

/** What health checks of the image and of compose.yaml run, and what each asks for. */
export function healthChecks(): readonly { readonly words: readonly string[]; readonly probe: string }[] {
  const ofServices = services.filter(([, { build }]) => build).map(([, { healthcheck }]) => healthcheck.test.slice(1));
  const all = [wordsOf(lastOf(image, 'HEALTHCHECK')), ...ofServices];
  const distinct = new Map(all.map((words) => [words.join(' '), { words, probe: words.at(-1) ?? '' }]));
  return [...distinct.values()];
}

interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string };
}
interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}
interface PodSpec {
  readonly hostname?: string;
  readonly subdomain?: string;
  readonly enableServiceLinks: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: { readonly runAsUser: number; readonly fsGroup: number };
  readonly containers: readonly [Container];
  readonly volumes?: readonly {
    readonly name: string;
    readonly configMap?: { readonly name: string };
    readonly secret?: { readonly secretName: string };
  }[];
}
export type Labels = Readonly<Record<string, string>>;
export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly replicas?: number;
    readonly serviceName?: string;
    readonly clusterIP?: string;
    readonly publishNotReadyAddresses?: boolean;
    readonly strategy?: { readonly type: string };
    readonly ports?: readonly { readonly name: string; readonly port: number; readonly targetPort: string }[];
    readonly selector: Labels & { readonly matchLabels?: Labels };
    readonly podSelector?: { readonly matchLabels: Labels };
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
    readonly ingress?: readonly { readonly ports: readonly { readonly port: string }[] }[];
  };
}

export const MANIFESTS = 'deploy/kubernetes';
export const kustomization = parse(read(`${MANIFESTS}/kustomization.yaml`)) as {
  readonly namespace: string;
  readonly resources: readonly string[];
  readonly configMapGenerator: readonly { readonly name: string; readonly files: readonly string[] }[];
  readonly generatorOptions: { readonly disableNameSuffixHash: boolean };
  readonly images: readonly { readonly name: string }[];
};
export const manifests = kustomization.resources.flatMap((name) =>
  parseAllDocuments(read(`${MANIFESTS}/${name}`)).map((document) => document.toJS() as Manifest),
);
export const workloads = manifests.filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');
export const ofKind = (kind: string): readonly Manifest[] => manifests.filter((manifest) => manifest.kind === kind);
export const fits = (selector: Labels, labels: Labels): boolean =>
  Object.entries(selector).every(([name, value]) => labels[name] === value);

export interface Pod {
  readonly name: string;
  readonly subdomain: string;
  readonly kind: string;
  readonly labels: Labels;
  readonly spec: PodSpec;
  readonly claims: readonly string[];
}

/** The pods of nodes, as the workloads make them. */
export const pods: readonly Pod[] = workloads
  .filter(({ spec }) => spec.template.metadata.labels['app.kubernetes.io/component'] === 'node')
  .flatMap(({ kind, metadata, spec: { replicas = 1, serviceName, template, volumeClaimTemplates = [] } }) =>
    Array.from({ length: replicas }, (_none, ordinal) => ({
      name: kind === 'StatefulSet' ? `${metadata.name}-${ordinal}` : (template.spec.hostname ?? ''),
      subdomain: serviceName ?? template.spec.subdomain ?? '',
      kind,
      labels: template.metadata.labels,
      spec: template.spec,
      claims: volumeClaimTemplates.map((claim) => claim.metadata.name),
    })),
  );

/** Every path that the image, compose.yaml and the manifests have a node asked for. */
export function probedPaths(): readonly string[] {
  const probes = pods.flatMap(({ spec: { containers } }) => {
    const { startupProbe, livenessProbe, readinessProbe } = containers[0];
    return [startupProbe, livenessProbe, readinessProbe].map((probe) => probe?.httpGet?.path ?? 'none');
  });
  return [...new Set([...probes, ...healthChecks().map(({ probe }) => `/health/${probe}`)])];
}

export const VARIABLES: readonly string[] = [...SETTING_NAMES.map(variableOf), CONFIG_VARIABLE];
export const NODE_FLAGS = settingsOfScope('node').map(flagOf);
export const STOP_MS_MIN = Number(SETTINGS.stopTimeoutMs.fallback) + 2_000;

export const imageUser = Number(lastOf(image, 'USER').split(':')[0]);
export const exposed = lastOf(image, 'EXPOSE').split(' ').map(Number);

export const meridianVariables = (names: readonly string[]): readonly string[] =>
  names.filter((name) => name.startsWith('MERIDIAN_'));
export const portOf = (address: string): number => Number(address.split(':').at(-1));
export const hostOf = (address: string): string => address.replace(/:\d+$/, '');
export const nodesOf = (file: ClusterFile): readonly (ClusterNode & { readonly region: string })[] =>
  file.regions.flatMap((region) => region.nodes.map((node) => ({ ...node, region: region.name })));
export const isDatabase = (node: ClusterNode): boolean => node.store.startsWith('postgres://');
export const isUnder = (path: string, folders: readonly string[]): boolean =>
  folders.some((folder) => path === folder || path.startsWith(`${folder}/`));

/** The files that a node opens by what the cluster file says: they have to be mounted. */
export function filesOf(file: ClusterFile, node: ClusterNode): readonly string[] {
  if (!isDatabase(node)) return [file.secretFile];
  const { passwordFile, tls } = parsePostgresUrl(node.store);
  return [file.secretFile, passwordFile, tls.rootCertificate, tls.certificate, tls.key].filter(
    (path) => path !== undefined,
  );
}
