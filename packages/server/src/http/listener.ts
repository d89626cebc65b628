import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { MeridianError } from '@meridian/core/wire/errors';
import { answerClientError } from './client-errors.ts';
import { HEADER_BYTES_MAX } from './limits.ts';
import { markAwaitingContinue } from './read-body.ts';
import type { RequestIds } from './request-id.ts';
import { sendFailure } from './send.ts';
import type { Site } from './site.ts';

/** How often Node looks for requests that take too long to arrive. */
const CHECK_INTERVAL_MS = 500;

/**
 * The listening server around the router: limits of time, size and number; what comes while stopping is turned away.
 * `handle` is Fastify's.
 */
export function createListener(site: Site, ids: RequestIds, handle: RequestListener): Server {
  const { limits } = site;
  const listener: RequestListener = (request, response) => {
    if (site.isStopping)
      refuse(site, ids, request, response, new MeridianError('SHUTTING_DOWN', 'This node is stopping.'));
    else if (request.headers.host === undefined && request.httpVersion === '1.1') {
      refuse(
        site,
        ids,
        request,
        response,
        new MeridianError('INVALID_REQUEST', 'HTTP/1.1 requires the header "Host".'),
      );
    } else handle(request, response);
  };
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      keepAliveTimeout: limits.idleTimeoutMs,
      requireHostHeader: false,
      noDelay: true,
    },
    listener,
  );
  server.maxConnections = limits.connectionsMax;
  server.setTimeout(limits.idleTimeoutMs);
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    markAwaitingContinue(request, response);
    listener(request, response);
  });
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    refuse(
      site,
      ids,
      request,
      response,
      new MeridianError('EXPECTATION_FAILED', 'The only expectation that is met is "100-continue".'),
    );
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    answerClientError(error, socket as Socket, ids.of(undefined));
  });
  capPerAddress(server, limits.connectionsPerAddressMax);
  return server;
}

function refuse(
  site: Site,
  ids: RequestIds,
  request: IncomingMessage,
  response: ServerResponse,
  error: MeridianError,
): void {
  response.shouldKeepAlive = false;
  sendFailure(site, response, ids.of(request.headers['x-request-id']), error);
}

function capPerAddress(server: Server, connectionsMax: number): void {
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const count = (open.get(address) ?? 0) + 1;
    if (count > connectionsMax) {
      socket.destroy();
      return;
    }
    open.set(address, count);
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
  });
}
