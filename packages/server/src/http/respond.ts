import type { FastifyReply, FastifyRequest } from 'fastify';
import { HeaderLines } from './header-lines.ts';
import { sendFailure, sendJson, sendNothing } from './send.ts';
import type { Site } from './site.ts';

/** What a plain call answers: a status, a value to show as JSON (none: no body), more headers. */
export interface Outcome {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: HeaderLines;
}

type Call = (request: FastifyRequest, reply: FastifyReply) => void | Promise<void>;
type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

/**
 * A route's handler around a call that writes its own answer. Failures become problems; slow answers are logged. A call that
 * waits for nothing gives no promise, and is not slow.
 */
export function handled(site: Site, call: Call): Handler {
  return (request, reply) => {
    const fail = (thrown: unknown): void => sendFailure(site, reply.raw, request.id, thrown);
    try {
      const running = call(request, reply);
      if (!running) return;
      const startedMs = performance.now();
      void running.catch(fail).then(() => logIfSlow(site, request, reply, performance.now() - startedMs));
    } catch (thrown) {
      fail(thrown);
    }
  };
}

/** A route's handler around a call whose answer is any JSON value. */
export function answered(site: Site, call: (request: FastifyRequest) => Promise<Outcome> | Outcome): Handler {
  return handled(site, async (request, reply) => {
    const { status, body, headers } = await call(request);
    if (body === undefined) {
      const bare = new HeaderLines().add('X-Request-Id', request.id);
      sendNothing(site, reply.raw, status, headers ? bare.append(headers) : bare);
    } else {
      sendJson(site, reply.raw, request.id, status, body, headers);
    }
  });
}

function logIfSlow(site: Site, request: FastifyRequest, reply: FastifyReply, tookMs: number): void {
  // The answer is written at the end of this turn of the event loop (answer-queue.ts), and its status is known from then.
  if (tookMs > site.limits.slowMs) setImmediate(logSlow, site, request, reply, tookMs);
}

/** The route's pattern, not its path: keys stay out of the log. */
function logSlow(site: Site, request: FastifyRequest, reply: FastifyReply, tookMs: number): void {
  const fields = {
    requestId: request.id,
    method: request.method,
    route: request.routeOptions.url,
    status: reply.raw.statusCode,
    tookMs: Math.round(tookMs),
  };
  site.log.warn(fields, 'slow request');
}
