import { MeridianError } from '@meridian/core/wire/errors';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { PutValue, ReadAnswer, SeenValue, WriteAnswer } from '../node/service.ts';
import { asBuffer } from './body-text.ts';
import { addHead, envelopeHeaders, envelopeOf, type SentEnvelope, valueOfEnvelope, writtenOf } from './envelope.ts';
import { HeaderLines } from './header-lines.ts';
import { checkKey } from './keys.ts';
import { JSON_MEDIA, keptType, type Wanted, wantedForm } from './media.ts';
import { contextOf, namespaceOf, namesTag, optionsOf, wantsReceipt, writeOptionsOf } from './request.ts';
import { handled } from './respond.ts';
import {
  AnyValue,
  ConditionHeaders,
  CreateHeaders,
  Envelope,
  emptyAnswer,
  headedAnswer,
  KeyParams,
  NamespaceKeyParams,
  NamespaceParams,
  NoParams,
  OF_WRITES,
  OptionsQuery,
  oneOf,
  operationResponses,
  refTo,
  strictObject,
  Ttl,
  WriteHeaders,
  Written,
} from './schemas.ts';
import { commonHeaders, sendBody, sendFailure, sendNothing } from './send.ts';
import type { App, Site } from './site.ts';

export const EnvelopeFields = {
  value: AnyValue,
  ttl: Type.Optional(Ttl),
  encoding: Type.Optional(oneOf(['base64'], { description: '`value` is base64 of bytes that are not JSON.' })),
  contentType: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: '^[ -~]+$',
      description: 'Goes with `encoding`: the type of those bytes.',
    }),
  ),
};
const PutEnvelope = strictObject(EnvelopeFields);
const CreateEnvelope = strictObject({ key: Type.String(), ...EnvelopeFields });

const ReadQuery = strictObject({
  ...OptionsQuery.properties,
  raw: Type.Optional(oneOf(['', '1', 'true'], { description: "Asks for the value's own bytes and type." })),
});
const WriteQuery = strictObject({ ...OptionsQuery.properties, ttl: Type.Optional(Ttl) });

/** Headers of a value's bare bytes: whatever they are, a browser neither guesses nor runs them. */
const RAW_POLICY = "sandbox; default-src 'none'";

/** `base` is empty for the namespace `default`. */
export function keyRoutes(app: App, site: Site, base: '' | '/namespaces/:ns'): void {
  const params = base === '' ? KeyParams : NamespaceKeyParams;
  const tags = ['Keys and values'];
  app.route({
    method: 'GET',
    url: `${base}/kv/:key`,
    schema: {
      tags,
      summary: 'Read a value',
      description:
        'The envelope; with `Accept: application/octet-stream` or `?raw` the value alone, under its own type.',
      params,
      querystring: ReadQuery,
      headers: ConditionHeaders,
      response: operationResponses(
        {
          200: headedAnswer('The value.', refTo(Envelope)),
          304: emptyAnswer('The value still has the tag of `If-None-Match`.', true),
        },
        ['INVALID_KEY', 'KEY_NOT_FOUND', 'NOT_ACCEPTABLE', 'CONDITION_FAILED', 'RATE_LIMITED'],
      ),
    },
    handler: handled(site, (request, reply) => read(site, request, reply)),
  });
  app.route({
    method: 'PUT',
    url: `${base}/kv/:key`,
    config: { body: 'value' },
    schema: {
      tags,
      summary: 'Create or replace a value',
      description: `With \`Content-Type: ${JSON_MEDIA}\` the body is an envelope; with any other it is the value, byte for byte, kept with its type.`,
      params,
      querystring: WriteQuery,
      headers: WriteHeaders,
      body: {
        content: { 'application/json': { schema: PutEnvelope }, '*/*': { schema: Type.String({ format: 'binary' }) } },
      },
      response: operationResponses(
        {
          200: headedAnswer('Replaced.', refTo(Written)),
          201: headedAnswer('Created: no live value was known.', refTo(Written)),
        },
        [
          'INVALID_KEY',
          'INVALID_CONTEXT',
          'CONDITION_FAILED',
          'CONDITION_NEEDS_STRONG_NAMESPACE',
          'IDEMPOTENCY_KEY_REUSED',
          ...OF_WRITES,
        ],
      ),
    },
    handler: handled(site, (request, reply) => put(site, request, reply)),
  });
  app.route({
    method: 'DELETE',
    url: `${base}/kv/:key`,
    schema: {
      tags,
      summary: 'Delete a value',
      params,
      querystring: OptionsQuery,
      headers: WriteHeaders,
      response: operationResponses({ 204: emptyAnswer('Deleted.', true) }, [
        'INVALID_KEY',
        'KEY_NOT_FOUND',
        'INVALID_CONTEXT',
        'CONDITION_FAILED',
        'CONDITION_NEEDS_STRONG_NAMESPACE',
        'IDEMPOTENCY_KEY_REUSED',
        'OUTCOME_UNKNOWN',
        'RATE_LIMITED',
        'STORE_FULL',
      ]),
    },
    handler: handled(site, (request, reply) => remove(site, request, reply)),
  });
  app.route({
    method: 'POST',
    url: `${base}/kv/`,
    config: { body: 'envelope' },
    schema: {
      tags,
      summary: 'Create a value',
      params: base === '' ? NoParams : NamespaceParams,
      querystring: OptionsQuery,
      headers: CreateHeaders,
      body: CreateEnvelope,
      response: operationResponses({ 201: headedAnswer('Created; `Location` says where.', refTo(Written)) }, [
        'INVALID_KEY',
        'KEY_EXISTS',
        'CONDITION_FAILED',
        'CONDITION_NEEDS_STRONG_NAMESPACE',
        'IDEMPOTENCY_KEY_REUSED',
        ...OF_WRITES,
      ]),
    },
    handler: handled(site, (request, reply) => create(site, request, reply)),
  });
}

