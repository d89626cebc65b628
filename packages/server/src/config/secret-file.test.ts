import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeSecret, readSecret } from './secret-file.ts';

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'meridian-secret-')), 'cluster.secret');
});
afterEach(() => rmSync(join(path, '..'), { recursive: true }));

describe('a secret file', () => {
  it('is made for its owner only, and never over another', () => {
    makeSecret(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { bytes, warnings } = readSecret(path);
    expect(bytes.length).toBeGreaterThanOrEqual(32);
    expect(warnings).toEqual([]);
    expect(() => makeSecret(path)).toThrow('is there already');
    expect(readSecret(path).bytes).toEqual(bytes);
  });

  it('is warned of where others can read it', () => {
    makeSecret(path);
    chmodSync(path, 0o644);
    expect(readSecret(path).warnings).toEqual([`${path} can be read by others on this machine: chmod 600 it`]);
  });

  it('must be there and hold 16 bytes, white space around them not counted', () => {
    expect(() => readSecret(path)).toThrow('there is no such secret file');
    writeFileSync(path, `  ${'x'.repeat(15)}\n`, { mode: 0o600 });
    expect(() => readSecret(path)).toThrow('the secret has 15 bytes, at least 16 are needed');
    writeFileSync(path, `${'x'.repeat(16)}\n`);
    expect(readSecret(path).bytes.length).toBe(16);
  });
});
