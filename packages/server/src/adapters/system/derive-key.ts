import { hkdfSync } from 'node:crypto';

export const KEY_BYTES = 32;

/**
 * A key of 32 bytes for one use, from a secret that has several: HKDF-SHA256 (RFC 5869) with `label` as its info. Who
 * learns one such key learns neither the secret nor the keys of other labels. Every node of a cluster derives the same.
 */
export function deriveKey(secret: string | Uint8Array, label: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, 'meridian', label, KEY_BYTES));
}
