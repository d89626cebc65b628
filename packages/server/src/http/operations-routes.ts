import { DEFAULT_NAMESPACE } from '@meridian/core/placement/namespace';
import { MeridianError } from '@meridian/core/wire/errors';
import { Type } from 'typebox';
import { binaryText } from './body-text.ts';
import { HeaderLines } from './header-lines.ts';
import { checkKey } from './keys.ts';
import { checkRegion } from './replication-routes.ts';
import { answered, handled } from './respond.ts';
import { jsonAnswer, mapOf, NoQuery, nullable, OF_WRITES, oneOf, responses, strictObject } from './schemas.ts';
import { commonHeaders, send } from './send.ts';
import type { App, Site, WanChange } from './site.ts';

const Figure = nullable(Type.Number());
const Liveness = Type.Object({ status: oneOf(['ok', 'unavailable']) });
const HealthBody = Type.Object({
  status: oneOf(['ok', 'degraded', 'stopping']),
  node: Type.String(),
  region: Type.String(),
  version: Type.String(),
  uptimeSeconds: Type.Number(),
  store: Type.Object({
    id: Type.String(),
    name: Type.String(),
    engine: Type.String(),
    sequence: Type.Integer(),
    keys: Figure,
    bytesUsed: Figure,
    bytesFree: Figure,
    isFilled: Type.Boolean(),
    isWritable: Type.Boolean(),
  }),
  peers: Type.Array(
    Type.Object({
      node: Type.String(),
      region: Type.String(),
      reachable: Type.Boolean(),
      rttMs: Figure,
      lagMs: Figure,
    }),
  ),
});
const RegionNode = Type.Object({
  name: Type.String(),
  http: Type.String(),
  store: Type.String(),
  reachable: Type.Boolean(),
  rttMs: Figure,
  lagMs: Figure,
  keys: Figure,
  bytes: Figure,
});
const Region = Type.Object({
  name: Type.String(),
  latitude: Type.Number(),
  longitude: Type.Number(),
  nodes: Type.Array(RegionNode),
  reachable: Type.Boolean(),
  rttMs: Figure,
  lagMs: Figure,
  keys: Figure,
  bytes: Figure,
});
const Ring = Type.Object({
  key: Type.String(),
  namespace: Type.String(),
  partition: Type.Integer(),
  placement: Type.Unknown(),
  preferenceList: Type.Array(
    Type.Object({
      store: Type.String(),
      region: Type.String(),
      nodes: Type.Array(Type.String()),
      reachable: Type.Boolean(),
      why: Type.String(),
    }),
  ),
});
const WanBody = strictObject({
  split: Type.Optional(
    Type.Array(Type.Array(Type.String(), { minItems: 2, maxItems: 2 }), {
      maxItems: 1000,
      description: 'Pairs of regions whose links are cut.',
    }),
  ),
  oneWay: Type.Optional(
    Type.Boolean({
      description: 'The splits cut what the first region of a pair sends to the second, not what comes back.',
    }),
  ),
  heal: Type.Optional(Type.Literal(true, { description: 'Restores all links.' })),
  rtt: Type.Optional(
    mapOf(Type.Number({ minimum: 0, maximum: 60_000 }), {
      description: '`region|region` -> round trip in milliseconds.',
    }),
  ),
  loss: Type.Optional(Type.Number({ minimum: 0, maximum: 0.9, description: 'Share of messages lost.' })),
});

const health = ['Health'];
const administration = ['Administration'];

export function operationsRoutes(app: App, site: Site): void {
  healthRoutes(app, site);
  metricsRoutes(app, site);
  clusterRoutes(app, site);
  wanRoutes(app, site);
  unbuiltRoutes(app, site);
}

function healthRoutes(app: App, site: Site): void {
  app.route({
    method: 'GET',
    url: '/health/',
    schema: {
      tags: health,
      summary: 'How this node is',
      querystring: NoQuery,
      response: {
        ...responses({}, []),
        200: jsonAnswer('It serves.', HealthBody),
        503: jsonAnswer('It does not.', HealthBody),
      },
    },
    handler: answered(site, async () => {
      const body = await site.service.health();
      return { status: site.service.isReady() && body.status !== 'stopping' ? 200 : 503, body };
    }),
  });
  app.route({
    method: 'GET',
    url: '/health/live',
    schema: {
      tags: health,
      summary: 'Whether the process answers at all',
      querystring: NoQuery,
      response: responses({ 200: jsonAnswer('It does.', Liveness) }, []),
    },
    handler: answered(site, () => ({ status: 200, body: { status: 'ok' } })),
  });
  app.route({
    method: 'GET',
    url: '/health/ready',
    schema: {
      tags: health,
      summary: 'Whether requests should be sent here',
      querystring: NoQuery,
      response: {
        ...responses({}, []),
        200: jsonAnswer('They should.', Liveness),
        503: jsonAnswer('Not now.', Liveness),
      },
    },
    handler: answered(site, () =>
      site.service.isReady()
        ? { status: 200, body: { status: 'ok' } }
        : { status: 503, body: { status: 'unavailable' }, headers: new HeaderLines().add('Retry-After', '1') },
    ),
  });
}

