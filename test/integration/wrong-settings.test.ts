import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freeBasePort } from '../support/free-ports.ts';
import { runMeridian } from '../support/meridian-process.ts';

interface Case {
  readonly what: string;
  readonly args: readonly string[];
  /** Changes the cluster file that is otherwise right; `P` stands for a free port, `TAKEN` for one that is not. */
  readonly cluster?: (text: string) => string;
  readonly env?: Readonly<Record<string, string>>;
  /** Further files, by name. */
  readonly files?: Readonly<Record<string, string>>;
  readonly line: RegExp;
  readonly code: number;
}

const SERVE = ['serve', '--cluster', 'cluster.yaml', '--node', 'us-1'];
const CLUSTER = `cluster: shop
secretFile: ./cluster.secret
regions:
  - name: us-east
    latitude: 38.9
    longitude: -77.4
    nodes:
      - { name: us-1, http: "127.0.0.1:P0", peer: "127.0.0.1:P1", store: ./us-1 }
  - name: eu-central
    latitude: 50.1
    longitude: 8.7
    nodes:
      - { name: eu-1, http: "127.0.0.1:P2", peer: "127.0.0.1:P3", store: ./eu-1 }
`;

const CASES: readonly Case[] = [
  { what: 'a command that is none', args: ['srve'], line: /unknown command 'srve'/, code: 2 },
  { what: 'a flag that is none', args: [...SERVE, '--wan-lob'], line: /unknown option '--wan-lob'/, code: 2 },
  {
    what: 'a variable that is none',
    args: SERVE,
    env: { MERIDIAN_LOG_LEVLE: 'info' },
    line: /MERIDIAN_LOG_LEVLE: there is no such setting.*MERIDIAN_LOG_LEVEL/,
    code: 2,
  },
  {
    what: 'a level of logs that is none',
    args: SERVE,
    env: { MERIDIAN_LOG_LEVEL: 'loud' },
    line: /MERIDIAN_LOG_LEVEL: expected one of .*found 'loud'/,
    code: 2,
  },
  {
    what: 'a size without sense',
    args: [...SERVE, '--value-bytes-max', '8 MB'],
    line: /--value-bytes-max: expected bytes.*found '8 MB'/,
    code: 2,
  },
  {
    what: 'a port out of range',
    args: ['demo', '--base-port', '70000'],
    line: /--base-port: expected a whole number from 1 to 63000, found '70000'/,
    code: 2,
  },
  {
    what: 'a region without a place',
    args: ['demo', '--regions', 'us-east,eu-centrl'],
    line: /--regions: no place is known for 'eu-centrl'.*eu-central/,
    code: 2,
  },
  {
    what: 'an engine that is none',
    args: ['demo', '--engine', 'oracle'],
    line: /--engine: no engine 'oracle'/,
    code: 2,
  },
  {
    what: 'a node that is not said',
    args: ['serve', '--cluster', 'cluster.yaml'],
    line: /--node: say which node/,
    code: 2,
  },
  {
    what: 'a node that the file does not name',
    args: ['serve', '--cluster', 'cluster.yaml', '--node', 'us-2'],
    line: /names no node 'us-2'.*us-1/,
    code: 2,
  },
  {
    what: 'a cluster file that is not there',
    args: ['serve', '--cluster', 'none.yaml', '--node', 'us-1'],
    line: /none\.yaml: there is no such cluster file/,
    code: 2,
  },
  {
    what: 'a cluster file that is not YAML',
    args: SERVE,
    cluster: (text) => `${text}  - [`,
    line: /cluster\.yaml: .+/,
    code: 2,
  },
  {
    what: 'a field that is none',
    args: SERVE,
    cluster: (text) => text.replace('latitude', 'lattitude'),
    line: /cluster\.yaml: regions\[0\]\.lattitude: unknown field.*latitude/,
    code: 2,
  },
  {
    what: 'a place off the globe',
    args: SERVE,
    cluster: (text) => text.replace('38.9', '138.9'),
    line: /regions\[0\]\.latitude: .*138\.9/,
    code: 2,
  },
  {
    what: 'two nodes of one name',
    args: SERVE,
    cluster: (text) => text.replace('name: eu-1', 'name: us-1'),
    line: /regions\[1\]\.nodes\[0\]\.name: the node 'us-1' is taken/,
    code: 2,
  },
  {
    what: 'two nodes at one address',
    args: SERVE,
    cluster: (text) => text.replace('P2', 'P0'),
    line: /regions\[1\]\.nodes\[0\]\.http: the address .* is taken/,
    code: 2,
  },
  {
    what: 'two nodes on one store',
    args: SERVE,
    cluster: (text) => text.replace('./eu-1', 'us-1/'),
    line: /regions\[1\]\.nodes\[0\]\.store: the embedded store/,
    code: 2,
  },
  {
    what: 'an address without a port',
    args: SERVE,
    cluster: (text) => text.replace('"127.0.0.1:P0"', 'localhost'),
    line: /regions\[0\]\.nodes\[0\]\.http: 'localhost' is not host:port/,
    code: 2,
  },
  {
    what: 'a database without a user',
    args: SERVE,
    cluster: (text) => text.replace('./us-1', '"postgres://db/shop"'),
    line: /nodes\[0\]\.store: the URL names no user/,
    code: 2,
  },
  {
    what: 'a link to nowhere',
    args: SERVE,
    cluster: (text) => `${text}wan: { rtt: { "us-east|mars": 9000 } }\n`,
    line: /wan\.rtt\["us-east\|mars"\]: there is no region 'mars'/,
    code: 2,
  },
  {
    what: 'a secret that is not there',
    args: SERVE,
    cluster: (text) => text.replace('cluster.secret', 'no.secret'),
    line: /no\.secret: there is no such secret file/,
    code: 2,
  },
  {
    what: 'a secret that is too short',
    args: SERVE,
    cluster: (text) => text.replace('cluster.secret', 'short.secret'),
    files: { 'short.secret': 'hunter2' },
    line: /short\.secret: the secret has 7 bytes, at least 16/,
    code: 2,
  },
  {
    what: 'a settings file with a key that is none',
    args: SERVE,
    files: { 'meridian.yaml': 'log-levle: info\n' },
    line: /meridian\.yaml: log-levle: there is no such setting.*log-level/,
    code: 2,
  },
  {
    what: 'a settings file that is not there',
    args: SERVE,
    env: { MERIDIAN_CONFIG: 'none.yaml' },
    line: /none\.yaml: there is no such settings file/,
    code: 2,
  },
  {
    what: 'an HTTP port that is taken',
    args: SERVE,
    cluster: (text) => text.replace('P0', 'TAKEN'),
    line: /127\.0\.0\.1:\d+ is taken by another process/,
    code: 1,
  },
  {
    what: 'a peer port that is taken',
    args: SERVE,
    cluster: (text) => text.replace('P1', 'TAKEN'),
    line: /127\.0\.0\.1:\d+ is taken by another process/,
    code: 1,
  },
  {
    what: 'a store where there is a file',
    args: SERVE,
    cluster: (text) => text.replace('./us-1', './a-file'),
    files: { 'a-file': 'x' },
    line: /a-file is not a directory/,
    code: 1,
  },
  {
    what: 'a store below a file',
    args: SERVE,
    cluster: (text) => text.replace('./us-1', './a-file/us-1'),
    files: { 'a-file': 'x' },
    line: /a-file.*is not a directory/,
    code: 1,
  },
  {
    what: 'a store whose data is none',
    args: SERVE,
    files: { 'us-1/data.mdb': 'x'.repeat(10_000) },
    line: /us-1 cannot be opened: data\.mdb is not a database/,
    code: 1,
  },
  {
    what: 'an endpoint that is none',
    args: ['get', 'a', '--endpoint', 'ftp://127.0.0.1'],
    line: /--endpoint: expected an http or https URL/,
    code: 2,
  },
];

