import type { Namespace } from '@meridian/core/placement/namespace';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { LedgerItem, NamespaceChange } from '../node/service.ts';
import { envelopeHeaders, ledgerText, writtenOf } from './envelope.ts';
import { checkKey } from './keys.ts';
import { TTL_SECONDS_MAX } from './limits.ts';
import { namespaceOf, optionsOf, wantsReceipt } from './request.ts';
import { answered, handled } from './respond.ts';
import {
  AnyValue,
  emptyAnswer,
  headedAnswer,
  jsonAnswer,
  mapOf,
  NamespaceParams,
  NoQuery,
  nullable,
  OF_WRITES,
  OptionsHeaders,
  OptionsQuery,
  oneOf,
  operationResponses,
  refTo,
  responses,
  strictObject,
  Time,
  Written,
} from './schemas.ts';
import { commonHeaders, JSON_TYPE, sendBody } from './send.ts';
import type { App, Site } from './site.ts';

const Placement = Type.Union([
  mapOf(Type.Integer({ minimum: 0, maximum: 100 }), {
    maxProperties: 1000,
    description: 'Replicas by region; a region not named holds none.',
  }),
  oneOf(['all'], { description: 'One replica in each region.' }),
]);
const DefaultTtl = nullable(
  Type.Integer({ minimum: 1, maximum: TTL_SECONDS_MAX, description: 'Seconds, for values written without a `ttl`.' }),
);
const KeepSeconds = Type.Integer({ minimum: 1, maximum: TTL_SECONDS_MAX });

const NamespaceBody = strictObject({
  mode: Type.Optional(oneOf(['eventual', 'strong'], { description: 'Cannot change.' })),
  conflict: Type.Optional(oneOf(['siblings', 'lww'])),
  placement: Type.Optional(Placement),
  defaultTtl: Type.Optional(DefaultTtl),
  ledger: Type.Optional(strictObject({ keepSeconds: Type.Optional(KeepSeconds) })),
});

interface SentNamespace {
  readonly mode?: 'eventual' | 'strong';
  readonly conflict?: 'siblings' | 'lww';
  readonly placement?: 'all' | Readonly<Record<string, number>>;
  readonly defaultTtl?: number | null;
  readonly ledger?: { readonly keepSeconds?: number };
}

const ShownNamespace = Type.Object(
  {
    name: Type.String(),
    mode: oneOf(['eventual', 'strong']),
    conflict: oneOf(['siblings', 'lww']),
    placement: Placement,
    defaultTtl: DefaultTtl,
    ledger: Type.Object({ keepSeconds: KeepSeconds }),
  },
  { $id: 'Namespace' },
);

const LedgerPage = Type.Object({
  items: Type.Array(
    Type.Object({
      id: Type.String({ description: 'Names the value for `restore`.' }),
      key: Type.String(),
      value: AnyValue,
      encoding: Type.Optional(oneOf(['base64'])),
      contentType: Type.Optional(Type.String()),
      time: Time,
      region: nullable(Type.String()),
      expiresAt: nullable(Time),
      hiddenAt: Time,
    }),
  ),
});

const tags = ['Namespaces'];

