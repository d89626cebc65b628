import {
  linkSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failingOutput, runCommand, type Setting } from './command-line.testing.ts';
import { FakeNode } from './fake-node.testing.ts';

let node: FakeNode;
let folder: string;
beforeEach(async () => {
  node = new FakeNode();
  await node.start();
  folder = mkdtempSync(join(tmpdir(), 'meridian-cli-'));
});
afterEach(async () => {
  await node.stop();
  rmSync(folder, { recursive: true });
});

const meridian = (args: readonly string[], setting: Setting = {}) =>
  runCommand(args, { folder, ...setting, env: { MERIDIAN_ENDPOINT: node.endpoint, ...setting.env } });

describe('put and get', () => {
  it('keep JSON as it was written, and print it so where the output is piped', async () => {
    expect(await meridian(['put', 'big', '{"n":12345678901234567890,"x":1.0}'])).toEqual({ code: 0, out: '', err: '' });
    expect(await meridian(['get', 'big'])).toEqual({ code: 0, out: '{"n":12345678901234567890,"x":1.0}', err: '' });
    expect(JSON.parse((await meridian(['get', 'big', '--json'])).out)).toMatchObject({ key: 'big', conflict: false });
    expect((await meridian(['get', 'big', '--json'])).out).toContain('12345678901234567890');
  });

  it('keep what is not JSON as text, and files as their bytes', async () => {
    await meridian(['put', 'note', 'hello there']);
    expect((await meridian(['get', 'note'])).out).toBe('hello there');
    expect((await meridian(['get', 'note'], { isTerminal: true })).out).toBe('hello there\n');
    writeFileSync(join(folder, 'x.png'), Buffer.from([0, 255, 1]));
    await meridian(['put', 'photo', '--file', 'x.png', '--type', 'image/png']);
    expect(node.values.get('default\0photo')).toEqual({ bytes: Buffer.from([0, 255, 1]), contentType: 'image/png' });
    expect((await meridian(['get', 'photo'], { isTerminal: true })).out).toContain('<3 B of image/png');
    await meridian(['put', 'piped', '-'], { stdin: 'from stdin' });
    expect((await meridian(['get', 'piped'])).out).toBe('from stdin');
  });

  it('create what put would write: the digits, the text, the bytes', async () => {
    const bytes = Buffer.from([0, 255, 254, 65]);
    writeFileSync(join(folder, 'x.png'), bytes);
    for (const args of [
      ['n', '{"n":12345678901234567890,"x":1.0}'],
      ['note', 'hello there'],
      ['bytes', '--file', 'x.png'],
      ['photo', '--file', 'x.png', '--type', 'image/png'],
    ]) {
      const [key, ...value] = args;
      expect((await meridian(['put', `put ${key}`, ...value])).code).toBe(0);
      expect((await meridian(['put', `new ${key}`, ...value, '--create'])).code).toBe(0);
      expect(node.values.get(`default\0new ${key}`)).toEqual(node.values.get(`default\0put ${key}`));
    }
    expect(node.values.get('default\0new photo')).toEqual({ bytes, contentType: 'image/png' });
  });

  it('never let a value steer the terminal', async () => {
    await meridian(['put', 'evil', 'a\u001b[2Jb']);
    expect((await meridian(['get', 'evil'], { isTerminal: true })).out).toBe('a\ufffd[2Jb\n');
    // JSON keeps control characters beyond ASCII as they are; U+009B does what ESC [ does.
    await meridian(['put', 'evil', '"a\u009b2Jb"']);
    expect((await meridian(['get', 'evil'], { isTerminal: true })).out).toBe('"a\ufffd2Jb"\n');
    expect((await meridian(['list', '--values'], { isTerminal: true })).out).toBe('evil\t"a\ufffd2Jb"\n');
    expect((await meridian(['get', 'evil'])).out).toBe('"a\u009b2Jb"');
    await meridian(['put', 'a\u001b[2Jb', '1']);
    expect((await meridian(['delete', 'a\u001b[2Jb'], { isTerminal: true })).out).toBe('deleted "a\\u001b[2Jb"\n');
  });

  it('show concurrent values, the winner first', async () => {
    const siblings = [
      { value: { items: 3 }, region: 'eu-central', time: '2026-11-23T03:00:00.000Z' },
      { value: 'x', region: 'us-east', time: '2026-11-23T02:00:00.000Z' },
    ];
    node.intercept = () => ({
      status: 200,
      body: { key: 'cart', ...siblings[0], context: 'c', conflict: true, siblings, expiresAt: null },
    });
    const { out } = await meridian(['get', 'cart'], { isTerminal: true });
    expect(out).toContain('2 concurrent values');
    expect(out.indexOf('eu-central')).toBeLessThan(out.indexOf('us-east'));
    expect(out).toContain('  {\n    "items": 3\n  }');
  });

  it('work in another namespace, at a level, with a receipt', async () => {
    await meridian(['put', 'a/b', '1', '--namespace', 'shop', '--consistency', 'quorum']);
    expect(node.requests[0]?.path).toBe('/namespaces/shop/kv/a%2Fb?consistency=quorum');
    const { err } = await meridian(['get', 'a/b', '--namespace', 'shop', '--receipt', '--json']);
    expect(err).toBe('');
    expect((await meridian(['get', 'a/b', '--namespace', 'shop', '--receipt'], { isTerminal: true })).err).toContain(
      'quorum at us-east-1 in us-east · 2 of 3 replicas',
    );
  });

  it('ask for a level only where somebody has named one', async () => {
    await meridian(['put', 'k', '1']);
    await meridian(['put', 'k', '1'], { env: { MERIDIAN_CONSISTENCY: 'quorum' } });
    await meridian(['put', 'k', '1', '--consistency', 'strong'], { env: { MERIDIAN_CONSISTENCY: 'quorum' } });
    expect(node.requests.map(({ path }) => path)).toEqual([
      '/kv/k',
      '/kv/k?consistency=quorum',
      '/kv/k?consistency=strong',
    ]);
  });

  it('draw what a request waited for, of an answer that there is nothing too', async () => {
    const drawn =
      /round 1 {2}eu-central-1 {2}eu-central {2}━+ +91 ms\n1 round · 2 of 3 replicas answered · 91 ms in all\n/;
    for (const args of [
      ['put', 'k', '1'],
      ['get', 'k'],
      ['delete', 'k'],
      ['get', 'k'],
    ])
      expect((await meridian([...args, '--explain'])).err).toMatch(drawn);
    const { out, err } = await meridian(['put', 'k', '1', '--explain', '--json']);
    expect(err).toBe('');
    expect(JSON.parse(out)).toMatchObject({ etag: 'v3.1', receipt: { rounds: 1, hops: [{ ms: 91 }] } });
    for (const args of [
      ['get', 'k'],
      ['delete', 'k'],
    ])
      expect(JSON.parse((await meridian([...args, '--explain', '--json'])).out)).toMatchObject({
        key: 'k',
        receipt: { rounds: 1 },
      });
    for (const flag of ['--explain', '--receipt']) {
      const missing = await meridian(['get', 'none', flag, '--json']);
      expect(JSON.parse(missing.err)).toMatchObject({ code: 'KEY_NOT_FOUND', exitCode: 3, receipt: { rounds: 1 } });
    }
    expect(JSON.parse((await meridian(['get', 'none', '--json'])).err)).not.toHaveProperty('receipt');
  });

  it('carry a session in a file from one command to the next', async () => {
    await meridian(['put', 'k', '1', '--session', 's.token']);
    await meridian(['get', 'k', '--session', 's.token']);
    expect(node.requests[0]?.headers['meridian-session']).toBeUndefined();
    expect(node.requests[0]?.path).toContain('consistency=session');
    expect(node.requests[1]?.headers['meridian-session']).toBe('token-1');
    expect(readFileSync(join(folder, 's.token'), 'utf8')).toBe('token-2\n');
    // What a refusal tells, the session has seen.
    expect((await meridian(['put', 'k', '1', '--create', '--session', 's.token'])).code).toBe(4);
    expect(readFileSync(join(folder, 's.token'), 'utf8')).toBe('token-3\n');
  });

  it('put a new token in the place of the old one, and never an empty file between them', async () => {
    const path = join(folder, 's.token');
    writeFileSync(path, 'old\n', { mode: 0o640 });
    // Whoever has the old file open still reads the old token, whole.
    linkSync(path, join(folder, 'before'));
    symlinkSync(path, join(folder, 'link'));
    await meridian(['put', 'k', '1', '--session', 'link']);
    expect(readFileSync(path, 'utf8')).toBe('token-1\n');
    expect(readFileSync(join(folder, 'before'), 'utf8')).toBe('old\n');
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(lstatSync(join(folder, 'link')).isSymbolicLink()).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['before', 'link', 's.token']);
  });

  it('write a token into the old file where none can be put in its place', async () => {
    const path = join(folder, 's.token');
    const inTheWay = join(folder, `s.token.${process.pid}.partial`);
    writeFileSync(path, 'old\n');
    writeFileSync(join(folder, 'else'), 'mine');
    symlinkSync(join(folder, 'else'), inTheWay);
    await meridian(['put', 'k', '1', '--session', 's.token']);
    expect(readFileSync(path, 'utf8')).toBe('token-1\n');
    expect(readFileSync(join(folder, 'else'), 'utf8')).toBe('mine');
    expect(lstatSync(inTheWay).isSymbolicLink()).toBe(true);
  });

  it('never put a file in the place of a device that is named for a session', async () => {
    expect((await meridian(['put', 'k', '1', '--session', '/dev/null'])).code).toBe(0);
    expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  it('write nothing under a session whose token has no place', async () => {
    for (const file of ['.', 'missing/s.token']) {
      const { code, err } = await meridian(['put', 'k', '1', '--session', file]);
      expect(code).toBe(2);
      expect(err).toMatch(/^meridian: .*cannot keep a session token \((EISDIR|ENOENT)\)\n$/);
    }
    expect(node.requests).toEqual([]);
  });
});

describe('conditions', () => {
  it('name the tag that get has shown, however it is quoted', async () => {
    await meridian(['put', 'k', '1']);
    const { etag } = JSON.parse((await meridian(['get', 'k', '--json'])).out) as { etag: string };
    expect(etag).toBe('v3.1');
    for (const tag of [etag, `"${etag}"`, '*'])
      expect((await meridian(['put', 'k', '2', '--if-match', tag])).code).toBe(0);
    expect(await meridian(['put', 'k', '9', '--if-match', 'v2.1'])).toEqual({
      code: 4,
      out: '',
      err: 'meridian: the key has another version than the one named (CONDITION_FAILED)\n',
    });
    expect((await meridian(['delete', 'k', '--if-match', 'v2.1'])).code).toBe(4);
    expect((await meridian(['get', 'k'])).out).toBe('2');
    expect((await meridian(['delete', 'k', '--if-match', etag])).code).toBe(0);
  });

  it('say so where they can never hold, and not that somebody else was faster', async () => {
    node.intercept = () => ({ status: 409, body: { code: 'CONDITION_NEEDS_STRONG_NAMESPACE', detail: 'no' } });
    expect((await meridian(['put', 'k', '1', '--if-match', 'v1.1'])).code).toBe(1);
  });

  it('send an idempotency key as it is', async () => {
    await meridian(['put', 'k', '1', '--idempotency-key', 'order 7']);
    await meridian(['put', 'n', '1', '--create', '--idempotency-key', 'order 8']);
    await meridian(['delete', 'k', '--idempotency-key', 'order 9']);
    expect(node.requests.map(({ method, headers }) => [method, headers['idempotency-key']])).toEqual([
      ['PUT', 'order 7'],
      ['POST', 'order 8'],
      ['DELETE', 'order 9'],
    ]);
  });
});

describe('exit codes', () => {
  it('tell what kind of failure it was, with one line', async () => {
    expect(await meridian(['get', 'none'])).toEqual({ code: 3, out: '', err: 'meridian: "none" is not found\n' });
    expect((await meridian(['delete', 'none'])).code).toBe(3);
    await meridian(['put', 'k', '1']);
    expect((await meridian(['put', 'k', '2', '--create'])).code).toBe(4);
    expect((await meridian(['delete', 'k'])).code).toBe(0);
    expect((await meridian(['get', '..'])).err).toBe(
      'meridian: .. is a dot segment of a path, not a key (INVALID_KEY)\n',
    );
    node.intercept = () => ({
      status: 503,
      body: {
        code: 'QUORUM_UNAVAILABLE',
        detail: 'Too few replicas answer.',
        required: 2,
        reached: 1,
        missingRegions: ['eu-central'],
      },
    });
    expect(await meridian(['get', 'k'])).toEqual({
      code: 1,
      out: '',
      err: 'meridian: Too few replicas answer.: required 2, reached 1, missing eu-central (QUORUM_UNAVAILABLE)\n',
    });
    const away = await meridian(['get', 'k', '--endpoint', 'http://127.0.0.1:9']);
    expect(away.code).toBe(5);
    expect(away.err).toMatch(/^meridian: http:\/\/127\.0\.0\.1:9 does not answer: [^\n]+\n$/);
  });

  it('do not take the page of another server for an answer about a key', async () => {
    node.intercept = () => ({ status: 404, body: { code: 'NO_SUCH_PATH', detail: 'There is nothing here.' } });
    expect((await meridian(['get', 'k'])).code).toBe(1);
    const page = createServer((request, response) => request.resume().on('end', () => response.end('<html>')));
    await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(page.address() as AddressInfo).port}`;
    try {
      for (const args of [
        ['get', 'k'],
        ['put', 'k', '1'],
        ['put', 'k', 'text', '--create'],
        ['delete', 'k'],
      ])
        expect(await meridian([...args, '--endpoint', endpoint])).toEqual({
          code: 1,
          out: '',
          err: `meridian: ${endpoint} answers as no node of Meridian does (NOT_MERIDIAN)\n`,
        });
    } finally {
      page.closeAllConnections();
      page.close();
    }
  });

  it.each([
    [['get']],
    [['nope']],
    [['get', 'k', '--nope']],
    [['put', 'k']],
    [['put', 'k', '1', '--ttl', '0']],
    [['put', 'k', '1', '--if-match', '']],
    [['put', 'k', '1', '--idempotency-key', '']],
    [['put', 'k', '1', '--context', '\u2713']],
    [['put', 'k', '1', '--context', '']],
    [['put', 'k', '1', '--type', 'a/b\nc']],
    [['delete', 'k', '--context', '\u2713']],
    [['put', 'k', '1', '--create', '--if-match', 'v1.1']],
    [['delete', 'a', 'b', '--if-match', 'v1.1']],
    [['delete', 'a', 'b', '--idempotency-key', 'x']],
    [['get', 'k', '--consistency', 'much']],
    [['list', '--limit', '0']],
    [['import', 'missing.ndjson']],
    [['demo', '--engine', 'mysql']],
    [['demo', '--data-dir', '/dev/null']],
    [['demo', '--data-dir', '/proc/none']],
    [['demo', '--data-dir', '/proc/none/deeper']],
    [['export', '.']],
    [['serve', '--node', 'us-1']],
    [['wan', 'loss', '2']],
  ])('is 2 with one line for %j', async (args) => {
    const { code, err, out } = await meridian(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(/^meridian: [^\n]+\n$/);
  });

  it('come with a line of JSON where --json is given', async () => {
    const failure = async (...args: readonly string[]) => {
      const { code, err, out } = await meridian([...args, '--json']);
      expect(out).toBe('');
      const told = JSON.parse(err) as object;
      expect(told).toMatchObject({ error: expect.stringMatching(/./) as string, exitCode: code });
      return told;
    };
    expect(await failure('get', 'none')).toMatchObject({ exitCode: 3, code: 'KEY_NOT_FOUND' });
    expect(await failure('get')).toMatchObject({ exitCode: 2 });
    expect(await failure('get', 'k', '--consistency', 'much')).toMatchObject({ exitCode: 2 });
    expect(await failure('get', 'k', '--endpoint', 'http://127.0.0.1:9')).toMatchObject({ exitCode: 5 });
    node.intercept = () => ({
      status: 503,
      body: { code: 'QUORUM_UNAVAILABLE', detail: 'x', required: 2, reached: 1 },
    });
    expect(await failure('put', 'k', '1')).toMatchObject({
      exitCode: 1,
      code: 'QUORUM_UNAVAILABLE',
      status: 503,
      required: 2,
      reached: 1,
    });
    // After `--` it is a key.
    expect((await meridian(['get', '--', '--json'])).err).toMatch(/^meridian: /);
  });

  it('is 0 for help, at every command', async () => {
    for (const command of [
      'get',
      'put',
      'delete',
      'list',
      'status',
      'wan',
      'import',
      'export',
      'demo',
      'serve',
      'secret',
    ]) {
      const { code, out } = await meridian([command, '--help']);
      expect(code).toBe(0);
      expect(out).toContain('Examples:');
      for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
    }
  });
});

describe('list', () => {
  it('tells who served each page, with --receipt', async () => {
    for (const key of ['a', 'b']) await meridian(['put', key, '1']);
    const { out, err } = await meridian(['list', '--receipt']);
    expect(out).toBe('a\nb\n');
    expect(err).toMatch(/^quorum at us-east-1 in us-east · 2 of 3 replicas · [^\n]*\n$/);
    const asJson = await meridian(['list', '--limit', '1', '--receipt', '--json']);
    expect(asJson.out.split('\n')).toHaveLength(2);
    expect(JSON.parse(asJson.err)).toMatchObject({ receipt: { node: 'us-east-1' } });
    expect((await meridian(['list'])).err).toBe('');
  });

  it('and its kin take no --receipt where no answer has one', async () => {
    for (const command of ['import', 'export']) {
      expect(await meridian([command, '--receipt'])).toEqual({
        code: 2,
        out: '',
        err: "meridian: unknown option '--receipt'\n",
      });
    }
  });

  it('prints keys over pages, up to a limit', async () => {
    for (let at = 10; at < 40; at++)
      node.values.set(`default\0k${at}`, { bytes: Buffer.from(`${at}`), contentType: 'application/json' });
    expect((await meridian(['list', '--prefix', 'k1'])).out.split('\n')).toHaveLength(11);
    expect((await meridian(['list', '--limit', '2', '--values'])).out).toBe('k10\t10\nk11\t11\n');
    expect((await meridian(['list', '--limit', '25'])).out.split('\n')).toHaveLength(26);
  });
});

describe('an output that takes nothing any more', () => {
  beforeEach(() => {
    for (let at = 0; at < 3_000; at++)
      node.values.set(`default\0k${at}`, { bytes: Buffer.from('1'), contentType: 'application/json' });
  });

  it.each([['list'], ['export'], ['status --watch 0.1']])(
    'ends %s quietly where a reader has closed it',
    async (line) => {
      const stdout = failingOutput('EPIPE');
      expect(await meridian(line.split(' '), { stdout })).toEqual({ code: 0, out: '', err: '' });
      expect(node.requests.length).toBeLessThanOrEqual(2);
    },
  );

  it.each([['list'], ['export'], ['get k1'], ['status']])('is told by %s, in one line', async (line) => {
    const stdout = failingOutput('ENOSPC');
    expect(await meridian(line.split(' '), { stdout })).toEqual({
      code: 1,
      out: '',
      err: 'meridian: the output cannot be written (ENOSPC)\n',
    });
  });
});

describe('secret', () => {
  it('makes one, and never over another', async () => {
    expect((await meridian(['secret', 'c.secret'])).code).toBe(0);
    expect(await meridian(['secret', 'c.secret'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('is there already') as string,
    });
  });
});
