import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Demo, startDemo } from '../support/demo.ts';
import { eventually } from '../support/eventually.ts';
import { runMeridian } from '../support/meridian-process.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/cities-to-ndjson.mjs', import.meta.url));
/** Of version 3.1.0 of the package. */
const CITIES = 135_233;
const SAMPLE = 300;
/** Values that a server which parses and writes them anew would change. */
const EXACT_ROWS = [
  `{"key":"exact:numbers","value":{"one": 1.0, "large":12345678901234567890, "far":1e400, "zero":-0}}`,
  `{"key":"exact:names","value":{"b":1,"a":2,"__proto__":{"x":1},"b":3, "1":0}}`,
  String.raw`{"key":"exact:escapes","value":["\u00e9", "é", "\/", "\ud83d\ude00", "😀", "\u0000"]}`,
  `{"key":"exact:naïve/ключ?#%","value":  [ 1,\t2 ]  }`,
];

/** A row as it was sent: the value is its text. */
interface Row {
  readonly key: string;
  readonly value: string;
}

describe('135,233 cities imported in us-east', () => {
  let demo: Demo;
  let file: string;
  let rows: readonly Row[];

  beforeAll(async () => {
    demo = await startDemo({ wan: 'measured' });
    file = join(demo.dataDir, 'cities.ndjson');
    await writeCities(file);
    await appendFile(file, `${EXACT_ROWS.join('\n')}\n`);
    rows = (await readFile(file, 'utf8')).trimEnd().split('\n').map(rowOf).sort(byKey);
    const startedMs = performance.now();
    const imported = await runMeridian(['import', file, '--endpoint', demo.urls['us-east'], '--json'], {
      folder: demo.dataDir,
    });
    const importedMs = performance.now();
    expect(imported.stderr.filter((line) => !/^import [\d,]+ rows/.test(line))).toEqual([]);
    expect(imported.code).toBe(0);
    expect(JSON.parse(imported.stdout.join(''))).toMatchObject({ written: rows.length, failed: 0 });
    for (const region of ['eu-central', 'ap-northeast'] as const) {
      const holdsAll = async () => Number((await demo.client(region).health()).store.keys) >= rows.length;
      await eventually(holdsAll, { what: `all cities in ${region}`, withinMs: 60_000 });
    }
    const convergedMs = performance.now();
    const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
    console.info(
      `${rows.length} rows: import ${seconds(importedMs - startedMs)}, then everywhere after ${seconds(convergedMs - importedMs)}`,
    );
  }, 150_000);

  afterAll(() => demo?.remove());

  it('are as many as the package holds, each under a key of its own, many beyond ASCII', () => {
    expect(rows.length).toBe(CITIES + EXACT_ROWS.length);
    expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
    expect(rows.filter(({ key }) => /[^ -~]/.test(key)).length).toBeGreaterThan(20_000);
  });

  it('are listed in ap-northeast in the order of their keys, byte for byte, none missing and none besides', async () => {
    expect(await listed(demo.urls['ap-northeast'], '', rows)).toBe(rows.length);
    expect(
      await listed(
        demo.urls['ap-northeast'],
        'city:',
        rows.filter(({ key }) => key.startsWith('city:')),
      ),
    ).toBe(CITIES);
  });

  it('are listed by country', async () => {
    for (const country of ['AD', 'IS', 'JP', 'TR', 'VA']) {
      const prefix = `city:${country}:`;
      const expected = rows.filter(({ key }) => key.startsWith(prefix)).map(({ key }) => key);
      const found: string[] = [];
      for await (const item of demo.client('ap-northeast').list({ prefix, values: false })) found.push(item.key);
      expect(expected.length).toBeGreaterThan(0);
      expect(found).toEqual(expected);
    }
  });

  it('are read by key in ap-northeast, as a value and as the bytes that were sent', async () => {
    const client = demo.client('ap-northeast');
    const step = Math.floor(rows.length / SAMPLE);
    const sample = [
      ...rows.filter((_row, at) => at % step === 0),
      ...rows.filter(({ key }) => key.startsWith('exact:')),
    ];
    for (const { key, value } of sample) {
      const raw = await client.getRaw(key);
      expect(raw?.contentType).toBe('application/json');
      expect(Buffer.from(raw?.bytes ?? []).toString()).toBe(value);
      const entry = await client.get(key);
      expect(entry).toMatchObject({ key, region: 'us-east', conflict: false });
      expect(JSON.stringify(entry?.value)).toBe(JSON.stringify(JSON.parse(value)));
    }
    expect(await client.get('city:AD:El Tarter:0')).toBeUndefined();
  });

  it('are exported from eu-central as they were imported', async () => {
    const exportFile = join(demo.dataDir, 'export.ndjson');
    const args = ['export', exportFile, '--prefix', 'city:', '--endpoint', demo.urls['eu-central'], '--json'];
    const exported = await runMeridian(args, { folder: demo.dataDir });
    expect(exported.code).toBe(0);
    expect(JSON.parse(exported.stdout.join(''))).toMatchObject({ rows: CITIES, conflicts: 0 });
    expect(await sortedHash(exportFile)).toEqual(await sortedHash(file));
  });
});

async function writeCities(file: string): Promise<void> {
  const child = spawn(process.execPath, [EXAMPLE], { stdio: ['ignore', 'pipe', 'inherit'] });
  await pipeline(child.stdout, createWriteStream(file));
}

/** The value's own text: what stands between `"value":` and the last brace, without white space around it. */
function rowOf(line: string): Row {
  const { key } = JSON.parse(line) as { key: string };
  const head = `{"key":${JSON.stringify(key)},"value":`;
  expect(line.startsWith(head)).toBe(true);
  return { key, value: line.slice(head.length, line.lastIndexOf('}')).trim() };
}

/** The order of listings: that of UTF-8 bytes, which is that of code points. */
function byKey(one: Row, other: Row): number {
  return Buffer.compare(Buffer.from(one.key), Buffer.from(other.key));
}

/** Pages through a listing and compares its text with what was sent. Gives the number of rows. */
async function listed(url: string, prefix: string, expected: readonly Row[]): Promise<number> {
  let at = 0;
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({ prefix, limit: '1000', ...(cursor === undefined ? {} : { cursor }) });
    const response = await fetch(`${url}/kv/?${query}`);
    const text = await response.text();
    expect(response.status, text.slice(0, 200)).toBe(200);
    const page = JSON.parse(text) as { items: readonly { key: string }[]; cursor?: string };
    let offset = 0;
    for (const { key } of page.items) {
      const row = expected[at++];
      expect(key).toBe(row?.key);
      const found = `{"key":${JSON.stringify(key)},"value":${row?.value},"context":`;
      const start = text.indexOf(found, offset);
      if (start < 0) expect.fail(`${key} is not listed as ${row?.value}`);
      offset = start + found.length;
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  return at;
}

/** Of the rows of cities as a set. */
async function sortedHash(file: string): Promise<{ rows: number; hash: string }> {
  const lines = (await readFile(file, 'utf8'))
    .trimEnd()
    .split('\n')
    .filter((line) => line.startsWith('{"key":"city:'));
  const hash = createHash('sha256');
  for (const line of lines.sort()) hash.update(`${line}\n`);
  return { rows: lines.length, hash: hash.digest('hex') };
}
