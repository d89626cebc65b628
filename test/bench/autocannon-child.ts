import { createRequire } from 'node:module';
import type { Load, LoadResult } from './load.ts';
import { KEYS, loadRequest } from './workload.ts';

/** The little that is used of `autocannon`, which comes without types. */
type Autocannon = (options: {
  url: readonly string[];
  connections: number;
  duration: number;
  requests: readonly { setupRequest(request: object): object }[];
}) => Promise<{
  duration: number;
  requests: { total: number };
  latency: { p50: number };
  errors: number;
  timeouts: number;
  non2xx: number;
}>;

const autocannon = createRequire(import.meta.url)('autocannon') as Autocannon;
const { urls, kind, connections, seconds } = JSON.parse(process.argv[2] ?? '{}') as Load;
let at = 0;
const setupRequest = (request: object): object => {
  at = (at + 1) % KEYS;
  const { method, path, body } = loadRequest(kind, at);
  if (body === undefined) return { ...request, method, path };
  return { ...request, method, path, headers: { 'Content-Type': 'application/json' }, body };
};
const { duration, requests, latency, ...failed } = await autocannon({
  url: urls,
  connections,
  duration: seconds,
  requests: [{ setupRequest }],
});
const requestsPerSecond = requests.total / duration;
const result: LoadResult = {
  requestsPerSecond,
  // It counts whole milliseconds. With one connection the mean follows from the rate, and says more.
  medianMs: connections === 1 ? 1_000 / requestsPerSecond : latency.p50,
  failures: failed.errors + failed.timeouts + failed.non2xx,
};
console.log(JSON.stringify(result));
