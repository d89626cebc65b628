import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Headers, sendFailure, sendJson, sendNothing } from './send.ts';
import type { Site } from './site.ts';

/** What a plain call answers: a status, a value to show as JSON (none: no body), more headers. */
export interface Outcome {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Headers;
}

type Call = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;
type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

/** A route's handler around a call that writes its own answer. Failures become problems; slow answers are logged. */
export function handled(site: Site, call: Call): Handler {
  const run = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const startedMs = performance.now();
    try {
      await call(request, reply);
    } catch (thrown) {
      sendFailure(site, reply.raw, request.id, thrown);
    }
    const tookMs = performance.now() - startedMs;
    // The answer is written at the end of this turn of the event loop (answer-queue.ts), and its status is known from then.
    if (tookMs > site.limits.slowMs) setImmediate(logSlow, site, request, reply, tookMs);
  };
  return (request, reply) => {
    void run(request, reply);
  };
}

/** A route's handler around a call whose answer is any JSON value. */
export function answered(site: Site, call: (request: FastifyRequest) => Promise<Outcome> | Outcome): Handler {
  return handled(site, async (request, reply) => {
    const { status, body, headers } = await call(request);
    if (body === undefined) sendNothing(site, reply.raw, status, ['X-Request-Id', request.id, ...(headers ?? [])]);
    else sendJson(site, reply.raw, request.id, status, body, headers);
  });
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
