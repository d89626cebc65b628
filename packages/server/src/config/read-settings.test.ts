import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSettings } from './read-settings.ts';
import type { SettingName } from './settings.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meridian-settings-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const read = (names: readonly SettingName[], flags: object = {}, env: Record<string, string> = {}) =>
  readSettings(names, { flags, env, folder });
const yaml = (text: string) => writeFileSync(join(folder, 'meridian.yaml'), text);

describe('settings', () => {
  it('come from the flag, then the variable, then the file, then the default', () => {
    expect(read(['requestTimeoutMs']).requestTimeoutMs).toBe(5_000);
    yaml('request-timeout-ms: 100');
    expect(read(['requestTimeoutMs']).requestTimeoutMs).toBe(100);
    expect(read(['requestTimeoutMs'], {}, { MERIDIAN_REQUEST_TIMEOUT_MS: '200' }).requestTimeoutMs).toBe(200);
    expect(
      read(['requestTimeoutMs'], { requestTimeoutMs: '300' }, { MERIDIAN_REQUEST_TIMEOUT_MS: '200' }).requestTimeoutMs,
    ).toBe(300);
  });

  it('are typed', () => {
    yaml('value-bytes-max: 1MiB\nwan-lab: true\nregions: [us-east, eu-west]\n');
    expect(read(['valueBytesMax', 'wanLab', 'regions', 'node'])).toEqual({
      valueBytesMax: 1_048_576,
      wanLab: true,
      regions: ['us-east', 'eu-west'],
      node: undefined,
    });
  });

  it('take an empty variable for none', () => {
    expect(read(['endpoint'], {}, { MERIDIAN_ENDPOINT: '' }).endpoint).toBe('http://127.0.0.1:8001');
    yaml('endpoint: http://127.0.0.1:9');
    expect(read(['endpoint'], {}, { MERIDIAN_CONFIG: '' }).endpoint).toBe('http://127.0.0.1:9');
  });

  it.each([
    [
      {},
      { MERIDIAN_ENDPONT: 'x' },
      '',
      "MERIDIAN_ENDPONT: there is no such setting, did you mean 'MERIDIAN_ENDPOINT'?",
    ],
    [{}, {}, 'log-levl: info', "meridian.yaml: log-levl: there is no such setting, did you mean 'log-level'?"],
    [
      {},
      {},
      'log-level: loud',
      "meridian.yaml: log-level: expected one of fatal, error, warn, info, debug, trace, silent, found 'loud'",
    ],
    [{}, {}, 'log-level: { a: 1 }', 'meridian.yaml: log-level: expected one of'],
    [{}, {}, 'endpoint: *nowhere', 'meridian.yaml: Unresolved alias'],
    [{}, {}, 'a list', 'meridian.yaml: expected a mapping of settings'],
    [
      { requestTimeoutMs: '1e3' },
      {},
      '',
      "--request-timeout-ms: expected a whole number from 10 to 30000, found '1e3'",
    ],
    [
      { valueBytesMax: '9GiB' },
      {},
      '',
      "--value-bytes-max: expected bytes, KiB, MiB or GiB, from 1KiB to 64MiB, found '9GiB'",
    ],
    [{ endpoint: 'localhost:8001' }, {}, '', "--endpoint: expected an http or https URL, found 'localhost:8001'"],
    [{ regions: 'a,a' }, {}, '', '--regions: expected names of regions'],
    [{}, { MERIDIAN_CONFIG: 'other.yaml' }, '', 'other.yaml: there is no such settings file'],
  ])('stop with one line for %j %j %s', (flags, env, file, expected) => {
    yaml(file);
    const act = () =>
      read(['requestTimeoutMs', 'valueBytesMax', 'endpoint', 'regions'], flags, env as Record<string, string>);
    expect(act).toThrow(
      expect.objectContaining({ name: 'SettingError', message: expect.stringContaining(expected) as string }),
    );
    expect(act).not.toThrow(/\n/);
  });
});
