import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { ERRORS, type ErrorCode, MeridianError } from '@meridian/core/wire/errors';
import { HEADER_BYTES_MAX } from './limits.ts';
import { hasLine, responseUnderWay } from './pipelining.ts';
import { PROBLEM_TYPE, renderProblem } from './problem.ts';

/** Answers what is no HTTP request that Node could hand over, on the bare socket, and closes it. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket, requestId: string): void {
  // What waits for its turn keeps the rest from being read: that it is not here is this node's doing. Other limits hold on.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && hasLine(socket)) return;
  if (error.code !== 'ECONNRESET' && socket.writable && closesAfterAnswer(socket)) return;
  if (error.code === 'ECONNRESET' || !socket.writable || owesAnswer(socket)) {
    socket.destroy();
    return;
  }
  socket.end(problemMessage(problemOf(error.code ?? ''), requestId));
  socket.resume();
}

/** Node hands such a connection over bare: with no answer at all, a client could not tell why it closed. */
export function answerConnect(socket: Socket, requestId: string): void {
  socket.on('error', () => {});
  if (!socket.writable || owesAnswer(socket)) {
    socket.destroy();
    return;
  }
  const error = new MeridianError('METHOD_NOT_ALLOWED', 'This is no proxy: it connects nobody to anybody.');
  // RFC 9110, 10.2.1: an empty list says that there is no method for this target.
  socket.end(problemMessage(error, requestId, ['Allow: ']));
  socket.resume();
}

function problemOf(code: string): MeridianError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new MeridianError(
        'HEADERS_TOO_LARGE',
        `The request line and headers have more than ${HEADER_BYTES_MAX} bytes.`,
        { bytesMax: HEADER_BYTES_MAX },
      );
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new MeridianError('REQUEST_TIMEOUT', 'The request did not arrive in time.');
    default:
      return new MeridianError('INVALID_REQUEST', 'This is no HTTP/1.1 request.');
  }
}

/**
 * Whether an answer has begun, whose bytes another would end up among, or is being made for a whole request that came
 * before the broken one: the client would take the problem for the answer to that, though it may have taken effect.
 */
function owesAnswer(socket: Socket): boolean {
  const current = responseUnderWay(socket);
  return current !== undefined && (current.headersSent || current.req.complete);
}

/**
 * Where an answer is being made for a whole request before the broken one, it is still given, and is the last: a client that
 * sent a byte more than it announced learns what became of its write. Says whether there is one.
 */
function closesAfterAnswer(socket: Socket): boolean {
  const current = responseUnderWay(socket);
  if (!current || current.headersSent || !current.req.complete) return false;
  current.shouldKeepAlive = false;
  return true;
}

function problemMessage(error: MeridianError, requestId: string, more: readonly string[] = []): string {
  const code: ErrorCode = error.code;
  const { status } = ERRORS[code];
  const body = renderProblem(error, requestId);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    'X-Content-Type-Options: nosniff',
    'Cache-Control: no-store',
    'Connection: close',
    ...more,
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}
