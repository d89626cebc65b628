import { createServer } from 'node:net';

/** Below the ports that systems give to outgoing connections. */
const PORT_MIN = 20_000;
const PORT_MAX = 30_000;
/** `demo` puts the ports between its nodes so far above those for HTTP. */
const PEER_PORT_OFFSET = 1_000;
const TRIES_MAX = 50;

/** @returns the first of `count` ports in a row that are free, and whose peers' ports are free too */
export async function freeBasePort(count: number): Promise<number> {
  for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
    const base = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    const ports = Array.from({ length: count }, (_, at) => [base + at, base + PEER_PORT_OFFSET + at]).flat();
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new Error(`no ${count} free ports in a row were found between ${PORT_MIN} and ${PORT_MAX}`);
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)));
  });
}
