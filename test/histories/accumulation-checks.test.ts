import { describe, expect, it } from 'vitest';
import { checkCounters } from './counters.ts';
import type { Finding } from './finding.ts';
import { checkSets } from './sets.ts';
import { checkTags } from './tags.ts';
import { operationsIn, steadyRecorder } from './testing.ts';

const names = (findings: readonly Finding[]) => findings.map(({ check }) => check);

/** Each operation alone, one after the other: f, input, how it ended, output. */
function history(...steps: readonly (readonly [string, unknown, 'ok' | 'fail' | 'info', unknown?, string?])[]) {
  const recorder = steadyRecorder();
  for (const [f, value, type, output, tag] of steps)
    recorder.invoke(recorder.newProcess(), { f, key: 'k', value })({ type, value: output, tag });
  return operationsIn(recorder);
}

describe('the check of sets', () => {
  it('names what is wrong', () => {
    expect(names(checkSets(history(['add', 1, 'ok'], ['read', null, 'ok', null])))).toEqual(['set: lost']);
    expect(names(checkSets(history(['read', null, 'ok', [1]], ['add', 1, 'ok'])))).toEqual(['set: unexpected']);
    expect(names(checkSets(history(['add', 1, 'fail'], ['read', null, 'ok', [1]])))).toEqual(['set: unexpected']);
    expect(names(checkSets(history(['add', 1, 'info'], ['read', null, 'ok', [1, 1]])))).toEqual(['set: duplicated']);
  });

  it('takes an element that was read once for one that is in', () => {
    const seenThenGone = history(['add', 1, 'info'], ['read', null, 'ok', [1]], ['read', null, 'ok', []]);
    expect(names(checkSets(seenThenGone))).toEqual(['set: lost']);
    expect(checkSets(history(['add', 1, 'info'], ['read', null, 'ok', []], ['read', null, 'ok', [1]]))).toEqual([]);
  });

  it('lets a read that overlaps an add show it or not', () => {
    const recorder = steadyRecorder();
    const added = recorder.invoke(0, { f: 'add', key: 'k', value: 1 });
    const [one, other] = [1, 2].map((process) => recorder.invoke(process, { f: 'read', key: 'k' }));
    added({ type: 'ok' });
    one?.({ type: 'ok', value: [1] });
    other?.({ type: 'ok', value: [] });
    expect(checkSets(operationsIn(recorder))).toEqual([]);
  });
});

describe('the check of counters', () => {
  it('holds reads between what was acknowledged and what was tried', () => {
    const tried = [
      ['increment', 1, 'ok'],
      ['increment', 10, 'info'],
      ['increment', 100, 'fail'],
    ] as const;
    for (const shown of [1, 11]) expect(checkCounters(history(...tried, ['read', null, 'ok', shown]))).toEqual([]);
    expect(names(checkCounters(history(...tried, ['read', null, 'ok', null])))).toEqual(['counter: lost']);
    expect(names(checkCounters(history(...tried, ['read', null, 'ok', 12])))).toEqual(['counter: counted twice']);
    expect(names(checkCounters(history(...tried, ['read', null, 'ok', 111])))).toEqual(['counter: counted twice']);
  });

  it('lets no read go back behind another', () => {
    const findings = checkCounters(history(['increment', 1, 'info'], ['read', null, 'ok', 1], ['read', null, 'ok', 0]));
    expect(names(findings)).toEqual(['counter: went back']);
  });
});

describe('the check of tags', () => {
  it('finds a tag on two values, and a value with two tags', () => {
    const written = ['write', 'a', 'ok', null, '"1"'] as const;
    expect(checkTags(history(written, ['read', null, 'ok', 'a', '"1"']))).toEqual([]);
    expect(names(checkTags(history(written, ['relaxed-read', null, 'ok', 'b', '"1"'])))).toEqual(['tags']);
    expect(names(checkTags(history(written, ['cas', ['a', 'b'], 'ok', null, '"1"'])))).toEqual(['tags']);
    expect(names(checkTags(history(written, ['read', null, 'ok', 'a', '"2"'])))).toEqual(['tags']);
  });
});
