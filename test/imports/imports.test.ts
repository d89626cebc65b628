import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const depcruise = join(root, 'node_modules/.bin/depcruise');
const config = join(root, '.dependency-cruiser.cjs');
const MODULES_MIN = 150;

/** One violation of each rule, and the file that makes it. */
const PLANTED: Readonly<Record<string, readonly [file: string, source: string]>> = {
  'core-imports-nothing': [
    'packages/core/src/impure.ts',
    `import { readFileSync } from 'node:fs';\nexport const impure = readFileSync;`,
  ],
  'ports-import-core': [
    'packages/server/src/ports/port.ts',
    `import type { Made } from '../node/made.ts';\nexport type Port = Made;`,
  ],
  'adapters-import-ports-and-core': [
    'packages/server/src/adapters/adapter.ts',
    `import { made } from '../node/made.ts';\nexport const adapter = made;`,
  ],
  'node-imports-ports-and-core': [
    'packages/server/src/node/reaches.ts',
    `import { setTimeout } from 'node:timers';\nexport const reaches = setTimeout;`,
  ],
  'front-ends-import-node': [
    'packages/server/src/http/front.ts',
    `import { cli } from '../cli/cli.ts';\nexport const front = cli;`,
  ],
  'config-imports-core': [
    'packages/server/src/config/config.ts',
    `import { made } from '../node/made.ts';\nexport const config = made;`,
  ],
  'observability-imports-node': [
    'packages/server/src/observability/watch.ts',
    `import { cli } from '../cli/cli.ts';\nexport const watch = cli;`,
  ],
  'cli-imports-client': [
    'packages/server/src/cli/short-cut.ts',
    `import { made } from '../node/made.ts';\nexport const shortCut = made;`,
  ],
  'client-imports-wire': [
    'packages/client/src/deep.ts',
    `import { record } from '../../core/src/causality/record.ts';\nexport const deep = record;`,
  ],
  'no-cycles': ['packages/server/src/node/ring-a.ts', `import { b } from './ring-b.ts';\nexport const a = () => b;`],
  'adapters-are-chosen-in-main': [
    'packages/server/src/http/chooses.ts',
    `import { adapter } from '../adapters/adapter.ts';\nexport const chooses = adapter;`,
  ],
  'everything-resolves': [
    'packages/server/src/node/lost.ts',
    `import { nowhere } from './nowhere.ts';\nexport const lost = nowhere;`,
  ],
};

const BYSTANDERS: Readonly<Record<string, string>> = {
  'packages/server/src/node/made.ts': `export type Made = string;\nexport const made = 'made';`,
  'packages/server/src/cli/cli.ts': `export const cli = 'cli';`,
  'packages/core/src/causality/record.ts': `export const record = 'record';`,
  'packages/server/src/node/ring-b.ts': `import { a } from './ring-a.ts';\nexport const b = () => a;`,
};

interface Cruise {
  readonly summary: {
    readonly totalCruised: number;
    readonly violations: readonly { readonly rule: { readonly name: string }; readonly from: string }[];
  };
}

function cruise(folder: string, ...paths: readonly string[]): Cruise {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [depcruise, '--config', config, '--output-type', 'json', ...paths],
    { cwd: folder, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  if (!stdout.startsWith('{')) throw new Error(stderr.slice(0, 1000));
  return JSON.parse(stdout) as Cruise;
}

describe('the import checker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-imports-'));
  let found: Cruise;

  beforeAll(() => {
    for (const [file, source] of [...Object.values(PLANTED), ...Object.entries(BYSTANDERS)]) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), source);
    }
    execFileSync('ln', ['-s', join(root, 'node_modules'), join(folder, 'node_modules')]);
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    found = cruise(folder, 'packages');
  }, 60_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  for (const [rule, [file]] of Object.entries(PLANTED)) {
    it(`sees the planted violation of ${rule}`, () => {
      expect(found.summary.violations.filter(({ rule: { name } }) => name === rule).map(({ from }) => from)).toContain(
        file,
      );
    });
  }

  it('finds none in this repository, and has looked at all of it', () => {
    const { summary } = cruise(root, 'packages', 'test');
    expect(summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`)).toEqual([]);
    expect(summary.totalCruised).toBeGreaterThan(MODULES_MIN);
  }, 60_000);
});
