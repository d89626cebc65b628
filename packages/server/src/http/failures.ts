import { MeridianError } from '@meridian/core/wire/errors';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { HeaderLines } from './header-lines.ts';
import type { PathCatalogue } from './path-catalogue.ts';
import { sendFailure } from './send.ts';
import type { App, Site } from './site.ts';

/** Makes problems of the table out of all that Fastify itself finds wrong with a request. */
export function installFailures(app: App, site: Site, paths: PathCatalogue): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    sendFailure(site, reply.raw, request.id, translated(error));
  });
  app.setNotFoundHandler((request, reply) => {
    sendMissing(site, request, reply, paths);
  });
}

/** For what goes wrong before there is a route. */
export function failBeforeRoute(site: Site, error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  sendFailure(
    site,
    reply.raw,
    request.id,
    error.code === 'FST_ERR_BAD_URL' ? badPath(request.raw.url ?? '') : translated(error),
  );
}

function badPath(url: string): MeridianError {
  if (/^(?:\/namespaces\/[^/]*)?\/kv\//.test(url)) {
    return new MeridianError('INVALID_KEY', 'The key is not percent-encoded UTF-8.');
  }
  return new MeridianError('INVALID_REQUEST', 'The path is not percent-encoded UTF-8.');
}

function translated(error: FastifyError): unknown {
  if (error instanceof MeridianError) return error;
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new MeridianError('UNSUPPORTED_MEDIA_TYPE', 'The content type is not of the form type/subtype.');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new MeridianError('INVALID_KEY', 'The path is longer than any key can be.');
    default:
      return error;
  }
}

function sendMissing(site: Site, request: FastifyRequest, reply: FastifyReply, paths: PathCatalogue): void {
  const path = (request.raw.url ?? '').split('?', 1)[0] as string;
  const methods = paths.methodsAt(path);
  if (methods.length === 0) {
    sendFailure(
      site,
      reply.raw,
      request.id,
      new MeridianError('NO_SUCH_PATH', 'There is nothing at this path. /openapi.json and /docs say what there is.'),
    );
    return;
  }
  const allow = methods.join(', ');
  const error = new MeridianError('METHOD_NOT_ALLOWED', `This path takes ${allow}.`, { allow: methods });
  sendFailure(site, reply.raw, request.id, error, new HeaderLines().add('Allow', allow));
}
