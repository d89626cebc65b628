import { MeridianError } from '@meridian/core/wire/errors';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { listOf, receiptText } from './envelope.ts';
import { KEY_BYTES_MAX, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX } from './limits.ts';
import { namespaceOf, optionsOf, wantsReceipt } from './request.ts';
import { handled } from './respond.ts';
import {
  Envelope,
  headedAnswer,
  NamespaceParams,
  NoParams,
  nullable,
  OptionsHeaders,
  OptionsQuery,
  oneOf,
  operationResponses,
  refTo,
  strictObject,
  Time,
} from './schemas.ts';
import { commonHeaders, JSON_TYPE, sendBody } from './send.ts';
import type { App, Site } from './site.ts';

const ListQuery = strictObject({
  ...OptionsQuery.properties,
  prefix: Type.Optional(Type.String({ description: 'Keys that begin with it.' })),
  start: Type.Optional(Type.String({ description: 'The first key that may come.' })),
  end: Type.Optional(Type.String({ description: 'The first key that may not; empty: no such key.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIST_LIMIT_MAX, default: LIST_LIMIT_DEFAULT })),
  cursor: Type.Optional(Type.String({ description: 'Of the page before, with the same prefix, start and end.' })),
  values: Type.Optional(oneOf(['true', 'false'], { default: 'true', description: '`false` leaves the values out.' })),
});

const BareItem = Type.Object({
  key: Type.String(),
  contentType: Type.Optional(Type.String({ description: 'There where the value is not JSON.' })),
  context: Type.String(),
  time: Time,
  region: nullable(Type.String()),
  conflict: Type.Boolean(),
  expiresAt: nullable(Time),
});

const Page = Type.Object({
  items: Type.Array(Type.Union([refTo(Envelope), BareItem])),
  cursor: Type.Optional(Type.String({ description: 'Where the next page begins; absent after the last.' })),
});

export function listRoutes(app: App, site: Site, base: '' | '/namespaces/:ns'): void {
  app.route({
    method: 'GET',
    url: `${base}/kv/`,
    schema: {
      tags: ['Keys and values'],
      summary: 'List keys in order',
      description: 'In the order of their UTF-8 bytes, paged by an opaque cursor.',
      params: base === '' ? NoParams : NamespaceParams,
      querystring: ListQuery,
      headers: OptionsHeaders,
      response: operationResponses({ 200: headedAnswer('One page.', Page) }, ['INVALID_CURSOR', 'RATE_LIMITED']),
    },
    handler: handled(site, (request, reply) => list(site, request, reply)),
  });
}

async function list(site: Site, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const query = request.query as {
    prefix?: string;
    start?: string;
    end?: string;
    limit?: number;
    cursor?: string;
    values?: 'true' | 'false';
  };
  for (const name of ['prefix', 'start', 'end'] as const) checkBound(name, query[name]);
  const range = {
    prefix: query.prefix ?? '',
    // A form sends the fields that were left empty too. No key comes before the empty one: to stop there asks for nothing.
    start: query.start === '' ? undefined : query.start,
    end: query.end === '' ? undefined : query.end,
    limit: query.limit ?? LIST_LIMIT_DEFAULT,
    cursor: query.cursor,
    withBodies: query.values !== 'false',
  };
  const answer = await site.service.list(namespaceOf(request), range, optionsOf(site, request));
  const headers = commonHeaders(request.id, JSON_TYPE);
  if (answer.session !== '') headers.add('Meridian-Session', answer.session);
  headers.add('Meridian-Region', answer.receipt.region);
  if (wantsReceipt(request)) headers.add('Meridian-Receipt', receiptText(answer.receipt));
  const body = listOf(answer.items, answer.cursor, range.withBodies);
  site.unsent.admit(reply.raw, body.byteLength);
  sendBody(site, reply.raw, 200, headers, body);
}

/** @throws INVALID_PARAMETER for a bound longer than any key */
function checkBound(parameter: string, bound: string | undefined): void {
  const bytes = bound === undefined ? 0 : Buffer.byteLength(bound, 'utf8');
  if (bytes <= KEY_BYTES_MAX) return;
  throw new MeridianError(
    'INVALID_PARAMETER',
    `"${parameter}" has ${bytes} bytes; a key has at most ${KEY_BYTES_MAX}.`,
    { parameter, bytes, bytesMax: KEY_BYTES_MAX },
  );
}
