import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandFailure, EXIT } from '../exit-codes.ts';

const TRY_EVERY_MS = 200;

/**
 * Makes sure that all these ports are free. Waits up to `patienceMs`: the nodes of a demo that was killed take a
 * moment to notice, and to close their stores.
 */
export async function checkPorts(addresses: readonly string[], patienceMs: number): Promise<void> {
  const deadlineMs = performance.now() + patienceMs;
  for (const address of addresses) {
    while (!(await isFree(address))) {
      if (performance.now() > deadlineMs) {
        const port = address.slice(address.lastIndexOf(':') + 1);
        throw new CommandFailure(
          EXIT.usage,
          `port ${port} is taken by another process: end that one, or choose other ports with --base-port`,
        );
      }
      await sleep(TRY_EVERY_MS);
    }
  }
}

function isFree(address: string): Promise<boolean> {
  const at = address.lastIndexOf(':');
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ host: address.slice(0, at), port: Number(address.slice(at + 1)) }, () =>
      server.close(() => resolve(true)),
    );
  });
}
