import type { ServerResponse } from 'node:http';
import { ERRORS, type ErrorCode, type MeridianError } from '@meridian/core/wire/errors';
import { answerSoon } from './answer-queue.ts';
import { type BodyText, binaryText } from './body-text.ts';
import { HeaderLines } from './header-lines.ts';
import { PROBLEM_TYPE, publicError, RETRY_AFTER_SECONDS, renderProblem } from './problem.ts';
import type { Site } from './site.ts';

export const JSON_TYPE = 'application/json; charset=utf-8';

const HARDENING = 'X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n';
const OF_JSON = `Content-Type: ${JSON_TYPE}\r\n${HARDENING}`;

/** Headers of every answer that has a body. */
export function commonHeaders(requestId: string, type: string): HeaderLines {
  const headers = type === JSON_TYPE ? new HeaderLines(OF_JSON) : new HeaderLines(HARDENING).add('Content-Type', type);
  return headers.add('X-Request-Id', requestId);
}

/**
 * Sends a body of binary text. Answers go straight to Node: Fastify's `reply` would copy each header twice and look at each
 * body anew, which costs a quarter of the time of a small read.
 */
export function send(site: Site, raw: ServerResponse, status: number, headers: HeaderLines, body: string): void {
  if (site.isStopping) raw.shouldKeepAlive = false;
  headers.add('Content-Length', String(body.length));
  answerSoon({ raw, status, headers, body });
}

export function sendNothing(site: Site, raw: ServerResponse, status: number, headers: HeaderLines): void {
  if (site.isStopping) raw.shouldKeepAlive = false;
  raw.writeHead(status, headers.pairs());
  raw.end();
}

export function sendBody(site: Site, raw: ServerResponse, status: number, headers: HeaderLines, body: BodyText): void {
  const length = body.byteLength;
  const parts = body.take();
  const only = parts[0];
  if (parts.length === 1 && typeof only === 'string') {
    send(site, raw, status, headers, only);
    return;
  }
  if (site.isStopping) raw.shouldKeepAlive = false;
  headers.add('Content-Length', String(length));
  raw.writeHead(status, headers.pairs());
  raw.cork();
  for (const part of parts) {
    if (typeof part === 'string') raw.write(part, 'latin1');
    else raw.write(part);
  }
  raw.end();
}

/** Any value as JSON. */
export function sendJson(
  site: Site,
  raw: ServerResponse,
  requestId: string,
  status: number,
  value: unknown,
  more?: HeaderLines,
): void {
  const headers = commonHeaders(requestId, JSON_TYPE);
  if (more) headers.append(more);
  send(site, raw, status, headers, binaryText(JSON.stringify(value)));
}

/** Answers with the problem that `thrown` stands for. What clients are not shown goes to the log. */
export function sendFailure(
  site: Site,
  raw: ServerResponse,
  requestId: string,
  thrown: unknown,
  more?: HeaderLines,
): void {
  const error = publicError(thrown);
  const { status, retry } = ERRORS[error.code];
  logFailure(site, requestId, error, thrown);
  if (raw.headersSent) {
    raw.destroy();
    return;
  }
  const headers = commonHeaders(requestId, PROBLEM_TYPE);
  if (more) headers.append(more);
  if (retry === 'later') headers.add('Retry-After', String(RETRY_AFTER_SECONDS));
  send(site, raw, status, headers, binaryText(renderProblem(error, requestId)));
}

/** Codes of 500 and above that say nothing of this node's health. */
const UNREMARKABLE: ReadonlySet<ErrorCode> = new Set(['NOT_BUILT', 'SHUTTING_DOWN']);

/** A cut link fails thousands of requests in one way: a line a second for each code says as much as one for each request. */
const REFUSAL_LOG_INTERVAL_MS = 1000;
const refusalLoggedMs = new Map<ErrorCode, number>();

function logFailure(site: Site, requestId: string, error: MeridianError, thrown: unknown): void {
  if (error.code === 'INTERNAL') {
    site.log.error({ requestId, err: thrown }, 'request failed');
    return;
  }
  if (error.status < 500 || UNREMARKABLE.has(error.code)) return;
  const nowMs = performance.now();
  if (nowMs - (refusalLoggedMs.get(error.code) ?? -Infinity) < REFUSAL_LOG_INTERVAL_MS) return;
  refusalLoggedMs.set(error.code, nowMs);
  site.log.warn({ requestId, code: error.code, detail: error.message }, 'request refused');
}
