import { MalformedBytes } from '@meridian/core/wire/bytes';
import { ANSWER, type Message, UNFOLLOW } from '@meridian/core/wire/messages';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { FRAME_HEADER_BYTES, packLarge, packSmall, SMALL_BYTES_MAX, unpackMessage } from './message-codec.ts';
import { isPlainMessage } from './message-scan.ts';
import { messageBytesAtMost } from './message-size.ts';

/** msgpackr writes -0 as 0; no message tells them apart. */
const numbers = fc
  .oneof(fc.maxSafeInteger(), fc.double(), fc.integer({ min: -40, max: 300 }))
  .map((number) => number + 0);
const { tree: bodies } = fc.letrec((tie) => ({
  tree: fc.oneof({ maxDepth: 6 }, tie('leaf'), fc.array(tie('tree'), { maxLength: 20 })),
  leaf: fc.oneof(
    numbers,
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.uint8Array({ maxLength: 400 }),
    fc.constantFrom(null, true, false),
  ),
}));
const messages = fc.tuple(fc.nat(), bodies).map(([id, body]): Message => [ANSWER, id, null, body]);
const free = new Packr({ useRecords: false });
const typed = new Packr({ useRecords: false, moreTypes: true, structuredClone: true });

const isPlain = (bytes: Uint8Array) => isPlainMessage(bytes, 0, bytes.length);

/** `taken`, `refused`, or what else was thrown. */
function outcomeOf(bytes: Uint8Array, isOwned: boolean): unknown {
  try {
    unpackMessage(bytes, 0, bytes.length, isOwned);
    return 'taken';
  } catch (error) {
    return error instanceof MalformedBytes ? 'refused' : error;
  }
}

describe('messages as bytes', () => {
  it('come back as they were, from memory of their own and from the middle of a chunk', () => {
    fc.assert(
      fc.property(messages, fc.nat({ max: 9 }), (message, before) => {
        const packed = Uint8Array.from(packSmall(message));
        expect(unpackMessage(packed, 0, packed.length, true)).toEqual(message);
        const chunk = new Uint8Array(before + packed.length + 300).fill(0xc1);
        chunk.set(packed, before);
        const taken = unpackMessage(chunk, before, before + packed.length, false);
        chunk.fill(0);
        expect(taken).toEqual(message);
      }),
      { numRuns: 2_000 },
    );
  });

  it('take no more bytes than was reckoned, whichever way they are packed', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const atMost = messageBytesAtMost(message);
        const small = Uint8Array.from(packSmall(message));
        expect(small.length).toBeLessThanOrEqual(atMost);
        const frame = packLarge(message, atMost);
        expect(Buffer.from(frame.buffer, frame.byteOffset).readUInt32BE(0)).toBe(small.length);
        expect(Buffer.compare(frame.subarray(FRAME_HEADER_BYTES), small)).toBe(0);
      }),
    );
  });

  it('lie in one buffer of the size that was reckoned, where they are large', () => {
    const body = Array.from({ length: 40 }, (_, at) => new Uint8Array(SMALL_BYTES_MAX).fill(at));
    const message: Message = [ANSWER, 1, null, body];
    const atMost = messageBytesAtMost(message);
    const frame = packLarge(message, atMost);
    expect(frame.buffer.byteLength - atMost).toBeLessThan(8 * 1024);
    const own = Uint8Array.from(frame.subarray(FRAME_HEADER_BYTES));
    expect(unpackMessage(own, 0, own.length, true)).toEqual(message);
  });
});

describe('the scan before the decoder', () => {
  it('refuses what is no plain value, wherever it stands', () => {
    const others = [new Date(0), new Set([1]), new Map([[1, 2]]), /x/, new Error('x'), { a: 1 }, 2n ** 60n, undefined];
    for (const other of others) {
      expect(isPlain(typed.pack([1, other]))).toBe(false);
      expect(isPlain(typed.pack([[['x', [other]]]]))).toBe(false);
    }
    expect(isPlain(free.pack([1, [null]]))).toBe(true);
  });

  it('wants a list, whole, and nothing behind it', () => {
    for (const value of [1, 'text', null, true, 1.5, new Uint8Array(3)]) expect(isPlain(free.pack(value))).toBe(false);
    const packed = free.pack([1, 'some text', new Uint8Array(300), [1.5, -7, 70_000, null], 'x'.repeat(70_000)]);
    expect(isPlain(packed)).toBe(true);
    for (let length = 0; length < packed.length; length++) {
      expect(isPlain(packed.subarray(0, length))).toBe(false);
      if (length === 400) length = packed.length - 400;
    }
    expect(isPlain(Buffer.concat([packed, Buffer.from([0])]))).toBe(false);
  });

  it('refuses lists in lists without end, however they are written, before anything is decoded', () => {
    for (const opening of [[0x91], [0xdc, 0, 1], [0xdd, 0, 0, 0, 1]]) {
      const bomb = Buffer.concat([...Array.from({ length: 200_000 }, () => Buffer.from(opening)), Buffer.from([0xc0])]);
      expect(isPlain(bomb)).toBe(false);
    }
    const nested = (depth: number) => Buffer.from([...Array.from({ length: depth }, () => 0x91), 0xc0]);
    expect(isPlain(nested(16))).toBe(true);
    expect(isPlain(nested(17))).toBe(false);
  });

  it('refuses lists that say they hold more than there is, and more values than any message has', () => {
    expect(isPlain(Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff, 0, 0]))).toBe(false);
    const many = Buffer.alloc(5 + 1_000_001);
    many[0] = 0xdd;
    many.writeUInt32BE(1_000_001, 1);
    expect(isPlain(many)).toBe(false);
  });

  it('lets nothing through that the decoder then stumbles over', () => {
    const tokens = fc.constantFrom(
      0x91,
      0x92,
      0x93,
      0xa1,
      0xa3,
      0xc0,
      0xc1,
      0xc4,
      0xc7,
      0xcb,
      0xcf,
      0xd4,
      0x72,
      0xd9,
      0xdc,
      0xde,
      1,
    );
    const noise = fc
      .array(fc.oneof(tokens, fc.nat({ max: 255 })), { maxLength: 60 })
      .map((bytes) => Uint8Array.from([0x94, ...bytes]));
    let passed = 0;
    fc.assert(
      fc.property(noise, fc.boolean(), (bytes, isOwned) => {
        if (isPlain(bytes)) {
          passed++;
          expect(Array.isArray(free.unpack(bytes))).toBe(true);
        }
        // Once in a great many runs the noise is a message.
        expect(['taken', 'refused']).toContain(outcomeOf(bytes, isOwned));
      }),
      { numRuns: 30_000, examples: [[Uint8Array.of(0x94, UNFOLLOW, 0xa1, 0x61, 0xa1, 0x62, 1), true]] },
    );
    expect(passed).toBeGreaterThan(50);
  });

  it('says nothing of the bytes in its errors', () => {
    const packed = free.pack([ANSWER, 'a secret', 'another secret']);
    expect(() => unpackMessage(packed, 0, packed.length, true)).toThrow(MalformedBytes);
    try {
      unpackMessage(packed, 0, packed.length, true);
    } catch (error) {
      expect(String((error as Error).stack)).not.toContain('a secret');
    }
  });
});
