import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameReader } from './frame-reader.ts';

function framed(payloads: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    payloads.flatMap((payload) => {
      const header = Buffer.alloc(4);
      header.writeUInt32BE(payload.length);
      return [header, payload];
    }),
  );
}

function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length] as number;
    chunks.push(bytes.slice(at, at + length));
    at += length;
  }
  return chunks;
}

describe('the frame reader', () => {
  const payloads = fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 20 });

  it('finds the same frames however the stream is cut', () => {
    fc.assert(
      fc.property(
        payloads,
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 20 }),
        (sent, lengths) => {
          const found: Uint8Array[] = [];
          const reader = new FrameReader(60, (bytes, from, to, isOwned) => {
            if (isOwned) expect([bytes.byteOffset, from, to]).toEqual([0, 0, bytes.buffer.byteLength]);
            found.push(Uint8Array.from(bytes.subarray(from, to)));
            return true;
          });
          for (const chunk of cut(framed(sent), lengths)) expect(reader.read(chunk)).toBeUndefined();
          expect(found).toEqual(sent);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('names the length of a frame that is too large as soon as its header is there', () => {
    fc.assert(
      fc.property(fc.integer({ min: 101, max: 2 ** 32 - 1 }), fc.integer({ min: 1, max: 4 }), (length, step) => {
        const header = Buffer.alloc(4);
        header.writeUInt32BE(length);
        const reader = new FrameReader(100, () => true);
        const answers = cut(header, [step]).map((chunk) => reader.read(chunk));
        expect(answers.at(-1)).toBe(length);
      }),
    );
  });

  it('looks at no frame after the one that its owner closed on', () => {
    let taken = 0;
    const reader = new FrameReader(100, () => ++taken < 3);
    reader.read(framed([Buffer.from('a'), Buffer.from('b'), Buffer.from('c'), Buffer.from('d')]));
    expect(taken).toBe(3);
  });

  it('goes by the limit as it stands when the frame begins', () => {
    let taken = 0;
    const reader = new FrameReader(10, () => {
      reader.bytesMax = 100;
      taken++;
      return true;
    });
    expect(reader.read(framed([new Uint8Array(10), new Uint8Array(100)]))).toBeUndefined();
    expect(taken).toBe(2);
    expect(reader.read(framed([new Uint8Array(101)]))).toBe(101);
  });
});
