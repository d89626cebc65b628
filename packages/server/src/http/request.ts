import { DEFAULT_NAMESPACE } from '@meridian/core/placement/namespace';
import type { FastifyRequest } from 'fastify';
import type { Level, RequestOptions } from '../node/service.ts';
import type { Site } from './site.ts';

/** Headers after validation: those that are numbers have been made so. */
interface SentHeaders {
  readonly 'meridian-timeout'?: number;
  readonly 'meridian-session'?: string;
  readonly 'meridian-context'?: string;
  readonly 'meridian-receipt'?: '0' | '1';
  readonly 'if-match'?: string;
  readonly 'if-none-match'?: string;
  readonly 'idempotency-key'?: string;
}

/** How the request wants to be served. */
export function optionsOf(site: Site, request: FastifyRequest): RequestOptions {
  const headers = request.headers as SentHeaders;
  const { consistency } = request.query as { consistency?: Level };
  return {
    requestId: request.id,
    level: consistency ?? 'eventual',
    isDefaultLevel: consistency === undefined,
    timeoutMs: headers['meridian-timeout'] ?? site.limits.operationTimeoutMs,
    session: headers['meridian-session'],
  };
}

/** Likewise of a write, with what it depends on. */
export function writeOptionsOf(site: Site, request: FastifyRequest): RequestOptions {
  const options = optionsOf(site, request);
  const headers = request.headers as SentHeaders;
  const ifMatch = headers['if-match'];
  const ifNoneMatch = headers['if-none-match'];
  const idempotencyKey = headers['idempotency-key'];
  if (ifMatch === undefined && ifNoneMatch === undefined && idempotencyKey === undefined) return options;
  return { ...options, conditions: { ifMatch, ifNoneMatch, idempotencyKey } };
}

/** The token of what the client read, unopened. */
export function contextOf(request: FastifyRequest): string | undefined {
  return (request.headers as SentHeaders)['meridian-context'];
}

export function wantsReceipt(request: FastifyRequest): boolean {
  return (request.headers as SentHeaders)['meridian-receipt'] === '1';
}

/** The namespace of the path; `default` where it names none. */
export function namespaceOf(request: FastifyRequest): string {
  return (request.params as { ns?: string }).ns ?? DEFAULT_NAMESPACE;
}

/** Whether a header of entity tags (RFC 9110, 13.1) names this one. Weak tags fit where `isWeak` comparison is allowed. */
export function namesTag(header: string, etag: string, isWeak: boolean): boolean {
  if (header.trim() === '*') return true;
  for (const [tag, weak, text] of header.matchAll(/(W\/)?"([^"]*)"/g)) {
    if (tag !== '' && text === etag && (isWeak || weak === undefined)) return true;
  }
  return false;
}
