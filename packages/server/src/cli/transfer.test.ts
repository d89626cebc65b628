import { execFileSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import {
  closeSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { ListPage } from '@meridian/client/types';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runCommand } from './command-line.testing.ts';
import { FakeNode } from './fake-node.testing.ts';
import { chunksOf } from './transfer/chunks.ts';
import { linesOf } from './transfer/lines.ts';
import { startProgress } from './transfer/progress.ts';
import { parseRow } from './transfer/row.ts';
import { parseValueTexts } from './transfer/value-texts.ts';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';

let node: FakeNode;
let folder: string;
beforeEach(async () => {
  node = new FakeNode();
  await node.start();
  folder = mkdtempSync(join(tmpdir(), 'meridian-transfer-'));
});
afterEach(async () => {
  await node.stop();
  rmSync(folder, { recursive: true });
});

const meridian = (...args: readonly string[]) =>
  runCommand(args, { folder, env: { MERIDIAN_ENDPOINT: node.endpoint } });
const file = (name: string) => readFileSync(join(folder, name), 'utf8');
const batches = () => node.requests.filter(({ path }) => path.includes('/batch'));

describe('import and export', () => {
  it('bring every row there and back', async () => {
    const rows = Array.from({ length: 1_234 }, (_, at) =>
      JSON.stringify({ key: `k${String(at).padStart(4, '0')}`, value: { at } }),
    );
    rows.push(JSON.stringify({ key: 'z', value: 'AP8=', encoding: 'base64', contentType: 'image/png' }));
    writeFileSync(join(folder, 'in.ndjson'), rows.join('\n'));
    const { code, err } = await meridian('import', 'in.ndjson', '--prefix', 'p:');
    expect({ code, err }).toEqual({
      code: 0,
      err: expect.stringMatching(/^imported 1,235 rows in .*\/s\n$/) as string,
    });
    expect(node.values.size).toBe(1_235);
    expect(batches()).toHaveLength(3);
    expect((await meridian('export', 'out.ndjson')).err).toContain('exported 1,235 rows to out.ndjson');
    expect(file('out.ndjson')).toBe(`${rows.map((row) => row.replace('"key":"', '"key":"p:')).join('\n')}\n`);
    expect(existsSync(join(folder, 'out.ndjson.partial'))).toBe(false);
  });

  it('take JSON out as it was written: blanks, escapes, the order of names, names that come twice', async () => {
    const texts = [
      '{"2":1.0,"1":2,"1":{"value":[3]}}',
      '[ 1 , {"value" : "}\\"],\\\\"} ]',
      '"\\u00e4,\\\\"',
      '-0',
      'null',
      '{}',
      '"value"',
    ];
    const items = texts.map(
      (text, at) => `{"key":"k${at} \\"}","value":${text},"siblings":[{"value":0}],"expiresAt":null}`,
    );
    items.push('{"key":"lines","value":[1,\n\r 2],"expiresAt":null}');
    node.intercept = () => ({ status: 200, raw: Buffer.from(`{"items":[${items.join(',')}]}`) });
    expect((await meridian('export', 'out.ndjson')).code).toBe(0);
    const rows = texts.map((text, at) => `{"key":"k${at} \\"}","value":${text}}`);
    expect(file('out.ndjson')).toBe([...rows, '{"key":"lines","value":[1,   2]}', ''].join('\n'));
  });

  it('count rows that fail, keep them with their reason, and write the others', async () => {
    writeFileSync(
      join(folder, 'in.ndjson'),
      '{"key":"a","value":1}\nnonsense\n\n{"key":"","value":2}\n{"key":"b"}\n{"key":"c","value":3,"op":"x"}\n{"key":"d","value":4}',
    );
    const { code, err } = await meridian('import', 'in.ndjson', '--errors', 'bad.ndjson');
    expect(code).toBe(1);
    expect(err).toContain('imported 2 rows');
    expect(err).toContain('4 failed (see bad.ndjson)');
    const bad = file('bad.ndjson')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { line: number; code: string });
    expect(bad.map(({ line }) => line).toSorted((left, right) => left - right)).toEqual([2, 4, 5, 6]);
    expect(bad.find(({ line }) => line === 4)?.code).toBe('INVALID_KEY');
    expect([...node.values.keys()]).toEqual(['default\0a', 'default\0d']);
  });

  it('keep a row that failed as it can be imported again', async () => {
    const row = '{"key":"a", "value":{"n":12345678901234567890}}';
    for (const [prefix, kept] of [
      ['', row],
      ['p:', row.replace('"a"', '"p:a"')],
    ] as const) {
      node.intercept = () => ({
        status: 200,
        body: { results: [{ status: 400, code: 'INVALID_BODY', detail: 'no' }] },
      });
      writeFileSync(join(folder, 'in.ndjson'), row);
      await meridian('import', 'in.ndjson', '--errors', 'bad.ndjson', '--prefix', prefix);
      expect(JSON.parse(file('bad.ndjson'))).toMatchObject({ line: 1, row: kept });
    }
  });

  it('tell what was written before an import was broken off', async () => {
    const rows = Array.from({ length: 1_200 }, (_, at) => `{"key":"k${at}","value":1}\n`);
    writeFileSync(join(folder, 'in.ndjson'), rows.join(''));
    node.intercept = (_method, url, body) =>
      url.pathname.endsWith('batch') && body.includes('"k1100"')
        ? { status: 404, body: { code: 'NAMESPACE_NOT_FOUND', detail: 'it was dropped' } }
        : undefined;
    const { code, out, err } = await meridian('import', 'in.ndjson', '--json');
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ written: 1_000, failed: 0 });
    expect(JSON.parse(err)).toMatchObject({ code: 'NAMESPACE_NOT_FOUND' });
    // Nothing is told of an import that did not begin.
    const { out: nothing, err: line } = await meridian('import', 'in.ndjson', '--endpoint', 'ftp://x', '--json');
    expect([nothing, line.split('\n').length]).toEqual(['', 2]);
  });

  it('try again what failed for the moment, and only that', async () => {
    let calls = 0;
    node.intercept = (_method, url) => {
      if (!url.pathname.endsWith('batch') || ++calls > 2) return undefined;
      if (calls === 1) return { status: 503, body: { code: 'SHUTTING_DOWN', detail: 'The node is stopping.' } };
      return {
        status: 200,
        body: { results: [{ status: 201 }, { status: 503, code: 'QUORUM_UNAVAILABLE', detail: 'x' }] },
      };
    };
    writeFileSync(join(folder, 'in.ndjson'), '{"key":"a","value":1}\n{"key":"b","value":2}\n');
    expect((await meridian('import', 'in.ndjson')).code).toBe(0);
    expect(batches()).toHaveLength(3);
    expect([...node.values.keys()]).toEqual(['default\0b']);
  });

  it('let the last row of a key win', async () => {
    writeFileSync(
      join(folder, 'in.ndjson'),
      Array.from({ length: 50 }, (_, at) => `{"key":"k","value":${at}}\n`).join(''),
    );
    expect((await meridian('import', 'in.ndjson')).code).toBe(0);
    expect(node.values.get('default\0k')?.bytes.toString()).toBe('49');
  });

  it('find the row for which a whole batch is refused', async () => {
    node.intercept = (_method, url, body) =>
      url.pathname.endsWith('batch') && body.includes('poison')
        ? { status: 400, body: { code: 'INVALID_BODY', detail: 'no' } }
        : undefined;
    writeFileSync(
      join(folder, 'in.ndjson'),
      Array.from({ length: 9 }, (_, at) => `{"key":"k${at}","value":"${at === 5 ? 'poison' : at}"}\n`).join(''),
    );
    const { code, err } = await meridian('import', 'in.ndjson');
    expect(code).toBe(1);
    expect(err).toContain('line 6: no (INVALID_BODY)');
    expect(node.values.size).toBe(8);
  });

  it('end at a server that is no node, and do not send each row there', async () => {
    writeFileSync(
      join(folder, 'in.ndjson'),
      Array.from({ length: 9 }, (_, at) => `{"key":"k${at}","value":1}\n`).join(''),
    );
    for (const reply of [
      { status: 200, body: {} },
      { status: 200, raw: Buffer.from('<html>') },
      { status: 302, headers: { location: 'https://other.example/' } },
    ]) {
      node.requests.length = 0;
      node.intercept = () => reply;
      const { code, err } = await meridian('import', 'in.ndjson');
      expect({ code, batches: batches().length }).toEqual({ code: 1, batches: 1 });
      expect(err).toMatch(/^meridian: [^\n]* \(NOT_MERIDIAN\)\n$/);
    }
  });

  it('leave no file of an export that failed', async () => {
    node.intercept = () => ({ status: 500, body: { code: 'INTERNAL', detail: 'x' } });
    expect((await meridian('export', 'out.ndjson')).code).toBe(1);
    expect(existsSync(join(folder, 'out.ndjson'))).toBe(false);
    expect(existsSync(join(folder, 'out.ndjson.partial'))).toBe(false);
  });

  it('leave no file of an export that a signal ended', async () => {
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
    try {
      for (const isTerminal of [false, true]) {
        const signals = new EventEmitter();
        kill.mockClear();
        let left: boolean | undefined;
        node.intercept = () => {
          if (left !== undefined) return undefined;
          expect(existsSync(join(folder, 'out.ndjson.partial'))).toBe(true);
          signals.emit('SIGINT');
          left = existsSync(join(folder, 'out.ndjson.partial'));
          return { status: 500, body: { code: 'INTERNAL', detail: 'x' } };
        };
        await runCommand(['export', 'out.ndjson'], {
          folder,
          isTerminal,
          signals,
          env: { MERIDIAN_ENDPOINT: node.endpoint },
        });
        expect(left).toBe(false);
        expect(kill.mock.calls).toContainEqual([process.pid, 'SIGINT']);
        expect(signals.eventNames()).toEqual([]);
      }
    } finally {
      kill.mockRestore();
    }
  });

  it('write into what is no file, and never put one in its place', async () => {
    await meridian('put', 'a', '1');
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    const reader = openSync(join(folder, 'pipe'), constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      expect((await meridian('export', 'pipe')).code).toBe(0);
      expect(lstatSync(join(folder, 'pipe')).isFIFO()).toBe(true);
      const bytes = Buffer.alloc(100);
      expect(bytes.toString('utf8', 0, readSync(reader, bytes))).toBe('{"key":"a","value":1}\n');
    } finally {
      closeSync(reader);
    }
  });

  it('write the file that a link leads to, and leave the link', async () => {
    await meridian('put', 'a', '1');
    writeFileSync(join(folder, 'real.ndjson'), 'old');
    symlinkSync('real.ndjson', join(folder, 'link.ndjson'));
    expect((await meridian('export', 'link.ndjson')).code).toBe(0);
    expect(file('real.ndjson')).toBe('{"key":"a","value":1}\n');
    expect(lstatSync(join(folder, 'link.ndjson')).isSymbolicLink()).toBe(true);
  });

  it('never write the rows that failed over those that are imported', async () => {
    writeFileSync(join(folder, 'in.ndjson'), '{"key":"a","value":1}\n');
    linkSync(join(folder, 'in.ndjson'), join(folder, 'same.ndjson'));
    for (const name of ['in.ndjson', 'same.ndjson'])
      expect(await meridian('import', 'in.ndjson', '--errors', name)).toMatchObject({ code: 2, out: '' });
    expect(file('in.ndjson')).toBe('{"key":"a","value":1}\n');
  });
});

