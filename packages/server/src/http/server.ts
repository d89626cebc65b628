import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, Server as NetServer } from 'node:net';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify from 'fastify';
import type { Service } from '../node/service.ts';
import type { Log } from '../ports/log.ts';
import { batchRoutes } from './batch-routes.ts';
import { installBodyParsers } from './body-parser.ts';
import { descriptionRoute, installDescription } from './description.ts';
import { failBeforeRoute, installFailures } from './failures.ts';
import { keyRoutes } from './kv-routes.ts';
import { HEADER_BYTES_MAX, HTTP_LIMITS, type HttpLimits } from './limits.ts';
import { listRoutes } from './list-routes.ts';
import { createListener } from './listener.ts';
import { namespaceRoutes } from './namespace-routes.ts';
import { operationsRoutes } from './operations-routes.ts';
import { PathCatalogue } from './path-catalogue.ts';
import { parseQuery } from './query.ts';
import { replicationRoutes } from './replication-routes.ts';
import { RequestIds } from './request-id.ts';
import type { App, MetricsSource, Site, WanLab } from './site.ts';
import { UnsentAnswers } from './unsent-answers.ts';
import { compileValidator } from './validators.ts';

export interface HttpServerOptions {
  readonly service: Service;
  readonly metrics: MetricsSource;
  /** There only with `--wan-lab`. */
  readonly wan?: WanLab | undefined;
  readonly limits?: Partial<HttpLimits> | undefined;
  readonly log: Log;
  readonly version: string;
  /** Names of the layout's regions. */
  readonly regions: readonly string[];
}

/** A client that keeps a connection open learns within this time that the node stops, by an answer and not by a cut. */
const LINGER_MS = 150;
const STOP_POLL_MS = 20;

/** The REST front end of a node. */
export class HttpServer {
  /** For tests that need no socket. */
  readonly app: App;
  readonly #site: Site;

  constructor(app: App, site: Site) {
    this.app = app;
    this.#site = site;
  }

  /** Serves from when it resolves. Port 0 takes a free one. @throws what Node says of an address it cannot have */
  async listen(host: string, port: number): Promise<AddressInfo> {
    await this.app.listen({ host, port });
    return this.app.server.address() as AddressInfo;
  }

  /**
   * Takes no more connections, answers new requests on those there are with `SHUTTING_DOWN`, finishes what is under way,
   * then closes. What is not finished after `graceMs` is cut. May be called again; it resolves when all is closed.
   */
  async stop(graceMs: number): Promise<void> {
    const server: Server = this.app.server;
    if (!this.#site.isStopping) {
      this.#site.isStopping = true;
      if (server.listening) await drain(server, graceMs);
    }
    await this.app.close();
  }
}

/** Node's own `close` cuts idle connections at once: a request on its way then fails without an answer. */
async function drain(server: Server, graceMs: number): Promise<void> {
  const closed = once(server, 'close');
  let isClosed = false;
  void closed.then(() => {
    isClosed = true;
  });
  NetServer.prototype.close.call(server);
  const startMs = performance.now();
  while (!isClosed) {
    const elapsedMs = performance.now() - startMs;
    if (elapsedMs >= graceMs) server.closeAllConnections();
    else if (elapsedMs >= LINGER_MS) server.closeIdleConnections();
    await new Promise((resolve) => setTimeout(resolve, STOP_POLL_MS));
  }
}

export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { service, metrics, wan, log, version, regions } = options;
  const limits = { ...HTTP_LIMITS, ...options.limits };
  const site: Site = {
    service,
    metrics,
    wan,
    log,
    regions,
    limits,
    unsent: new UnsentAnswers(limits.unsentBytesMax),
    isStopping: false,
  };
  const ids = new RequestIds();
  const paths = new PathCatalogue();
  const app = newApp(site, ids);
  app.addHook('onRoute', ({ url, method }) => paths.add(url, method));
  await installDescription(app, version);
  installBodyParsers(app, site);
  installFailures(app, site, paths);
  for (const base of ['', '/namespaces/:ns'] as const) {
    keyRoutes(app, site, base);
    listRoutes(app, site, base);
    batchRoutes(app, site, base);
  }
  namespaceRoutes(app, site);
  replicationRoutes(app, site);
  operationsRoutes(app, site);
  descriptionRoute(app, site);
  await app.ready();
  return new HttpServer(app, site);
}

function newApp(site: Site, ids: RequestIds): App {
  const app = fastify({
    serverFactory: (handle) => createListener(site, ids, handle),
    // Fastify makes a logger for each request; ours logs what is worth it, by itself.
    logger: false,
    genReqId: (request) => ids.of(request.headers['x-request-id']),
    requestIdHeader: false,
    return503OnClosing: false,
    // The listener has answered, or left the connection open on purpose: Fastify's own handler would answer again.
    clientErrorHandler: () => {},
    frameworkErrors: (error, request, reply) => {
      failBeforeRoute(site, error, request, reply);
    },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: HEADER_BYTES_MAX, querystringParser: parseQuery },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setValidatorCompiler(compileValidator as never);
  // Answers are written by hand, so response schemas only describe.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  return app as unknown as App;
}
