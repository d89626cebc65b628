import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import { binaryText } from './body-text.ts';
import { handled } from './respond.ts';
import { Envelope, NoQuery, Problem, Written } from './schemas.ts';
import { commonHeaders, JSON_TYPE, send } from './send.ts';
import type { App, Site } from './site.ts';

/**
 * The page's own scripts and styles, nothing from elsewhere: it works without a network. No `upgrade-insecure-requests`,
 * which would break it over plain HTTP.
 */
const DOCS_POLICY =
  "default-src 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'none'; img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'";

/** The bar on top only offers to open other servers' descriptions. */
const DOCS_STYLE = '.swagger-ui .topbar { display: none }';

/** Before the routes: it collects their schemas as they are added. */
export async function installDescription(app: App, version: string): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Meridian',
        version,
        description:
          'A geo-distributed key-value store. Every path works with and without a trailing slash. Errors are `application/problem+json`.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, at) => (typeof json.$id === 'string' ? json.$id : `def-${at}`),
    },
  });
  for (const schema of [Problem, Envelope, Written]) app.addSchema(schema);
  await app.register(fastifySwaggerUi, {
    theme: { title: 'Meridian API', css: [{ filename: 'meridian.css', content: DOCS_STYLE }] },
    routePrefix: '/docs',
    staticCSP: DOCS_POLICY,
    uiConfig: { deepLinking: true, validatorUrl: null },
  });
}

/** The description is made once, at the first request for it: not all nodes are asked, and none needs it to start. */
export function descriptionRoute(app: App, site: Site): void {
  let text: string | undefined;
  app.route({
    method: 'GET',
    url: '/openapi.json',
    schema: { hide: true, querystring: NoQuery },
    handler: handled(site, async (request, reply) => {
      text ??= binaryText(JSON.stringify(app.swagger()));
      send(site, reply.raw, 200, commonHeaders(request.id, JSON_TYPE), text);
    }),
  });
}