describe('a wrong setting stops the start with one line', () => {
  let taken: Server;
  let takenPort: number;
  let root: string;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'meridian-settings-'));
    takenPort = await freeBasePort(1);
    taken = createServer();
    await new Promise<void>((resolve) => taken.listen(takenPort, '127.0.0.1', resolve));
  });

  afterAll(async () => {
    await new Promise((resolve) => taken.close(resolve));
    await rm(root, { recursive: true, force: true });
  });

  it.concurrent.each(CASES.map((one) => [one.what, one] as const))(
    '%s',
    async (what, { args, cluster = (text) => text, env = {}, files = {}, line, code }) => {
      const folder = join(root, what.replaceAll(' ', '-'));
      const basePort = await freeBasePort(4);
      await mkdir(join(folder, 'us-1'), { recursive: true });
      const text = cluster(CLUSTER)
        .replaceAll(/P(\d)/g, (_, at: string) => String(basePort + Number(at)))
        .replaceAll('TAKEN', String(takenPort));
      await writeFile(join(folder, 'cluster.yaml'), text);
      await writeFile(join(folder, 'cluster.secret'), 'a secret of more than sixteen bytes', { mode: 0o600 });
      for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
      const ended = await runMeridian(args, { folder, env });
      expect(ended.stderr).toEqual([expect.stringMatching(new RegExp(`^meridian: .*${line.source}`))]);
      expect(ended.stdout.filter((said) => !said.startsWith('{'))).toEqual([]);
      expect(ended.code).toBe(code);
    },
  );
});
