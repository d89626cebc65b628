import { MeridianError } from '@meridian/core/wire/errors';
import { KEY_BYTES_MAX } from './limits.ts';

const BEYOND_ASCII = /[\u0080-\uffff]/;

/**
 * Checks a decoded key: 1 to 1,024 bytes of UTF-8, and not `.` or `..`, which clients normalise away.
 * @throws INVALID_KEY
 */
export function checkKey(key: string): string {
  if (key.length === 0) throw new MeridianError('INVALID_KEY', 'The key is empty.');
  if (key === '.' || key === '..')
    throw new MeridianError('INVALID_KEY', `"${key}" is no key: clients normalise it away in a path.`);
  if (BEYOND_ASCII.test(key) && !key.isWellFormed())
    throw new MeridianError('INVALID_KEY', 'The key holds half a surrogate pair, which UTF-8 cannot.');
  if (key.length * 3 > KEY_BYTES_MAX) {
    const bytes = Buffer.byteLength(key, 'utf8');
    if (bytes > KEY_BYTES_MAX) {
      throw new MeridianError('INVALID_KEY', `The key has ${bytes} bytes; at most ${KEY_BYTES_MAX} are taken.`, {
        bytes,
        bytesMax: KEY_BYTES_MAX,
      });
    }
  }
  return key;
}