export function namespaceRoutes(app: App, site: Site): void {
  app.addSchema(ShownNamespace);
  app.route({
    method: 'GET',
    url: '/namespaces',
    schema: {
      tags,
      summary: 'All namespaces',
      querystring: NoQuery,
      response: responses(
        { 200: jsonAnswer('All that there are.', Type.Object({ namespaces: Type.Array(refTo(ShownNamespace)) })) },
        [],
      ),
    },
    handler: answered(site, () => ({ status: 200, body: { namespaces: site.service.namespaces().map(shown) } })),
  });
  app.route({
    method: 'GET',
    url: '/namespaces/:ns',
    schema: {
      tags,
      summary: 'One namespace',
      params: NamespaceParams,
      querystring: NoQuery,
      headers: OptionsHeaders,
      response: operationResponses({ 200: jsonAnswer('How it is set.', refTo(ShownNamespace)) }, []),
    },
    handler: answered(site, async (request) => ({
      status: 200,
      body: shown(await site.service.namespace(namespaceOf(request), optionsOf(site, request))),
    })),
  });
  app.route({
    method: 'PUT',
    url: '/namespaces/:ns',
    config: { body: 'json' },
    schema: {
      tags,
      summary: 'Create or change a namespace',
      description: 'Fields left out keep what they are; of a new namespace they take the default.',
      params: NamespaceParams,
      querystring: NoQuery,
      headers: OptionsHeaders,
      body: NamespaceBody,
      response: operationResponses(
        { 200: jsonAnswer('Changed.', refTo(ShownNamespace)), 201: jsonAnswer('Created.', refTo(ShownNamespace)) },
        ['INVALID_NAMESPACE', 'NAMESPACE_CONFLICT', 'NOT_BUILT', ...OF_WRITES],
      ),
    },
    handler: answered(site, (request) => putNamespace(site, request)),
  });
  app.route({
    method: 'DELETE',
    url: '/namespaces/:ns',
    schema: {
      tags,
      summary: 'Drop a namespace and all in it',
      params: NamespaceParams,
      querystring: NoQuery,
      headers: OptionsHeaders,
      response: operationResponses({ 204: emptyAnswer('Dropped.', false) }, [
        'NAMESPACE_CONFLICT',
        'OUTCOME_UNKNOWN',
        'RATE_LIMITED',
        'STORE_FULL',
      ]),
    },
    handler: answered(site, async (request) => {
      await site.service.dropNamespace(namespaceOf(request), optionsOf(site, request));
      return { status: 204 };
    }),
  });
  ledgerRoutes(app, site);
}

function ledgerRoutes(app: App, site: Site): void {
  app.route({
    method: 'GET',
    url: '/namespaces/:ns/ledger',
    schema: {
      tags,
      summary: 'Values that a last-writer-wins choice hid',
      params: NamespaceParams,
      querystring: strictObject({ ...OptionsQuery.properties, key: Type.String() }),
      headers: OptionsHeaders,
      response: operationResponses({ 200: jsonAnswer('Those of the key, the last hidden first.', LedgerPage) }, [
        'INVALID_KEY',
        'RATE_LIMITED',
      ]),
    },
    handler: handled(site, async (request, reply) => {
      const key = checkKey((request.query as { key: string }).key);
      const items: readonly LedgerItem[] = await site.service.ledger(
        namespaceOf(request),
        key,
        optionsOf(site, request),
      );
      const body = ledgerText(items);
      site.unsent.admit(reply.raw, body.byteLength);
      sendBody(site, reply.raw, 200, commonHeaders(request.id, JSON_TYPE), body);
    }),
  });
  app.route({
    method: 'POST',
    url: '/namespaces/:ns/ledger/restore',
    config: { body: 'json' },
    schema: {
      tags,
      summary: 'Bring a hidden value back, as a new write',
      params: NamespaceParams,
      querystring: OptionsQuery,
      headers: OptionsHeaders,
      body: strictObject({ key: Type.String(), id: Type.String({ minLength: 1, maxLength: 300 }) }),
      response: operationResponses({ 200: headedAnswer('Written again.', refTo(Written)) }, [
        'INVALID_KEY',
        'LEDGER_ENTRY_NOT_FOUND',
        ...OF_WRITES,
      ]),
    },
    handler: handled(site, async (request, reply) => {
      const { key, id } = request.body as { key: string; id: string };
      const answer = await site.service.restore(namespaceOf(request), checkKey(key), id, optionsOf(site, request));
      sendBody(
        site,
        reply.raw,
        200,
        envelopeHeaders(request.id, answer.head, wantsReceipt(request)),
        writtenOf(key, answer),
      );
    }),
  });
}

async function putNamespace(site: Site, request: FastifyRequest): Promise<{ status: number; body: unknown }> {
  const sent = request.body as SentNamespace;
  const change: NamespaceChange = {
    mode: sent.mode,
    conflict: sent.conflict,
    placement: sent.placement,
    defaultTtlSeconds: sent.defaultTtl,
    ledgerKeepSeconds: sent.ledger?.keepSeconds,
  };
  const { namespace, isNew } = await site.service.putNamespace(namespaceOf(request), change, optionsOf(site, request));
  return { status: isNew ? 201 : 200, body: shown(namespace) };
}

function shown(namespace: Namespace): object {
  const { name, mode, conflict, placement } = namespace;
  return {
    name,
    mode,
    conflict,
    placement,
    defaultTtl: namespace.defaultTtlSeconds,
    ledger: { keepSeconds: namespace.ledgerKeepSeconds },
  };
}
