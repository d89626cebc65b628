import { describe, expect, it } from 'vitest';
import { deriveKey, KEY_BYTES } from './derive-key.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('derived keys', () => {
  it('are the same for the same secret and label, as text or as bytes', () => {
    const key = deriveKey('a secret', 'seal');
    expect(key).toHaveLength(KEY_BYTES);
    expect(hex(deriveKey(Buffer.from('a secret'), 'seal'))).toBe(hex(key));
  });

  it('differ by label and by secret', () => {
    const keys = [deriveKey('a secret', 'seal'), deriveKey('a secret', 'peers'), deriveKey('another', 'seal')].map(hex);
    expect(new Set(keys).size).toBe(3);
  });

  it('stay what they are, so that a rolling upgrade keeps the tokens that clients hold', () => {
    expect(hex(deriveKey('a secret', 'seal'))).toBe('217ba05f36dd9c28ca6edb243926cf580baa7fc08c02318c34fec16f2ae365b8');
  });
});
