import type { IncomingMessage, ServerResponse } from 'node:http';
import { MeridianError } from '@meridian/core/wire/errors';

export type BodyDone = (error: Error | null, body?: Buffer) => void;

/** Requests that wait for `100 Continue` before they send their body. */
const awaitingContinue = new WeakMap<
  IncomingMessage,
  { readonly response: ServerResponse; readonly keepsAlive: boolean }
>();

export function markAwaitingContinue(request: IncomingMessage, response: ServerResponse): void {
  // Refused, such a client sends no body; the next bytes on the connection could be either, so it is closed then.
  awaitingContinue.set(request, { response, keepsAlive: response.shouldKeepAlive });
  response.shouldKeepAlive = false;
}

/**
 * Collects a body of at most `bytesMax` bytes. One that announces more is refused before a byte is read, and before a client
 * that asks is told to send; one that turns out longer, at the byte too many. What still arrives then is thrown away as it
 * comes, so that the client gets to read the answer; the request's own timeout bounds that.
 */
export function readBody(request: IncomingMessage, bytesMax: number, done: BodyDone): void {
  const announced = request.headers['content-length'];
  const waiting = awaitingContinue.get(request);
  if (announced !== undefined && Number(announced) > bytesMax) {
    done(tooLarge(bytesMax, Number(announced)));
    return;
  }
  if (waiting) {
    waiting.response.shouldKeepAlive = waiting.keepsAlive;
    waiting.response.writeContinue();
  }
  collect(request, bytesMax, done);
}

/** Listeners stay where they are: taking them away costs more than their last idle call. */
function collect(request: IncomingMessage, bytesMax: number, done: BodyDone): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let isDone = false;
  const finish: BodyDone = (error, body) => {
    if (isDone) return;
    isDone = true;
    done(error, body);
  };
  request.on('data', (chunk: Buffer) => {
    if (isDone) return;
    bytes += chunk.length;
    if (bytes <= bytesMax) {
      chunks.push(chunk);
      return;
    }
    chunks.length = 0;
    finish(tooLarge(bytesMax));
  });
  request.on('end', () => {
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes);
    // The listeners hold the parts for as long as the request lives: a large body would be in memory twice.
    chunks.length = 0;
    finish(null, body);
  });
  // Comes after an error too; Node tells errors of a request only to those who listen.
  request.on('close', () => {
    if (!isDone) finish(new MeridianError('INVALID_REQUEST', 'The connection ended before the body did.'));
  });
}

function tooLarge(bytesMax: number, bytes?: number): MeridianError {
  const size =
    bytes === undefined ? `is longer than ${bytesMax} bytes, the most` : `has ${bytes} bytes; ${bytesMax} are the most`;
  const figures = bytes === undefined ? { bytesMax } : { bytes, bytesMax };
  return new MeridianError('VALUE_TOO_LARGE', `The body ${size} that this call takes.`, figures);
}
