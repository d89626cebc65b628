import type { Hash64 } from './partition.ts';

const MASK = 0xffffffffffffffffn;

/** FNV-1a over UTF-16 units, finished as in MurmurHash3: even enough for tests, so that the core needs no library for them. */
export const testHash: Hash64 = (text) => {
  let hash = 0xcbf29ce484222325n;
  for (let at = 0; at < text.length; at++) hash = ((hash ^ BigInt(text.charCodeAt(at))) * 0x100000001b3n) & MASK;
  hash = ((hash ^ (hash >> 33n)) * 0xff51afd7ed558ccdn) & MASK;
  hash = ((hash ^ (hash >> 33n)) * 0xc4ceb9fe1a85ec53n) & MASK;
  return hash ^ (hash >> 33n);
};
