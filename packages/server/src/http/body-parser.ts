import { MeridianError } from '@meridian/core/wire/errors';
import type { FastifyContextConfig, FastifyRequest } from 'fastify';
import { type Opaque, readJson } from './json-reader.ts';
import { JsonError } from './json-scanner.ts';
import { envelopeBytesMax } from './limits.ts';
import { isJsonType, keptType } from './media.ts';
import { readBody } from './read-body.ts';
import type { App, Site } from './site.ts';

/** What a route's body is: a raw value or its envelope, an envelope, a batch, records, other JSON. Routes without one read none. */
export type BodyKind = 'value' | 'envelope' | 'batch' | 'records' | 'json';

declare module 'fastify' {
  interface FastifyContextConfig {
    body?: BodyKind;
  }
}

const VALUE_OF_ENVELOPE: Opaque = { name: 'value', depth: 1 };
/** operations: [ { value } ] */
const VALUE_OF_OPERATION: Opaque = { name: 'value', depth: 3 };
const OTHER_JSON_BYTES_MAX = 256 * 1024;

/** Fastify's own parsers let invalid UTF-8 pass and read before they look at the size. */
export function installBodyParsers(app: App, site: Site): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request, _payload, done) => {
    parseBody(site, request, done);
  });
}

function parseBody(site: Site, request: FastifyRequest, done: (error: Error | null, body?: unknown) => void): void {
  const { body: kind } = request.routeOptions.config as FastifyContextConfig;
  if (kind === undefined) {
    done(null, undefined);
    return;
  }
  const isJson = checkType(request, kind);
  readBody(request.raw, bytesMaxOf(site, kind, isJson), (error, bytes) => {
    if (error) done(error);
    else decode(bytes as Buffer, kind, isJson, done);
  });
}

/** Whether the body is JSON. @throws UNSUPPORTED_MEDIA_TYPE */
function checkType(request: FastifyRequest, kind: BodyKind): boolean {
  const { 'content-type': type, 'content-encoding': coding } = request.headers;
  if (coding !== undefined && coding.toLowerCase() !== 'identity') {
    throw new MeridianError('UNSUPPORTED_MEDIA_TYPE', 'Bodies are taken without content coding only.');
  }
  const isJson = isJsonType(type);
  if (kind === 'value') {
    if (!isJson) keptType(type);
  } else if (!isJson) {
    throw new MeridianError('UNSUPPORTED_MEDIA_TYPE', 'This call takes application/json.');
  }
  return isJson;
}

function bytesMaxOf(site: Site, kind: BodyKind, isJson: boolean): number {
  const { valueBytesMax, batchBytesMax } = site.limits;
  if (kind === 'batch' || kind === 'records') return batchBytesMax;
  if (kind === 'json') return OTHER_JSON_BYTES_MAX;
  return isJson ? envelopeBytesMax(valueBytesMax) : valueBytesMax;
}

function decode(
  bytes: Buffer,
  kind: BodyKind,
  isJson: boolean,
  done: (error: Error | null, body?: unknown) => void,
): void {
  let body: unknown = bytes;
  try {
    if (isJson)
      body = readJson(bytes, kind === 'batch' ? VALUE_OF_OPERATION : isEnvelope(kind) ? VALUE_OF_ENVELOPE : undefined);
  } catch (error) {
    done(
      error instanceof JsonError ? new MeridianError('INVALID_BODY', `The body ${error.message}.`) : (error as Error),
    );
    return;
  }
  done(null, body);
}

function isEnvelope(kind: BodyKind): boolean {
  return kind === 'value' || kind === 'envelope';
}
