import { describe, expect, it } from 'vitest';
import { checkJson, JSON_DEPTH_MAX, JsonError } from './json-scanner.ts';

const fits = (text: string | Buffer): boolean => {
  try {
    checkJson(Buffer.from(text as string));
    return true;
  } catch (error) {
    if (error instanceof JsonError) return false;
    throw error;
  }
};

describe('checkJson', () => {
  it.each([
    '0',
    '-0',
    '1.5e+10',
    '1E5',
    '"a\\u00e9\\n"',
    '[]',
    '{}',
    ' {"a" : [1, true ,null]} \r\n',
    '"\u007f"',
    '{"a":1,"a":2}',
    '"\\ud800"',
    '1e999',
  ])('takes %s', (text) => {
    expect(fits(text)).toBe(true);
  });

  it.each([
    '',
    ' ',
    '01',
    '+1',
    '.5',
    '1.',
    '1e',
    '-',
    'NaN',
    'tru',
    'nulll',
    "'a'",
    '"a',
    '"\\x"',
    '"\\u12g4"',
    '"\t"',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    '{"a"}',
    '[1 2]',
    '1 2',
    '[',
    '{',
    ']',
    '\ufeff1',
    '/**/1',
    '[1}',
  ])('refuses %j', (text) => {
    expect(fits(text)).toBe(false);
  });

  it.each([
    [[0x22, 0xff, 0x22]],
    [[0x22, 0xc0, 0xaf, 0x22]],
    [[0x22, 0xed, 0xa0, 0x80, 0x22]],
    [[0x22, 0xe2, 0x82, 0x22]],
  ])('refuses what is not UTF-8: %j', (bytes) => {
    expect(() => checkJson(Buffer.from(bytes))).toThrow(/UTF-8/);
  });

  it('takes nesting up to the limit, and says so above it', () => {
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
    expect(fits(nested(JSON_DEPTH_MAX))).toBe(true);
    expect(() => checkJson(Buffer.from(nested(JSON_DEPTH_MAX + 1)))).toThrow('nested more than 200 levels deep');
    expect(() => checkJson(Buffer.from('{"a":'.repeat(100_000)))).toThrow('nested more than 200 levels deep');
  });

  it('says where it stopped, and quotes nothing', () => {
    expect(() => checkJson(Buffer.from('{"secret":tru}'))).toThrow('is not JSON: a value was expected at byte 10');
  });
});
