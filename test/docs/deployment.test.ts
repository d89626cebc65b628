import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type ClusterNode, parseClusterFile } from '@meridian/server/config/cluster-file';
import { parsePostgresUrl } from '@meridian/server/config/postgres-url';
import { parseRedisUrl } from '@meridian/server/config/redis-url';
import { makeSecret, readSecret } from '@meridian/server/config/secret-file';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { freeBasePort } from '../support/free-ports.ts';
import {
  build,
  compose,
  exposed,
  filesOf,
  fits,
  healthChecks,
  hostOf,
  image,
  imageUser,
  isDatabase,
  isUnder,
  kustomization,
  type Labels,
  MANIFESTS,
  manifests,
  meridianVariables,
  NODE_FLAGS,
  nodesOf,
  ofKind,
  type Pod,
  pods,
  portOf,
  probedPaths,
  read,
  root,
  type Service,
  STOP_MS_MIN,
  services,
  VARIABLES,
  workloads,
} from './deployment-files.ts';
import { environmentOf, textsOf } from './dockerfile.ts';
import { PlayedImage } from './played-image.ts';

describe('the Dockerfile', () => {
  it('is built on the Node that the tests run on', () => {
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: { node: string } };
    for (const { from } of [build, image]) expect(from).toBe(`node:${dependencies.node}-bookworm-slim`);
    expect(process.versions.node).toBe(dependencies.node);
  });

  it('runs as a user who is not root, and knows no secret', () => {
    expect(imageUser).toBeGreaterThan(0);
    expect(Object.keys(environmentOf(image)).filter((name) => /PASSWORD|SECRET|TOKEN/.test(name))).toEqual([]);
  });

  it('installs what the lockfile says, without what is for development', () => {
    expect(textsOf(build, 'RUN').join(' ')).toMatch(/\bnpm ci --omit=dev --ignore-scripts\b/);
  });

  it('sets variables that exist', () => {
    for (const name of meridianVariables(Object.keys(environmentOf(image)))) expect(VARIABLES).toContain(name);
  });
});

describe('the image, its steps played as plain processes', () => {
  const played = new PlayedImage(root);
  let address = '';
  const environment = { MERIDIAN_NODE: 'one' };

  beforeAll(async () => {
    played.build();
    const port = await freeBasePort(1, 1_000);
    address = `127.0.0.1:${port}`;
    const { MERIDIAN_CLUSTER: file = '' } = environmentOf(image);
    mkdirSync(dirname(played.path(file)), { recursive: true });
    makeSecret(played.path('/etc/meridian/cluster.secret'));
    const store = played.path('/var/lib/meridian/one');
    const nodes = [{ name: 'one', http: address, peer: `127.0.0.1:${port + 1_000}`, store }];
    const regions = [{ name: 'here', latitude: 0, longitude: 0, nodes }];
    // JSON is YAML.
    writeFileSync(played.path(file), JSON.stringify({ cluster: 'played', secretFile: './cluster.secret', regions }));
  }, 60_000);
  afterAll(() => played.remove());

  it('holds compiled code, and no tests', () => {
    expect(globSync('**/*', { cwd: played.path('/var/cache/meridian') }).length).toBeGreaterThan(100);
    expect(globSync('opt/meridian/{bin,deploy,packages}/**/*.{test,testing}.ts', { cwd: played.root })).toEqual([]);
    expect(existsSync(played.path('/opt/meridian/node_modules/node'))).toBe(false);
  });

  it('says by its health check whether its node answers, serves every path that probes ask for, and stops on SIGTERM', async () => {
    const look = (...words: string[]) => played.run(environment, words.length > 0 ? words : undefined);
    expect(look()).toMatchObject({ code: 1, said: expect.stringContaining('ECONNREFUSED') });
    const node = played.start(environment);
    await eventually(async () => look().code === 0, { what: 'a health check that finds the node', everyMs: 200 });
    for (const { probe, words } of healthChecks()) {
      await eventually(async () => look(...words).code === 0, { what: `a node that is ${probe}`, everyMs: 200 });
    }
    for (const path of probedPaths()) {
      expect([path, (await fetch(`http://${address}${path}`)).status]).toEqual([path, 200]);
    }
    expect(look('node', '/opt/meridian/deploy/health-check.mjs', 'gone')).toMatchObject({
      code: 1,
      said: expect.stringContaining('answers 404'),
    });
    const ended = new Promise((done) => node.once('exit', (code, signal) => done({ code, signal })));
    node.kill('SIGTERM');
    expect(await ended).toEqual({ code: 0, signal: null });
    expect(look()).toMatchObject({ code: 1 });
  }, 60_000);

  it('has the command line, which names what is wrong', () => {
    expect(played.run({}, ['meridian', '--version'])).toMatchObject({ code: 0 });
    const unknown = played.run({ MERIDIAN_NODE: 'two' }, ['node', '/opt/meridian/deploy/health-check.mjs']);
    expect(unknown).toMatchObject({ code: 1, said: expect.stringContaining("names no node 'two'") });
  });
});

