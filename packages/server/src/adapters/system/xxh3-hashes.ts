import { xxh3 } from '@node-rs/xxhash';
import type { Hashes } from '../../ports/hash.ts';

export const xxh3Hashes: Hashes = {
  text: (text) => xxh3.xxh64(text),
  bytes: (bytes) => xxh3.xxh64(bytes),
};
