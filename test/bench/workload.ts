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