function told(output: PassThrough): string {
  const pieces: Buffer[] = [];
  for (let piece = output.read() as Buffer | null; piece; piece = output.read() as Buffer | null) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

describe('the bar of a transfer', () => {
  it('never falls back, though batches are answered in any order', () => {
    const stderr = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
    const progress = startProgress({ stderr, signals: new EventEmitter() }, 'import', 100);
    const shown = (done: number) => {
      told(stderr);
      progress.update(done, 1);
      progress.stop();
      return told(stderr);
    };
    progress.update(60, 1);
    expect(shown(20)).toContain('60%');
  });

  it('leaves a signal to end the process, with the cursor back', () => {
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
    const signals = new EventEmitter();
    const stderr = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
    const progress = startProgress({ stderr, signals }, 'import', 100);
    try {
      expect(told(stderr)).toContain(HIDE_CURSOR);
      signals.emit('SIGINT');
      expect(kill.mock.calls).toEqual([[process.pid, 'SIGINT']]);
      expect(told(stderr)).toContain(SHOW_CURSOR);
      expect(signals.eventNames()).toEqual([]);
    } finally {
      progress.stop();
      kill.mockRestore();
    }
  });
});

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function gather<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const gathered: Item[] = [];
  for await (const item of items) gathered.push(item);
  return gathered;
}

