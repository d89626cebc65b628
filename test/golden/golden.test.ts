import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { playScript } from './script.ts';

const folder = join(import.meta.dirname, 'scripts');

describe('golden scripts', () => {
  for (const file of readdirSync(folder).sort()) {
    it(file.replace(/\.txt$/, '').replaceAll('-', ' '), async () => {
      const expected = readFileSync(join(folder, file), 'utf8').trimEnd();
      expect(await playScript(expected)).toBe(expected);
    });
  }
});
