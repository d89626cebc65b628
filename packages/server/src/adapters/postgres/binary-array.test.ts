import { expect, it } from 'vitest';
import { bigintArray, byteaArray } from './binary-array.ts';

it('writes bytes as PostgreSQL does in array_send', () => {
  const header = '00000001 00000000 00000011 00000002 00000001';
  expect(byteaArray([Uint8Array.of(1, 0, 255), new Uint8Array(0)]).toString('hex')).toBe(
    hex(`${header} 00000003 0100ff 00000000`),
  );
});

it('writes whole numbers up to the largest sequence', () => {
  const header = '00000001 00000000 00000014 00000003 00000001';
  expect(bigintArray([0, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]).toString('hex')).toBe(
    hex(`${header} 00000008 0000000000000000 00000008 0000000100000001 00000008 001fffffffffffff`),
  );
});

function hex(text: string): string {
  return text.replaceAll(' ', '');
}
