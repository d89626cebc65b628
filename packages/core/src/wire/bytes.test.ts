import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter, MalformedBytes } from './bytes.ts';

const writer = new ByteWriter();
function written(write: (to: ByteWriter) => void): Uint8Array {
  write(writer);
  return writer.take();
}
const varint = (value: number) => written((to) => to.varint(value));
const reader = (...bytes: number[]) => new ByteReader(Uint8Array.from(bytes));

describe('a varint', () => {
  it('carries every whole number from 0 to 2^53 - 1, in as few bytes as seven bits each allow', () => {
    const powers = fc
      .tuple(fc.nat({ max: 53 }), fc.integer({ min: -1, max: 1 }))
      .map(([power, off]) => 2 ** power + off);
    const number = fc.oneof(fc.maxSafeNat(), powers).filter((value) => value >= 0 && Number.isSafeInteger(value));
    fc.assert(
      fc.property(number, (value) => {
        const bytes = varint(value);
        const from = new ByteReader(bytes);
        expect(from.varint()).toBe(value);
        expect(from.isAtEnd).toBe(true);
        expect(bytes.length).toBe(Math.max(1, Math.ceil(value.toString(2).length / 7)));
      }),
      { numRuns: 2000 },
    );
    expect(varint(300)).toEqual(Uint8Array.of(0xac, 0x02));
    expect(varint(Number.MAX_SAFE_INTEGER)).toEqual(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f));
  });

  it('is refused from 2^53 on, and where it goes on for ever', () => {
    expect(() => reader(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10).varint()).toThrow(MalformedBytes);
    expect(() => reader(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f).varint()).toThrow(MalformedBytes);
    expect(() => reader(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x8f, 0x00).varint()).toThrow(MalformedBytes);
    expect(() => new ByteReader(new Uint8Array(100).fill(0x80)).varint()).toThrow(MalformedBytes);
  });

  it('is refused in any but its shortest form: one number, one text', () => {
    expect(() => reader(0x80, 0x00).varint()).toThrow(MalformedBytes);
    expect(() => reader(0x81, 0x80, 0x00).varint()).toThrow(MalformedBytes);
    expect(reader(0x00).varint()).toBe(0);
  });

  it('is refused where it breaks off', () => {
    expect(() => reader().varint()).toThrow(MalformedBytes);
    expect(() => reader(0x80).varint()).toThrow(MalformedBytes);
  });
});

describe('a short text', () => {
  it('carries up to 255 printable characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii', maxLength: 255, size: 'max' }), (text) => {
        expect(new ByteReader(written((to) => to.shortText(text))).shortText()).toBe(text);
      }),
    );
  });

  it('is read right among thousands of others that were read before', () => {
    const texts = Array.from({ length: 5_000 }, (_, at) => `store-${at % 2_000}.${at % 7}`);
    const bytes = written((to) => {
      for (const text of texts) to.shortText(text);
    });
    const from = new ByteReader(bytes);
    for (const text of texts) expect(from.shortText()).toBe(text);
  });

  it('is refused where it holds anything else, or is longer than what is left', () => {
    for (const code of [0x00, 0x1f, 0x7f, 0x80, 0xff])
      expect(() => reader(2, 0x61, code).shortText()).toThrow(MalformedBytes);
    expect(() => reader(3, 0x61, 0x62).shortText()).toThrow(MalformedBytes);
  });
});

describe('a blob', () => {
  it('is a view on the bytes that came in, not a copy', () => {
    const bytes = written((to) => to.blob(Uint8Array.of(1, 2, 3)));
    const blob = new ByteReader(bytes).blob();
    expect(blob).toEqual(Uint8Array.of(1, 2, 3));
    expect(blob.buffer).toBe(bytes.buffer);
  });

  it('is refused where it says to be longer than what is left: nothing is set aside for it', () => {
    expect(() => reader(4, 1, 2, 3).blob()).toThrow(MalformedBytes);
    expect(() => reader(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f).blob()).toThrow(MalformedBytes);
    expect(() => reader(3, 1, 2).count()).toThrow(MalformedBytes);
  });

  it('of any size comes back', () => {
    for (const length of [0, 1, 127, 128, 1023, 1024, 1025, 100_000]) {
      const bytes = new Uint8Array(length).map((_, at) => at);
      expect(new ByteReader(written((to) => to.blob(bytes))).blob()).toEqual(bytes);
    }
  });
});

describe('a writer', () => {
  it('refuses what no reader would take', () => {
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => writer.varint(value)).toThrow(RangeError);
    for (const text of ['x'.repeat(256), 'é', 'a\n', '\u0161'])
      expect(() => writer.shortText(text)).toThrow(RangeError);
  });

  it('that refused begins the next encoding with nothing of the one before', () => {
    writer.uint8(9);
    expect(() => writer.shortText('ab\u0000')).toThrow(RangeError);
    expect(varint(5)).toEqual(Uint8Array.of(5));
  });

  it('hands out bytes that it does not touch again', () => {
    const first = varint(5);
    varint(6);
    expect(first).toEqual(Uint8Array.of(5));
  });
});
