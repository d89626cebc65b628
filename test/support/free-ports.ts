import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the range from which systems take ports for outgoing connections, so that none of those is in the way. */
const PORTS_FROM = 20_000;
const PORTS_TO = 31_000;
const TRIES_MAX = 200;

/** The first of `count` free ports in a row, and those `offset` above them free too. */
export async function freeBasePort(count: number, offset = 0): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const base = randomInt(PORTS_FROM, PORTS_TO);
    const ports = new Set(Array.from({ length: count }, (_, at) => [base + at, base + offset + at]).flat());
    if ((await Promise.all([...ports].map(isFree))).every(Boolean)) return base;
  }
  throw new Error(`no ${count} free ports in a row were found`);
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)));
  });
}
