import type { HttpClient } from './http-client.ts';

export const KEYS = 20_000;
const VALUE_BYTES = 100;
const BATCH_OPERATIONS = 500;
const BATCHES_IN_FLIGHT = 4;

/** A JSON string whose text, quotes included, is 100 bytes. */
export const VALUE = 'v'.repeat(VALUE_BYTES - 2);
export const ENVELOPE = JSON.stringify({ value: VALUE });

export function keyOf(at: number): string {
  return `key-${at}`;
}

/** What a load asks for, over and over. */
export const LOAD_KINDS = ['get', 'put', 'register-get', 'register-put', 'etcd-get', 'etcd-put'] as const;
export type LoadKind = (typeof LOAD_KINDS)[number];

/** A namespace of mode strong. */
export const STRONG_NAMESPACE = 'bench';

export interface LoadRequest {
  readonly method: 'GET' | 'PUT' | 'POST';
  readonly path: string;
  readonly body?: string;
}

/** The request of a kind for one of the keys. */
export function loadRequest(kind: LoadKind, at: number): LoadRequest {
  const key = keyOf(at);
  if (kind === 'get' || kind === 'put') return keyRequest(kind, `/kv/${key}`);
  if (kind === 'register-get') return keyRequest('get', `/namespaces/${STRONG_NAMESPACE}/kv/${key}`);
  if (kind === 'register-put') return keyRequest('put', `/namespaces/${STRONG_NAMESPACE}/kv/${key}`);
  const name = Buffer.from(key).toString('base64');
  if (kind === 'etcd-get') return { method: 'POST', path: '/v3/kv/range', body: JSON.stringify({ key: name }) };
  const value = Buffer.from(VALUE).toString('base64');
  return { method: 'POST', path: '/v3/kv/put', body: JSON.stringify({ key: name, value }) };
}

function keyRequest(kind: 'get' | 'put', path: string): LoadRequest {
  return kind === 'get' ? { method: 'GET', path } : { method: 'PUT', path, body: ENVELOPE };
}

/** Writes `count` distinct keys, `prefix0` and so on, in batches. @throws Error where one of them is refused */
export async function writeKeys(http: HttpClient, url: string, prefix: string, count: number): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      const from = next;
      next = Math.min(count, from + BATCH_OPERATIONS);
      const operations = Array.from({ length: next - from }, (_, at) => ({
        op: 'put',
        key: `${prefix}${from + at}`,
        value: VALUE,
      }));
      const { results } = await http.json<{ results: readonly { status: number }[] }>('POST', `${url}/kv/batch`, {
        operations,
      });
      const refused = results.find(({ status }) => status >= 300);
      if (refused) throw new Error(`a write of a batch was refused: ${JSON.stringify(refused)}`);
    }
  };
  await Promise.all(Array.from({ length: BATCHES_IN_FLIGHT }, work));
}