function read(site: Site, request: FastifyRequest, reply: FastifyReply): void | Promise<void> {
  const key = checkKey((request.params as { key: string }).key);
  const wanted = (request.query as { raw?: string }).raw === undefined ? wantedForm(request.headers.accept) : 'bytes';
  const answer = site.service.get(namespaceOf(request), key, optionsOf(site, request));
  return answer instanceof Promise
    ? answer.then((later) => answerRead(site, request, reply, key, wanted, later))
    : answerRead(site, request, reply, key, wanted, answer);
}

function answerRead(
  site: Site,
  request: FastifyRequest,
  reply: FastifyReply,
  key: string,
  wanted: Wanted,
  answer: ReadAnswer,
): void {
  const winner = answer.values[0];
  if (winner === undefined) {
    const error = new MeridianError('KEY_NOT_FOUND', 'The key has no live value here.', { key });
    sendFailure(site, reply.raw, request.id, error, addHead(new HeaderLines(), answer.head, wantsReceipt(request)));
    return;
  }
  if (isUnchanged(request, answer)) {
    // `Vary` as the answer in full would have had it (RFC 9110, 15.4.5).
    const headers = bareHeaders(request.id, answer).add('Vary', 'Accept');
    sendNothing(site, reply.raw, 304, addHead(headers, answer.head, wantsReceipt(request)));
    return;
  }
  if (wanted === 'bytes') sendBytes(site, request, reply, answer, winner);
  else sendRead(site, request, reply, key, answer);
}

/** @throws CONDITION_FAILED where `If-Match` names another version */
function isUnchanged(request: FastifyRequest, { head }: ReadAnswer): boolean {
  const { 'if-match': match, 'if-none-match': noneMatch } = request.headers;
  if (match !== undefined && !namesTag(match, head.etag, false)) {
    throw new MeridianError('CONDITION_FAILED', 'The value has another tag than "If-Match" names.');
  }
  return noneMatch !== undefined && namesTag(noneMatch, head.etag, true);
}

function sendRead(site: Site, request: FastifyRequest, reply: FastifyReply, key: string, answer: ReadAnswer): void {
  const headers = envelopeHeaders(request.id, answer.head, wantsReceipt(request));
  headers.add('Vary', 'Accept');
  const body = envelopeOf(key, answer);
  site.unsent.admit(reply.raw, body.byteLength);
  sendBody(site, reply.raw, 200, headers, body);
}

