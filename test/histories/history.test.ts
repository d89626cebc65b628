import { describe, expect, it } from 'vitest';
import { historyText, parseHistory } from './history.ts';
import { operationsOf } from './operation.ts';
import { Recorder } from './recorder.ts';
import { operationsIn, steadyRecorder } from './testing.ts';

const event = (over: object) =>
  JSON.stringify({ process: 0, type: 'invoke', f: 'read', key: 'k', value: null, time: 1, ...over });
const without = (field: string) =>
  JSON.stringify(
    Object.fromEntries(Object.entries(JSON.parse(event({})) as object).filter(([name]) => name !== field)),
  );

describe('a history as a file', () => {
  it('comes back as it was recorded, comments and all', () => {
    const recorder = steadyRecorder();
    const anna = recorder.newProcess();
    const bela = recorder.newProcess();
    const written = recorder.invoke(anna, {
      f: 'write',
      key: 'k',
      value: { a: [1] },
      tag: '"1"',
      session: 's',
      at: 'us-east',
    });
    const read = recorder.invoke(bela, { f: 'read', key: 'k' });
    written({ type: 'ok', tag: '"2"' });
    read({ type: 'info', error: 'NO_ANSWER' });
    const text = historyText({ comments: ['two clients'], events: recorder.events });
    const back = parseHistory(text);
    expect(back.comments).toEqual(['two clients']);
    expect(back.events).toEqual(recorder.events);
    expect(text.split('\n')[1]).toBe(
      '{"process":0,"type":"invoke","f":"write","key":"k","value":{"a":[1]},"time":0,"tag":"\\"1\\"","session":"s","at":"us-east"}',
    );
  });

  it('keeps times to the microsecond', () => {
    const times = [0.00049, 1.23456];
    const recorder = new Recorder(() => times.shift() ?? 2);
    recorder.invoke(0, { f: 'read', key: 'k' })({ type: 'ok', value: 1 });
    expect(recorder.events.map(({ time }) => time)).toEqual([0, 1.235]);
  });

  it.each([
    ['not JSON', '{', 'line 1 is not JSON'],
    ['a list', '[]', 'line 1 is no object'],
    ['no process', without('process'), 'line 1 names no process'],
    ['a negative process', event({ process: -1 }), 'line 1 names no process'],
    ['another type', event({ type: 'done' }), 'line 1 has no type'],
    ['no f', without('f'), 'line 1 has no text as f'],
    ['an empty key', event({ key: '' }), 'line 1 has no text as key'],
    ['no value', without('value'), 'line 1 has no value'],
    ['no time', event({ time: '1' }), 'line 1 has no time'],
    ['a tag that is no text', event({ tag: 1 }), 'line 1 has no text as tag'],
    ['an unknown field', event({ node: 'a' }), 'line 1 has a field "node" that nobody knows'],
    ['an end without a beginning', event({ type: 'ok' }), 'line 1 ends an operation of process 0, which is in none'],
    [
      'two beginnings',
      `${event({})}\n${event({ time: 2 })}`,
      'line 2 begins an operation of process 0, which is in one',
    ],
    [
      'the end of another',
      `${event({})}\n${event({ type: 'ok', key: 'j' })}`,
      'line 2 ends read j, but process 0 is in read k',
    ],
    [
      'time that goes back',
      `${event({})}\n# so\n\n${event({ type: 'ok', time: 0.5 })}`,
      'line 4 is before the line above it',
    ],
    [
      'a process that goes on after info',
      [event({}), event({ type: 'info' }), event({ time: 2 })].join('\n'),
      'line 3 is of process 0, which ended with info',
    ],
  ])('is refused with %s', (_, text, message) => {
    expect(() => parseHistory(text)).toThrow(message);
  });
});

describe('operations of a history', () => {
  it('tell refusals that observe something from failures that tell nothing', () => {
    const recorder = steadyRecorder();
    for (const error of ['CONDITION_FAILED', 'KEY_EXISTS', 'KEY_NOT_FOUND', 'QUORUM_UNAVAILABLE'])
      recorder.invoke(recorder.newProcess(), { f: 'write', key: 'k', value: 1 })({ type: 'fail', error });
    expect(operationsIn(recorder).map(({ outcome }) => outcome)).toEqual(['refused', 'refused', 'refused', 'failed']);
  });

  it('leave open what has no end, and what ended with info', () => {
    const recorder = steadyRecorder();
    recorder.invoke(0, { f: 'write', key: 'k', value: 1 })({ type: 'info', error: 'NO_ANSWER' });
    recorder.invoke(1, { f: 'write', key: 'k', value: 2 });
    const operations = operationsOf(recorder.events);
    expect(operations.map(({ outcome, returnedAt }) => [outcome, returnedAt])).toEqual([
      ['open', Number.POSITIVE_INFINITY],
      ['open', Number.POSITIVE_INFINITY],
    ]);
    expect(operations[0]?.error).toBe('NO_ANSWER');
  });
});
