import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deriveKey } from './derive-key.ts';
import { keyedSeal } from './keyed-seal.ts';

const seal = keyedSeal(deriveKey('the secret of a cluster', 'seal'));
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const payloads = fc.uint8Array({ maxLength: 200 });
const purposes = fc.string({ maxLength: 20 });

describe('the seal', () => {
  it('opens what it sealed', () => {
    fc.assert(
      fc.property(purposes, payloads, (purpose, payload) => {
        const text = seal.seal(purpose, payload);
        expect(text).toMatch(/^[A-Za-z0-9_-]*$/);
        expect(seal.open(purpose, text)).toEqual(payload);
      }),
    );
  });

  it('is the hash its comment says it is, of texts of any length and alphabet, one after another', () => {
    const key = Buffer.from(deriveKey('k', 'seal'));
    const own = keyedSeal(key);
    const anyPurpose = fc.oneof(
      purposes,
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.string({ maxLength: 600 }),
    );
    fc.assert(
      fc.property(anyPurpose, fc.uint8Array({ maxLength: 500 }), (purpose, bytes) => {
        const payload = Buffer.from(bytes).toString('base64url');
        const mac = createHash('sha256')
          .update(`${key.toString('base64url')}${purpose.length}:${purpose}${payload}`)
          .digest('base64url');
        expect(own.seal(purpose, bytes)).toBe(payload + mac.slice(0, 22));
      }),
    );
  });

  it('takes no short key', () => {
    expect(() => keyedSeal(new Uint8Array(16))).toThrow(RangeError);
  });

  it('opens for its own purpose only', () => {
    fc.assert(
      fc.property(purposes, purposes, payloads, (one, other, payload) => {
        fc.pre(one !== other);
        expect(seal.open(other, seal.seal(one, payload))).toBeUndefined();
      }),
    );
  });

  it('lets no part of a payload pass for a part of the purpose', () => {
    const text = seal.seal('a', Buffer.from('bcd'));
    for (let moved = 1; moved <= text.length - 22; moved++) {
      expect(seal.open(`a${text.slice(0, moved)}`, text.slice(moved))).toBeUndefined();
    }
    expect(seal.open('', `a${text}`)).toBeUndefined();
  });

  it('opens nothing that another cluster sealed', () => {
    const other = keyedSeal(deriveKey('another secret', 'seal'));
    expect(seal.open('context', other.seal('context', Buffer.from('payload')))).toBeUndefined();
  });

  it('refuses every change of one character', () => {
    const text = seal.seal('context', Buffer.from('a payload of some length'));
    for (let at = 0; at < text.length; at++) {
      for (const letter of [...BASE64URL.split(''), '+', '/', '=', ' ', '\0', 'é', '\u0141', '\ud800']) {
        if (letter === text[at]) continue;
        expect(seal.open('context', text.slice(0, at) + letter + text.slice(at + 1))).toBeUndefined();
      }
    }
  });

  it('refuses texts that were cut, extended or padded', () => {
    const text = seal.seal('context', Buffer.from('a payload of some length'));
    for (let length = 0; length < text.length; length++) {
      expect(seal.open('context', text.slice(0, length))).toBeUndefined();
      expect(seal.open('context', text.slice(length + 1))).toBeUndefined();
    }
    for (const more of ['A', '=', '\n', ' ', text]) {
      expect(seal.open('context', text + more)).toBeUndefined();
      expect(seal.open('context', more + text)).toBeUndefined();
    }
  });

  it('opens no text that was not sealed', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 300 }), fc.base64String({ maxLength: 300 })), (text) => {
        expect(seal.open('context', text)).toBeUndefined();
      }),
      { numRuns: 5_000 },
    );
  });

  it('seals a view on a larger buffer as what it shows', () => {
    const large = Buffer.from('before payload after');
    const view = new Uint8Array(large.buffer, large.byteOffset + 7, 7);
    expect(seal.seal('context', view)).toBe(seal.seal('context', Buffer.from('payload')));
  });
});
