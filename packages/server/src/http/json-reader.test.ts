import { describe, expect, it } from 'vitest';
import { readJson } from './json-reader.ts';

const read = (text: string, depth?: number) =>
  readJson(Buffer.from(text), depth === undefined ? undefined : { name: 'value', depth });

describe('readJson', () => {
  it('keeps __proto__ and constructor as names like others', () => {
    const object = read('{"__proto__":{"a":1},"constructor":2}') as Record<string, unknown>;
    expect(Object.keys(object)).toEqual(['__proto__', 'constructor']);
    expect(({} as { a?: number }).a).toBeUndefined();
  });

  it('refuses a name that stands twice, at any depth, also when written with escapes', () => {
    expect(() => read('{"a":1,"a":2}')).toThrow('names "a" twice');
    expect(() => read('[{"b":{"a":1,"\\u0061":2}}]')).toThrow('names "a" twice');
    expect(() => read('{"value":1,"value":2}', 1)).toThrow('names "value" twice');
    expect(() => read('{"__proto__":1,"__proto__":2}')).toThrow('twice');
  });

  it('leaves doubled names inside an opaque value alone: it is data', () => {
    expect((read('{"value":{"a":1,"a":2}}', 1) as { value: Buffer }).value.toString()).toBe('{"a":1,"a":2}');
  });

  it('finds opaque members at their depth only', () => {
    const batch = read('{"operations":[{"op":"put","value": 1.10 }],"value":7}', 3) as {
      operations: { value: Buffer }[];
      value: number;
    };
    expect(batch.operations[0]?.value.toString()).toBe('1.10');
    expect(batch.value).toBe(7);
  });

  it('refuses what is too deep outside an opaque value', () => {
    expect(() => read('['.repeat(201) + ']'.repeat(201))).toThrow('200 levels');
    expect(() => read(`{"value":${'['.repeat(201)}${']'.repeat(201)}}`, 1)).toThrow('200 levels');
    expect(() => read(`{"value":${'['.repeat(200)}${']'.repeat(200)}}`, 1)).not.toThrow();
  });
});
