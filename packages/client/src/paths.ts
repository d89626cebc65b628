import { MeridianRequestError } from './errors.ts';

export const DEFAULT_NAMESPACE = 'default';
/** UTF-8 bytes in the longest key. */
export const KEY_BYTES_MAX = 1_024;

/** The path of a namespace's keys, with its trailing slash. */
export function keysPath(namespace: string): string {
  return namespace === DEFAULT_NAMESPACE ? '/kv/' : `${namespacePath(namespace)}/kv/`;
}

export function namespacePath(namespace: string): string {
  if (namespace === '' || namespace === '.' || namespace === '..' || !namespace.isWellFormed()) {
    throw new MeridianRequestError(400, 'INVALID_NAMESPACE', `no namespace can be named ${JSON.stringify(namespace)}`);
  }
  return `/namespaces/${encodeURIComponent(namespace)}`;
}

/**
 * The path of one key. An impossible key is refused here as the server would refuse it: `.` and `..` would be
 * normalised away on the way, and the request would be about something else.
 */
export function keyPath(namespace: string, key: string): string {
  const problem = keyProblem(key);
  if (problem) throw new MeridianRequestError(400, 'INVALID_KEY', problem);
  return keysPath(namespace) + encodeURIComponent(key);
}

function keyProblem(key: string): string | undefined {
  if (key === '') return 'a key has at least one byte';
  if (key === '.' || key === '..') return `${key} is a dot segment of a path, not a key`;
  if (!key.isWellFormed()) return 'the key is not valid Unicode';
  const bytes = new TextEncoder().encode(key).length;
  return bytes > KEY_BYTES_MAX ? `the key has ${bytes} bytes, ${KEY_BYTES_MAX} are allowed` : undefined;
}
