import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { MeridianError } from '@meridian/core/wire/errors';
import { answerClientError, answerConnect } from './client-errors.ts';
import { HEADER_BYTES_MAX } from './limits.ts';
import { beginInTurn, responseUnderWay } from './pipelining.ts';
import { markAwaitingContinue } from './read-body.ts';
import type { RequestIds } from './request-id.ts';
import { Response } from './response.ts';
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
  const begin: RequestListener = (request, response) => {
    const fault = site.isStopping ? new MeridianError('SHUTTING_DOWN', 'This node is stopping.') : faultOf(request);
    if (fault) refuse(site, ids, request, response, fault);
    else handle(request, response);
  };
  const listener: RequestListener = (request, response) => {
    // A response has its socket where none is under way before it: nearly always.
    if (response.socket === null) beginInTurn(begin, request, response);
    else begin(request, response);
  };
  const server = createServer<typeof IncomingMessage, typeof Response>(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      keepAliveTimeout: limits.idleTimeoutMs,
      requireHostHeader: false,
      noDelay: true,
      ServerResponse: Response,
    },
    listener,
  );
  server.maxConnections = limits.connectionsMax;
  server.setTimeout(limits.idleTimeoutMs, (socket: Socket) => {
    if (!isWorkingFor(socket)) socket.destroy();
  });
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
  server.on('connect', (_request, socket) => {
    answerConnect(socket as Socket, ids.of(undefined));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    answerClientError(error, socket as Socket, ids.of(undefined));
  });
  capPerAddress(server, limits.connectionsPerAddressMax);
  return server;
}

/** Whether the client waits for this node and not the other way round: a long comparison must not end without its answer. */
function isWorkingFor(socket: Socket): boolean {
  const response = responseUnderWay(socket);
  return response?.req.complete === true && !response.headersSent;
}

/** What forbids to go on with a request, whatever it asks for. */
function faultOf({ headers, rawHeaders, httpVersion }: IncomingMessage): MeridianError | undefined {
  const { host, 'transfer-encoding': coding } = headers;
  if (host === undefined) {
    if (httpVersion === '1.1') return new MeridianError('INVALID_REQUEST', 'HTTP/1.1 requires the header "Host".');
  } else if (hasTwoHosts(rawHeaders)) {
    return new MeridianError('INVALID_REQUEST', 'The header "Host" may come only once.');
  }
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return new MeridianError('INVALID_REQUEST', 'The only transfer coding that is taken is "chunked", alone.');
  }
  return undefined;
}

/** Node keeps the first and throws the others away: whoever forwarded the request may have gone by another (RFC 9112, 3.2). */
function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') count++;
  }
  return count > 1;
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
