import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isLinearizableByBruteForce } from './brute-force.ts';
import { CHECKS } from './check.ts';
import { historyText, parseHistory } from './history.ts';
import { MODELS } from './model.ts';
import { operationsOf } from './operation.ts';

const FOLDER = new URL('./known/', import.meta.url);
const MARK = 'check: ';

function known(kind: 'good' | 'bad') {
  const folder = new URL(`${kind}/`, FOLDER);
  return readdirSync(folder).map((file) => {
    const text = readFileSync(new URL(file, folder), 'utf8');
    const history = parseHistory(text);
    const check = history.comments.find((comment) => comment.startsWith(MARK))?.slice(MARK.length) ?? '';
    return { name: file.replace('.ndjson', ''), text, history, check, operations: operationsOf(history.events) };
  });
}

const GOOD = known('good');
const BAD = known('bad');
const modelOf = (check: string) => MODELS.find(({ name }) => name === check);

describe('known histories', () => {
  it('are at least ten good and ten bad ones for linearizability alone, and of every check both', () => {
    for (const histories of [GOOD, BAD]) {
      expect(histories.filter(({ check }) => modelOf(check)).length).toBeGreaterThanOrEqual(10);
      expect(new Set(histories.map(({ check }) => check))).toEqual(new Set(Object.keys(CHECKS)));
    }
  });

  it('say in their first line what they are', () => {
    for (const { text, history } of [...GOOD, ...BAD]) {
      expect(text).toMatch(/^# \w/);
      expect(history.comments.length).toBeGreaterThanOrEqual(2);
      expect(historyText(history)).toBe(text);
    }
  });

  it.each(GOOD)('$name is good: $history.comments.0', ({ check, operations }) => {
    expect(CHECKS[check]?.(operations)).toEqual([]);
  });

  it.each(BAD)('$name is bad: $history.comments.0', ({ check, operations }) => {
    const findings = CHECKS[check]?.(operations) ?? [];
    expect(findings.length).toBeGreaterThan(0);
    for (const finding of findings) expect(finding.check).not.toContain('undecided');
  });

  it('get the same verdict from a checker that tries every order', () => {
    for (const { check, operations } of [...GOOD, ...BAD]) {
      const model = modelOf(check);
      if (!model || operations.some(({ f }) => f === 'relaxed-read')) continue;
      const isFine = CHECKS[check]?.(operations).length === 0;
      expect([check, isLinearizableByBruteForce(operations, model)]).toEqual([check, isFine]);
    }
  });
});
