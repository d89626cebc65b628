import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ClusterRegion, findNode, linkRttMs, parseClusterFile, readClusterFile } from './cluster-file.ts';
import { layoutOf, nodesOfOtherCache } from './cluster-layout.ts';

const SHOP = `
cluster: shop
secretFile: ./cluster.secret
regions:
  - name: us-east
    latitude: 38.9
    longitude: -77.4
    nodes:
      - { name: us-1, http: 127.0.0.1:8001, peer: 127.0.0.1:9001, store: ./data/us-1 }
  - name: mars
    latitude: 50.1
    longitude: 8.7
    nodes:
      - { name: ma-1, http: "[::1]:8002", peer: host.example:9002, store: /data/ma-1, storeName: red, capacity: 2.5 }
wan: { rtt: { "us-east|mars": 90 } }
`;

const parse = (text: string) => parseClusterFile('/etc/shop/cluster.yaml', text);

describe('a cluster file', () => {
  it('is read with paths relative to its own folder and defaults filled in', () => {
    const file = parse(SHOP);
    expect(file.secretFile).toBe(resolve('/etc/shop/cluster.secret'));
    expect(findNode(file, 'us-1')?.node).toMatchObject({
      store: resolve('/etc/shop/data/us-1'),
      storeName: 'us-1',
      capacity: 1,
    });
    expect(findNode(file, 'ma-1')?.node).toMatchObject({ store: '/data/ma-1', storeName: 'red', capacity: 2.5 });
    expect(findNode(file, 'us-2')).toBeUndefined();
  });

  it('becomes the first layout', () => {
    const layout = layoutOf(parse(SHOP));
    expect(layout).toMatchObject({ version: 1, cluster: 'shop' });
    expect(layout.regions[1]).toMatchObject({
      name: 'mars',
      stores: [{ name: 'red', region: 'mars', capacity: 2.5 }],
      nodes: [{ name: 'ma-1', store: 'red', peer: 'host.example:9002' }],
    });
  });

  describe('with nodes that share a database', () => {
    const sharing = (nodes: string): string => SHOP.replace(/ {6}- \{ name: us-1.*\n/, nodes);
    const TWO = `      - { name: us-1, http: 127.0.0.1:8001, peer: 127.0.0.1:9001, store: "postgres://a@db/shop", cache: "redis://r" }
      - { name: us-2, http: 127.0.0.1:8011, peer: 127.0.0.1:9011, store: "postgresql://b:c@db:5432/shop?pool=4", cache: "redis://b:c@r:6379/0?ttl=9s" }
`;

    it('has one store for them, under the name of the first', () => {
      const file = parse(sharing(TWO));
      expect(file.regions[0]?.nodes.map(({ storeName }) => storeName)).toEqual(['us-1', 'us-1']);
      expect(findNode(file, 'us-1')?.node).toMatchObject({ store: 'postgres://a@db/shop', cache: 'redis://r' });
      expect(layoutOf(file).regions[0]).toMatchObject({
        stores: [{ name: 'us-1', region: 'us-east', capacity: 1 }],
        nodes: [
          { name: 'us-1', store: 'us-1' },
          { name: 'us-2', store: 'us-1' },
        ],
      });
    });

    it('takes its name and capacity from whichever node says them', () => {
      const file = parse(sharing(TWO.replace('pool=4"', 'pool=4", storeName: orders, capacity: 3')));
      expect(layoutOf(file).regions[0]?.stores).toEqual([{ name: 'orders', region: 'us-east', capacity: 3 }]);
    });

    it('has two stores in two databases, or in two schemas of one', () => {
      for (const other of ['db/other', 'db/shop?schema=other']) {
        const file = parse(sharing(TWO.replace('db:5432/shop?pool=4', other)));
        expect(layoutOf(file).regions[0]?.stores.map(({ name }) => name)).toEqual(['us-1', 'us-2']);
      }
    });

    it('does not take two names for one store', () => {
      const two = TWO.replace('pool=4"', 'pool=4", storeName: orders').replace(
        '"redis://r"',
        '"redis://r", storeName: shop',
      );
      expect(failureOf(() => parse(sharing(two))).message).toContain(
        "regions[0].nodes[0].storeName: regions[0].nodes[1] shares the store, and has 'orders' here",
      );
    });

    it('tells nodes of another cache, however they log in there: what one writes would not be told to that of another', () => {
      const second = /(?<=shop\?pool=4"), cache: "[^"]*"/;
      const apart = (text: string) => {
        const region = parse(sharing(text)).regions[0] as ClusterRegion;
        return region.nodes.map((node) => nodesOfOtherCache(region, node));
      };
      expect(apart(TWO)).toEqual([[], []]);
      for (const other of [
        '',
        ', cache: "redis://other"',
        ', cache: "redis://r/1"',
        ', cache: "redis://r?prefix=x:"',
      ]) {
        expect(apart(TWO.replace(second, other))).toEqual([['us-2'], ['us-1']]);
      }
      expect(apart(TWO.replaceAll(/, cache: "[^"]*"/g, ''))).toEqual([[], []]);
      const cluster = (hosts: string) => `, cache: "redis+cluster://${hosts}"`;
      const clusters = TWO.replace(second, cluster('b:7001,c')).replace(', cache: "redis://r"', cluster('a:7000,b'));
      expect(apart(clusters)).toEqual([[], []]);
    });
  });

  it('takes round trips from the file first, either way round', () => {
    expect(linkRttMs(parse(SHOP), 'mars', 'us-east')).toBe(90);
    expect(linkRttMs(parse(SHOP), 'mars', 'mars')).toBe(0);
    expect(linkRttMs(parse(SHOP.replace(/wan:.*/, '').replaceAll('mars', 'eu-central')), 'us-east', 'eu-central')).toBe(
      91,
    );
    const estimated = linkRttMs(parse(SHOP.replace(/wan:.*/, '')), 'us-east', 'mars');
    expect(estimated).toBeGreaterThan(80);
    expect(estimated).toBeLessThan(120);
  });

  it.each([
    [
      'an unknown field',
      ['latitude: 38.9', 'latitud: 38.9'],
      "regions[0].latitud: unknown field, did you mean 'latitude'?",
    ],
    [
      'an unknown field of a node',
      ['store: ./data/us-1', 'store: ./data/us-1, cash: x'],
      "regions[0].nodes[0].cash: unknown field, did you mean 'cache'?",
    ],
    ['a missing field', [', peer: 127.0.0.1:9001', ''], 'regions[0].nodes[0].peer: is missing'],
    ['a wrong type', ['latitude: 38.9', 'latitude: north'], "regions[0].latitude: expected a number, found 'north'"],
    ['a latitude off the map', ['latitude: 38.9', 'latitude: 91'], 'regions[0].latitude: must be <= 90, found 91'],
    ['an impossible name', ['name: us-1,', 'name: US_1,'], "regions[0].nodes[0].name: 'US_1' is not a name of 1 to 63"],
    ['a name that is too long', ['cluster: shop', `cluster: ${'a'.repeat(64)}`], 'cluster: '],
    [
      'two regions of one name',
      ['name: mars', 'name: us-east'],
      "regions[1].name: the region 'us-east' is taken by regions[0].name already",
    ],
    ['two nodes of one name', ['name: ma-1', 'name: us-1'], "regions[1].nodes[0].name: the node 'us-1' is taken"],
    [
      'one address twice',
      ['host.example:9002', '127.0.0.1:8001'],
      "regions[1].nodes[0].peer: the address '127.0.0.1:8001' is taken by regions[0].nodes[0].http",
    ],
    [
      'a store name in two regions',
      ['storeName: red', 'storeName: us-1'],
      "regions[1].nodes[0].storeName: the store name 'us-1' is taken",
    ],
    [
      'one folder for two stores',
      ['/data/ma-1', 'data/us-1/'],
      "regions[1].nodes[0].store: the embedded store 'data/us-1' is taken",
    ],
    [
      'a port that is none',
      ['127.0.0.1:8001', '127.0.0.1:65536'],
      "regions[0].nodes[0].http: '127.0.0.1:65536' is not host:port",
    ],
    ['an address without a port', ['127.0.0.1:8001', 'localhost'], "'localhost' is not host:port"],
    [
      'a cache in front of a folder',
      ['store: ./data/us-1', 'store: ./data/us-1, cache: "redis://x"'],
      'regions[0].nodes[0].cache: an embedded store needs no cache',
    ],
    [
      'a database without a user',
      ['./data/us-1', '"postgres://db/x"'],
      'regions[0].nodes[0].store: the URL names no user: postgres://USER@HOST/DATABASE',
    ],
    [
      'a cache that is none',
      ['store: ./data/us-1', 'store: "postgres://me@db/x", cache: "memcached://x"'],
      'regions[0].nodes[0].cache: expected redis://',
    ],
    [
      'a database in two regions',
      ['./data/us-1', '"postgres://me@db/x"', '/data/ma-1', '"postgres://me:secret@db:5432/x"'],
      'regions[1].nodes[0].store: the database is that of regions[0].nodes[0] already, in another region',
    ],
    ['another engine', ['./data/us-1', '"mysql://me:secret@db/x"'], "no engine is known for 'mysql://db/x'"],
    [
      'a link of an unknown region',
      ['us-east|mars', 'us-est|mars'],
      `wan.rtt["us-est|mars"]: there is no region 'us-est', did you mean 'us-east'?`,
    ],
    ['a link of one region', ['us-east|mars', 'mars|mars'], "a link is named 'region|region', of two regions"],
    [
      'a link named twice',
      ['"us-east|mars": 90', '"us-east|mars": 90, "mars|us-east": 80'],
      'the link is named already',
    ],
    ['a negative round trip', [': 90 }', ': -1 }'], 'must be >= 0, found -1'],
    ['a capacity of nothing', ['capacity: 2.5', 'capacity: 0'], 'regions[1].nodes[0].capacity: must be > 0, found 0'],
    [
      'no regions',
      [SHOP.slice(SHOP.indexOf('regions:'), SHOP.indexOf('wan:')), 'regions: []\n'],
      'regions: must not be empty',
    ],
    ['a key twice', ['cluster: shop', 'cluster: shop\ncluster: shop'], 'Map keys must be unique'],
    ['an alias of nothing', ['cluster: shop', 'cluster: *shop'], 'Unresolved alias'],
    ['aliases without end', ['cluster: shop', `${endlessAliases()}cluster: shop`], 'Excessive alias count'],
    ['two documents', ['cluster: shop', 'cluster: shop\n---\ncluster: shop'], "expected one document, found '---'"],
    ['what is not YAML', ['cluster: shop', 'cluster: [shop'], '/etc/shop/cluster.yaml: '],
  ] as const)('names %s in one line', (_what, [from, to, ...more], expected) => {
    expect(SHOP).toContain(from);
    const [alsoFrom = '', alsoTo = ''] = more;
    const failure = failureOf(() => parse(SHOP.replace(from, to).replace(alsoFrom, alsoTo)));
    expect(failure.message).not.toContain('secret@');
    expect(failure.name).toBe('SettingError');
    expect(failure.message).toContain(expected);
    expect(failure.message).toMatch(/^\/etc\/shop\/cluster\.yaml: [^\n]+$/);
  });

  it('is named where it is missing or empty', () => {
    expect(failureOf(() => readClusterFile('/nowhere/cluster.yaml')).message).toBe(
      '/nowhere/cluster.yaml: there is no such cluster file',
    );
    expect(failureOf(() => parse('')).message).toContain('expected a mapping, found nothing');
  });
});

/** Each of them stands for nine of the one before. */
function endlessAliases(): string {
  const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x]'];
  for (let at = 1; at < 8; at++) lines.push(`a${at}: &a${at} [${new Array<string>(9).fill(`*a${at - 1}`).join()}]`);
  return `${lines.join('\n')}\n`;
}

function failureOf(act: () => unknown): Error {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  throw new Error('did not fail');
}