describe('compose.yaml', () => {
  const file = parseClusterFile('/etc/meridian/cluster.yaml', read('deploy/compose/cluster.yaml'));
  const nodes = nodesOf(file);
  const serviceOf = (name: string): Service => compose.services[name] as Service;

  it('has three regions, each of two nodes on one database and one cache', () => {
    for (const { nodes: own } of file.regions) {
      expect(own.length).toBe(2);
      expect(new Set(own.map(({ store }) => store)).size).toBe(1);
      expect(new Set(own.map(({ cache }) => cache)).size).toBe(1);
      expect(own.every((node) => isDatabase(node) && node.cache !== undefined)).toBe(true);
    }
    expect(file.regions.length).toBe(3);
    const built = services.filter(([, { build }]) => build).map(([name]) => name);
    expect(built.toSorted()).toEqual(nodes.map(({ name }) => name).toSorted());
  });

  it.each(nodes)('starts $name where the cluster file says it is', ({ name, http, peer, region }) => {
    const service = serviceOf(name);
    expect([hostOf(http), hostOf(peer)]).toEqual([name, name]);
    expect([portOf(http), portOf(peer)]).toEqual(exposed);
    // Its own name is all its addresses; to the others it is the one that they share a network with.
    expect(service.extra_hosts).toEqual([`${name}:0.0.0.0`]);
    expect(service.networks).toEqual(['between-regions', region]);
    expect(service.ports?.map((port) => port.replace(/:\d+:/, '::'))).toEqual([`127.0.0.1::${portOf(http)}`]);
    expect(service.environment).toMatchObject({ MERIDIAN_NODE: name, MERIDIAN_ENDPOINT: `http://${http}` });
    for (const variable of meridianVariables(Object.keys(service.environment ?? {})))
      expect(VARIABLES).toContain(variable);
    expect(Number.parseInt(service.stop_grace_period ?? '', 10) * 1_000).toBeGreaterThanOrEqual(STOP_MS_MIN);
  });

  it.each(nodes)('mounts what $name opens', (node) => {
    const { secrets = [], configs = [] } = serviceOf(node.name);
    const mounted = secrets.map((secret) => `/run/secrets/${secret}`);
    expect(mounted.toSorted()).toEqual(filesOf(file, node).toSorted());
    const [config] = configs;
    expect(config?.target).toBe(environmentOf(image).MERIDIAN_CLUSTER);
    expect(compose.configs[config?.source ?? '']?.file).toBe('deploy/compose/cluster.yaml');
  });

  it.each(nodes)(
    'has the database and the cache of $name, reached from its region only',
    ({ name, store, cache, region }) => {
      const { host, port, user, database, password, passwordFile, tls } = parsePostgresUrl(store);
      const service = serviceOf(host);
      expect(service.environment).toEqual({
        POSTGRES_USER: user,
        POSTGRES_DB: database,
        POSTGRES_PASSWORD_FILE: passwordFile,
      });
      // In the clear, on a network that holds nothing else.
      expect([port, password, tls.mode, service.image]).toEqual([5432, undefined, 'disable', 'postgres:18']);
      expect(service.networks).toEqual([region]);
      // Where the images of PostgreSQL 18 and later keep their data.
      expect(service.volumes).toEqual([`${host}:/var/lib/postgresql`]);
      const { servers, isCluster } = parseRedisUrl(cache ?? '', 'cache');
      const [redis] = servers;
      expect(serviceOf(redis?.host ?? '')).toMatchObject({ image: 'redis:7', networks: [region] });
      expect([servers.length, isCluster, redis?.port]).toEqual([1, false, 6379]);
      expect(Object.keys(serviceOf(name).depends_on ?? {})).toEqual([host, redis?.host]);
    },
  );

  it('has a health check everywhere, and names nothing that it does not declare', () => {
    expect(services.filter(([, { healthcheck }]) => !healthcheck?.test).map(([name]) => name)).toEqual([]);
    const used = (of: (service: Service) => readonly string[]) =>
      [...new Set(services.flatMap(([, one]) => of(one)))].toSorted();
    expect(used((one) => one.networks)).toEqual(Object.keys(compose.networks).toSorted());
    expect(used((one) => one.secrets ?? [])).toEqual(Object.keys(compose.secrets).toSorted());
    expect(used((one) => (one.volumes ?? []).map((volume) => volume.split(':')[0] ?? ''))).toEqual(
      Object.keys(compose.volumes).toSorted(),
    );
    const published = services.flatMap(([, { ports = [] }]) => ports);
    expect(new Set(published.map((port) => port.split(':')[1])).size).toBe(nodes.length);
  });

  it('finds the secrets that make-secrets makes, once', () => {
    const folder = mkdtempSync(join(tmpdir(), 'meridian-secrets-'));
    try {
      const secrets = join(folder, 'secrets');
      const make = () => spawnSync(join(root, 'deploy/compose/make-secrets'), [secrets], { encoding: 'utf8' });
      expect(make()).toMatchObject({ status: 0, stderr: '' });
      const named = Object.entries(compose.secrets).map(([name, { file: path }]) => [name, path]);
      expect(named).toEqual(named.map(([name]) => [name, `deploy/compose/secrets/${name}`]));
      const made = named.map(([name = '']) => [name, readFileSync(join(secrets, name), 'utf8')] as const);
      expect(new Set(made.map(([, text]) => text)).size).toBe(named.length);
      expect(globSync('*', { cwd: secrets }).toSorted()).toEqual(made.map(([name]) => name).toSorted());
      expect(readSecret(join(secrets, 'cluster')).bytes.length).toBe(64);
      expect(statSync(secrets).mode & 0o777).toBe(0o700);
      expect(make()).toMatchObject({ status: 0, stdout: '' });
      for (const [name, text] of made) expect(readFileSync(join(secrets, name), 'utf8')).toBe(text);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('the Kubernetes manifests', () => {
  const file = parseClusterFile('/etc/meridian/cluster.yaml', read(`${MANIFESTS}/cluster.yaml`));
  const nodes = nodesOf(file);
  const podOf = (node: ClusterNode): Pod => pods.find(({ name }) => name === node.name) as Pod;

  it('are all listed, and make a pod for each node of the cluster file and for nothing else', () => {
    const files = globSync('*.yaml', { cwd: join(root, MANIFESTS) });
    const listed = [
      'kustomization.yaml',
      ...kustomization.resources,
      ...kustomization.configMapGenerator.flatMap((one) => one.files),
    ];
    expect(listed.toSorted()).toEqual(files.toSorted());
    expect(pods.map(({ name }) => name).toSorted()).toEqual(nodes.map(({ name }) => name).toSorted());
  });

  it.each(nodes)('give $name the name and the ports that others dial', (node) => {
    const { subdomain, spec, labels } = podOf(node);
    const domain = `${node.name}.${subdomain}.${kustomization.namespace}.svc.cluster.local`;
    expect([hostOf(node.http), hostOf(node.peer)]).toEqual([domain, domain]);
    const [container] = spec.containers;
    expect(container.ports).toEqual([
      { name: 'http', containerPort: portOf(node.http) },
      { name: 'peer', containerPort: portOf(node.peer) },
    ]);
    expect(exposed).toEqual(container.ports.map(({ containerPort }) => containerPort));
    const [headless] = ofKind('Service').filter(({ metadata }) => metadata.name === subdomain);
    expect(headless?.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
    expect(fits(headless?.spec.selector ?? { none: '' }, labels)).toBe(true);
  });

  it.each(nodes)('start $name by flags and variables that exist', (node) => {
    const { kind, spec } = podOf(node);
    const [{ args, env = [], image: name }] = spec.containers;
    expect(args[0]).toBe('serve');
    for (const flag of args.filter((arg) => arg.startsWith('--'))) expect(NODE_FLAGS).toContain(flag);
    for (const variable of env) expect(VARIABLES).toContain(variable.name);
    const named =
      kind === 'StatefulSet' ? { valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } } : { value: node.name };
    expect(env).toContainEqual({ name: 'MERIDIAN_NODE', ...named });
    expect(kustomization.images.map((one) => one.name)).toContain(name);
    // A service named meridian would make variables that a node refuses.
    expect(spec.enableServiceLinks).toBe(false);
    expect(spec.securityContext).toMatchObject({ runAsUser: imageUser, fsGroup: imageUser });
    expect(spec.terminationGracePeriodSeconds * 1_000).toBeGreaterThanOrEqual(STOP_MS_MIN);
  });

  it.each(nodes)('mount what $name opens', (node) => {
    const { spec, claims, kind } = podOf(node);
    const [{ volumeMounts = [], args }] = spec.containers;
    const mounts = volumeMounts.map(({ mountPath }) => mountPath);
    const opened = [...filesOf(file, node), args[args.indexOf('--cluster') + 1] ?? ''];
    expect(opened.filter((path) => !isUnder(path, mounts))).toEqual([]);
    const declared = [...(spec.volumes ?? []).map(({ name }) => name), ...claims];
    expect(volumeMounts.map(({ name }) => name).toSorted()).toEqual(declared.toSorted());
    const data = volumeMounts.filter(({ name }) => claims.includes(name)).map(({ mountPath }) => mountPath);
    // A store of its own on a volume of its own, or one in a database.
    expect(kind).toBe(isDatabase(node) ? 'Deployment' : 'StatefulSet');
    expect(isUnder(node.store, data)).toBe(!isDatabase(node));
    const [config] = kustomization.configMapGenerator;
    expect(spec.volumes?.flatMap(({ configMap }) => configMap?.name ?? [])).toEqual([config?.name]);
  });

  it('run the cache that a region names', () => {
    for (const { cache } of nodes.filter((node) => node.cache !== undefined)) {
      const [redis] = parseRedisUrl(cache ?? '', 'cache').servers;
      const [service] = ofKind('Service').filter(
        ({ metadata }) => redis?.host === `${metadata.name}.${kustomization.namespace}.svc.cluster.local`,
      );
      expect(service?.spec.ports?.map((one) => one.port)).toEqual([redis?.port]);
      const [pod] = workloads.filter(({ spec }) =>
        fits(service?.spec.selector ?? { none: '' }, spec.template.metadata.labels),
      );
      expect(pod?.spec.template.spec.containers[0].args).toEqual(
        expect.arrayContaining(['--maxmemory-policy', 'allkeys-lru']),
      );
    }
  });

  it('select pods and ports that are there', () => {
    const labels = workloads.map(({ spec }) => spec.template.metadata.labels);
    const ports = workloads.flatMap(({ spec }) => spec.template.spec.containers[0].ports.map(({ name }) => name));
    for (const { kind, metadata, spec } of manifests.filter((one) => one.spec)) {
      const selector = spec.podSelector?.matchLabels ?? spec.selector.matchLabels ?? spec.selector;
      expect([kind, metadata.name, labels.some((own) => fits(selector as Labels, own))]).toEqual([
        kind,
        metadata.name,
        true,
      ]);
      const named = [
        ...(spec.ports ?? []).map((one) => one.targetPort),
        ...(spec.ingress ?? []).flatMap((one) => one.ports.map(({ port }) => port)),
      ];
      expect(named.filter((port) => !ports.includes(port))).toEqual([]);
    }
  });

  it('never restart nodes for a changed cluster file, nor run two of one name', () => {
    expect(kustomization.generatorOptions.disableNameSuffixHash).toBe(true);
    for (const { spec } of ofKind('Deployment')) expect([spec.replicas, spec.strategy?.type]).toEqual([1, 'Recreate']);
  });
});
