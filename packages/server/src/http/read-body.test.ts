import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { readBody } from './read-body.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** A request whose listeners stay, as those of a request that is still being worked on do. */
function requestOf(): PassThrough & IncomingMessage {
  return Object.assign(new PassThrough(), { headers: {} }) as unknown as PassThrough & IncomingMessage;
}

/** What a part weighs on after the body has been handed over; in a function of its own, so that nothing else holds it. */
function sendParts(request: PassThrough): WeakRef<Buffer> {
  const first = Buffer.alloc(1000, 'a');
  request.emit('data', first);
  request.emit('data', Buffer.from('b'));
  return new WeakRef(first);
}

it('a body in parts is held once while its request goes on, not in its parts too', async () => {
  const request = requestOf();
  let body: Buffer | undefined;
  readBody(request, 2000, (_error, bytes) => {
    body = bytes;
  });
  const first = sendParts(request);
  request.emit('end');
  expect(body?.length).toBe(1001);
  await turn();
  collectGarbage();
  expect(first.deref()).toBeUndefined();
  expect(request.listenerCount('data')).toBeGreaterThan(0);
});
