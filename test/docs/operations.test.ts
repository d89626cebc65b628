import { globSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseClusterFile } from '@meridian/server/config/cluster-file';
import { parsePostgresUrl } from '@meridian/server/config/postgres-url';
import { parseRedisUrl } from '@meridian/server/config/redis-url';
import { describe, expect, it } from 'vitest';
import {
  compose,
  exposed,
  filesOf,
  image,
  MANIFESTS,
  nodesOf,
  type Pod,
  pods,
  read,
  root,
  services,
  VARIABLES,
  workloads,
} from './deployment-files.ts';
import { environmentOf, lastOf } from './dockerfile.ts';

describe('docs/operations', () => {
  const docker = read('docs/operations/docker.md');
  const kubernetes = read('docs/operations/kubernetes.md');
  const wordsAfter = (page: string, before: RegExp): readonly string[] =>
    [...page.matchAll(before)].map(([, word = '']) => word);

  it('names services of compose.yaml, and the ports that they are published on', () => {
    const named = wordsAfter(docker, /docker compose (?:exec|kill|start|stop) ([\w-]+)/g);
    expect(named.length).toBeGreaterThan(4);
    expect(named.filter((name) => !compose.services[name])).toEqual([]);
    const told = [...docker.matchAll(/([\w-]+) \| <http:\/\/(127\.0\.0\.1:\d+)>/g)].map(
      ([, name, at]) => `${name} ${at}`,
    );
    const published = services.flatMap(([name, { ports = [] }]) =>
      ports.map((port) => `${name} ${port.replace(/:\d+$/, '')}`),
    );
    expect(told.toSorted()).toEqual(published.toSorted());
  });

  it('names workloads that the manifests make', () => {
    const named = [...kubernetes.matchAll(/\b(deployment|statefulset)\/([\w-]+)/g)].map(
      ([, kind, name]) => `${kind}/${name}`,
    );
    const made = workloads.map(({ kind, metadata }) => `${kind.toLowerCase()}/${metadata.name}`);
    expect(named.length).toBeGreaterThan(4);
    expect(named.filter((name) => !made.includes(name))).toEqual([]);
  });

  it('makes every secret that the pods mount, with the files that nodes open', () => {
    const made = [...kubernetes.matchAll(/create secret generic ([\w-]+) (.+)/g)].map(
      ([, name, rest = '']) => [name, wordsAfter(rest, /--from-file=([\w.]+)=/g)] as const,
    );
    const mounted = new Map<string, Set<string>>();
    const file = parseClusterFile('/etc/meridian/cluster.yaml', read(`${MANIFESTS}/cluster.yaml`));
    for (const node of nodesOf(file)) {
      const { spec } = pods.find(({ name }) => name === node.name) as Pod;
      for (const { name, mountPath } of spec.containers[0].volumeMounts ?? []) {
        const secret = spec.volumes?.find((volume) => volume.name === name)?.secret?.secretName;
        if (secret === undefined) continue;
        const opened = filesOf(file, node).filter((path) => dirname(path) === mountPath);
        mounted.set(secret, new Set([...(mounted.get(secret) ?? []), ...opened.map((path) => basename(path))]));
      }
    }
    expect(new Map(made.map(([name, keys]) => [name, new Set(keys)]))).toEqual(mounted);
  });

  it('names the image by paths and ports that it has', () => {
    const paths = wordsAfter(docker, /`(\/(?:etc|var)\/[\w./-]+)`/g);
    expect(paths).toEqual([environmentOf(image).MERIDIAN_CLUSTER, lastOf(image, 'WORKDIR')]);
    for (const port of exposed) expect(docker).toContain(String(port));
    for (const variable of wordsAfter(docker + kubernetes, /`(MERIDIAN_[A-Z_]+)`/g).filter(
      (name) => !/^MERIDIAN_(SERVICE_HOST)?$/.test(name),
    )) {
      expect(VARIABLES).toContain(variable);
    }
  });

  it('writes URLs of databases that Meridian takes, and tells of each of their parameters with its default', () => {
    const pages = globSync('*.md', { cwd: join(root, 'docs/operations') }).map((page) =>
      read(`docs/operations/${page}`),
    );
    const urls = pages.flatMap((page) => wordsAfter(page, /"(postgres:\/\/[^"]{4,})"/g));
    expect(urls.map((url) => parsePostgresUrl(url).host)).toHaveLength(4);
    const rows = [...read('docs/operations/postgres.md').matchAll(/^\| ((?:`[a-z_]+`(?:, )?)+) \| (\S+)/gm)];
    const told = new Map(
      rows.flatMap(([, names = '', fallback = '']) => wordsAfter(names, /`(\w+)`/g).map((name) => [name, fallback])),
    );
    let problem = '';
    try {
      parsePostgresUrl('postgres://u@h/d?no_such=1');
    } catch (error) {
      problem = (error as Error).message;
    }
    const known = problem.replace(/^.*: expected one of /, '').split(', ');
    expect(known.length).toBeGreaterThan(4);
    expect([...told.keys()].filter((name) => known.includes(name)).toSorted()).toEqual(known.toSorted());
    const { poolSize, statementTimeoutMs, schema } = parsePostgresUrl('postgres://u@h/d');
    expect(['pool', 'statement_timeout', 'schema'].map((name) => told.get(name))).toEqual([
      String(poolSize),
      String(statementTimeoutMs),
      `\`${schema}\``,
    ]);
  });

  it('tells of each parameter of a cache, with its default', () => {
    const page = read('docs/operations/redis.md');
    const rows = [...page.matchAll(/^\| `([a-z_]+)` \| `(\S+)` \|/gm)].map(([, name = '', fallback = '']) => [
      name,
      fallback,
    ]);
    const given = new URLSearchParams(rows);
    expect(parseRedisUrl(`redis://h?${given}`, 'cache')).toEqual(parseRedisUrl('redis://h', 'cache'));
    expect(() => parseRedisUrl('redis://h?no_such=1', 'cache')).toThrow(`there are ${[...given.keys()].join(', ')}`);
    const urls = [page, read('docs/operations/choosing-an-engine.md')].flatMap((text) =>
      wordsAfter(text, /"(redis:\/\/[^"]+)"/g),
    );
    expect(urls.map((url) => parseRedisUrl(url, 'cache').servers.length)).toEqual([1, 1, 1]);
  });
});