function metricsRoutes(app: App, site: Site): void {
  app.route({
    method: 'GET',
    url: '/metrics',
    schema: {
      tags: administration,
      summary: 'Metrics in the Prometheus format',
      querystring: NoQuery,
      response: responses(
        { 200: { description: 'All metrics.', content: { 'text/plain': { schema: Type.String() } } } },
        [],
      ),
    },
    handler: handled(site, async (request, reply) => {
      const text = await site.metrics.text();
      send(site, reply.raw, 200, commonHeaders(request.id, site.metrics.contentType), binaryText(text));
    }),
  });
  app.route({
    method: 'GET',
    url: '/admin/metrics',
    schema: {
      tags: administration,
      summary: 'Metrics as JSON',
      querystring: NoQuery,
      response: responses({ 200: jsonAnswer('All metrics.', Type.Unknown()) }, []),
    },
    handler: answered(site, async () => ({ status: 200, body: await site.metrics.json() })),
  });
}

function clusterRoutes(app: App, site: Site): void {
  app.route({
    method: 'GET',
    url: '/admin/regions',
    schema: {
      tags: administration,
      summary: 'Regions: place, nodes, liveness, round trips, lag, keys and bytes',
      querystring: NoQuery,
      response: responses(
        { 200: jsonAnswer('All regions, as this node sees them.', Type.Object({ regions: Type.Array(Region) })) },
        [],
      ),
    },
    handler: answered(site, async () => ({ status: 200, body: { regions: await site.service.regions() } })),
  });
  app.route({
    method: 'GET',
    url: '/admin/ring',
    schema: {
      tags: administration,
      summary: 'Where a key lives, and why',
      querystring: strictObject({
        key: Type.String(),
        namespace: Type.Optional(Type.String({ default: DEFAULT_NAMESPACE })),
      }),
      response: responses({ 200: jsonAnswer('Its partition and preference list.', Ring) }, [
        'INVALID_KEY',
        'NAMESPACE_NOT_FOUND',
      ]),
    },
    handler: answered(site, async (request) => {
      const { key, namespace } = request.query as { key: string; namespace?: string };
      return { status: 200, body: await site.service.ring(namespace ?? DEFAULT_NAMESPACE, checkKey(key)) };
    }),
  });
}

function wanRoutes(app: App, site: Site): void {
  const description = 'Only on a node started with `--wan-lab`; it acts on the links of this node.';
  app.route({
    method: 'GET',
    url: '/admin/wan',
    schema: {
      tags: administration,
      summary: 'The emulated links',
      description,
      querystring: NoQuery,
      response: responses({ 200: jsonAnswer('As they are.', Type.Unknown()) }, ['NO_SUCH_PATH']),
    },
    handler: answered(site, () => ({ status: 200, body: wanOf(site).status() })),
  });
  app.route({
    method: 'POST',
    url: '/admin/wan',
    config: { body: 'json' },
    schema: {
      tags: administration,
      summary: 'Split, heal or slow down links',
      description,
      querystring: NoQuery,
      body: WanBody,
      response: responses({ 200: jsonAnswer('The links after it.', Type.Unknown()) }, ['NO_SUCH_PATH', ...OF_WRITES]),
    },
    handler: answered(site, (request) => {
      const wan = wanOf(site);
      const change = request.body as WanChange;
      checkWan(site, change);
      const problem = wan.apply(change);
      if (problem !== undefined) throw new MeridianError('INVALID_BODY', problem);
      return { status: 200, body: wan.status() };
    }),
  });
}

function wanOf(site: Site): NonNullable<Site['wan']> {
  if (site.wan) return site.wan;
  throw new MeridianError('NO_SUCH_PATH', 'This node was not started with --wan-lab: its links are what they are.');
}

/** @throws INVALID_BODY */
function checkWan(site: Site, change: WanChange): void {
  if (Object.keys(change).length === 0)
    throw new MeridianError('INVALID_BODY', 'The body asks for nothing: it needs "split", "heal", "rtt" or "loss".');
  for (const pair of change.split ?? []) checkPair(site, pair);
  for (const pair of Object.keys(change.rtt ?? {})) checkPair(site, pair.split('|'));
}

function checkPair(site: Site, pair: readonly string[]): void {
  if (pair.length !== 2 || pair[0] === pair[1])
    throw new MeridianError('INVALID_BODY', 'A link is named by two different regions: "us-east|eu-central".');
  for (const region of pair) checkRegion(site, region);
}

/** Promised by the contract, not there yet: better said than a bare 404. */
function unbuiltRoutes(app: App, site: Site): void {
  const unbuilt: readonly (readonly ['GET' | 'POST' | 'PUT', string, string])[] = [
    ['GET', '/admin/rebalance', 'Progress of a rebalance'],
    ['POST', '/admin/rebalance', 'Plan a rebalance, or carry it out'],
    ['GET', '/admin/layout', 'The layout and its version'],
    ['PUT', '/admin/layout', 'Change the layout'],
  ];
  for (const [method, url, summary] of unbuilt) {
    app.route({
      method,
      url,
      schema: { tags: administration, summary, description: 'Not built yet.', response: responses({}, ['NOT_BUILT']) },
      handler: answered(site, () => {
        throw new MeridianError('NOT_BUILT', `${method} ${url} is not built yet.`);
      }),
    });
  }
}