describe('rows', () => {
  it('are taken from a page with their values as they came, whatever stands beside them', () => {
    const text = fc
      .tuple(fc.json(), fc.constantFrom('', ' ', ' \t'), fc.nat(3))
      .map(([json, blank, space]) => `${blank}${JSON.stringify(JSON.parse(json), null, space)}${blank}`);
    const item = fc.record({ key: fc.json(), value: text, before: fc.json(), after: fc.json() });
    fc.assert(
      fc.property(fc.array(item, { maxLength: 5 }), fc.json(), (items, cursor) => {
        const page = items.map(
          ({ key, value, before, after }) =>
            `{"key":${JSON.stringify(key)},"x":${before},"value":${value},"siblings":[{"value":${after}}],"y":${after}}`,
        );
        const parsed = parseValueTexts(`{"items":[${page.join(',')}],"cursor":${cursor}}`) as ListPage;
        expect(parsed.items.map(({ key, value }) => ({ key, value }))).toEqual(
          items.map(({ key, value }) => ({ key, value })),
        );
      }),
    );
  });

  it('are split at line ends wherever the stream breaks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'binary' }).map((text) => text.replaceAll(/[\r\n]/g, ''))),
        fc.integer({ min: 1, max: 7 }),
        async (lines, size) => {
          const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(''));
          const found = await gather(linesOf(pieces(bytes, size)));
          expect(found.map(({ text }) => text)).toEqual(
            lines.map((line) => new TextDecoder('utf-8').decode(new TextEncoder().encode(line))),
          );
          expect(found.at(-1)?.end ?? 0).toBe(bytes.length);
        },
      ),
    );
  });

  it('that are not UTF-8 are told, not replaced', async () => {
    const found = await gather(linesOf(pieces(Buffer.from([0x61, 0xff, 0x0a, 0x62]), 2)));
    expect(found).toEqual([
      { number: 1, text: undefined, end: 3 },
      { number: 2, text: 'b', end: 4 },
    ]);
  });

  it('become operations that say the same, under any prefix', () => {
    fc.assert(
      fc.property(fc.string(), fc.json(), fc.string(), fc.boolean(), (key, value, prefix, isKeyFirst) => {
        const fields = [`"key": ${JSON.stringify(key)}`, `"value":${value}`];
        const row = parseRow(` {${(isKeyFirst ? fields : fields.toReversed()).join(', ')} }`, prefix);
        if ('problem' in row) throw new Error(row.problem);
        expect(row.key).toBe(prefix + key);
        expect(JSON.parse(row.operation)).toEqual({
          op: 'put',
          key: prefix + key,
          value: JSON.parse(value) as unknown,
        });
      }),
    );
  });

  it('go into chunks that are bounded, in order, and hold no key twice', async () => {
    const texts = Array.from({ length: 1_700 }, (_, at) =>
      JSON.stringify({ key: `k${at % 600}`, value: 'x'.repeat(at % 9 === 0 ? 300_000 : 10) }),
    );
    const chunks = await gather(chunksOf(linesOf(pieces(Buffer.from(texts.join('\n')), 65_536)), '', () => {}));
    expect(chunks.flatMap(({ rows }) => rows.map(({ line }) => line))).toEqual(texts.map((_, at) => at + 1));
    for (const { rows } of chunks) {
      expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
      expect(rows.length).toBeLessThanOrEqual(500);
      expect(rows.reduce((sum, row) => sum + row.operation.length, 0)).toBeLessThanOrEqual(1_048_576);
    }
  });
});