function sendBytes(
  site: Site,
  request: FastifyRequest,
  reply: FastifyReply,
  answer: ReadAnswer,
  winner: SeenValue,
): void {
  site.unsent.admit(reply.raw, winner.body.length);
  const headers = commonHeaders(request.id, winner.contentType);
  headers.add('ETag', `"${answer.head.etag}"`).add('Vary', 'Accept').add('Content-Security-Policy', RAW_POLICY);
  headers.add('Content-Length', String(winner.body.length));
  if (site.isStopping) reply.raw.shouldKeepAlive = false;
  reply.raw.writeHead(200, addHead(headers, answer.head, wantsReceipt(request)).pairs());
  reply.raw.end(asBuffer(winner.body));
}

/** Headers of an answer about a value that does not show it. */
function bareHeaders(requestId: string, { head }: ReadAnswer | WriteAnswer): HeaderLines {
  return new HeaderLines('Cache-Control: no-store\r\n').add('X-Request-Id', requestId).add('ETag', `"${head.etag}"`);
}

async function put(site: Site, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const key = checkKey((request.params as { key: string }).key);
  const options = writeOptionsOf(site, request);
  const namespace = namespaceOf(request);
  const value = putValueOf(site, request);
  const answer = await site.service.put(namespace, key, value, contextOf(request), options);
  sendWritten(site, request, reply, answer.existed ? 200 : 201, key, answer);
}

function putValueOf(site: Site, request: FastifyRequest): PutValue {
  const { ttl } = request.query as { ttl?: number };
  const body = request.body as Buffer | SentEnvelope | undefined;
  if (body === undefined || Buffer.isBuffer(body)) {
    const type = keptType(request.headers['content-type']);
    return { body: body ?? Buffer.alloc(0), contentType: type, ttlSeconds: ttl };
  }
  const value = valueOfEnvelope(body, site.limits.valueBytesMax);
  if (ttl === undefined) return value;
  if (value.ttlSeconds !== undefined && value.ttlSeconds !== ttl) {
    throw new MeridianError('INVALID_PARAMETER', 'The "ttl" of the query is another than the envelope\'s.', {
      parameter: 'ttl',
    });
  }
  return { ...value, ttlSeconds: ttl };
}

async function remove(site: Site, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const key = checkKey((request.params as { key: string }).key);
  const options = writeOptionsOf(site, request);
  const answer = await site.service.delete(namespaceOf(request), key, contextOf(request), options);
  if (!answer.existed) {
    const error = new MeridianError('KEY_NOT_FOUND', 'The key has no live value here.', { key });
    sendFailure(site, reply.raw, request.id, error, addHead(new HeaderLines(), answer.head, wantsReceipt(request)));
    return;
  }
  const headers = bareHeaders(request.id, answer);
  sendNothing(site, reply.raw, 204, addHead(headers, answer.head, wantsReceipt(request)));
}

async function create(site: Site, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const { key, ...envelope } = request.body as SentEnvelope & { key: string };
  checkKey(key);
  const { conditions, ...options } = writeOptionsOf(site, request);
  if (conditions?.ifMatch !== undefined) {
    throw new MeridianError(
      'CONDITION_FAILED',
      'A create takes no "If-Match": there must be no value for it to match.',
    );
  }
  const idempotencyKey = conditions?.idempotencyKey;
  const value = valueOfEnvelope(envelope, site.limits.valueBytesMax);
  const namespace = namespaceOf(request);
  const kept = idempotencyKey === undefined ? options : { ...options, conditions: { idempotencyKey } };
  const answer = await site.service.create(namespace, key, value, kept);
  const path =
    (request.params as { ns?: string }).ns === undefined ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  sendWritten(site, request, reply, 201, key, answer, `${path}/kv/${encodeURIComponent(key)}`);
}

function sendWritten(
  site: Site,
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  key: string,
  answer: WriteAnswer,
  location?: string,
): void {
  const headers = envelopeHeaders(request.id, answer.head, wantsReceipt(request));
  if (location !== undefined) headers.add('Location', location);
  sendBody(site, reply.raw, status, headers, writtenOf(key, answer));
}
