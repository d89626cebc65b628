import { MeridianError } from '@meridian/core/wire/errors';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { RequestOptions } from '../node/service.ts';
import { BatchReads } from './batch-reads.ts';
import { BodyText, binaryText } from './body-text.ts';
import { type SentEnvelope, valueOfEnvelope, writeEnvelope, writeWritten } from './envelope.ts';
import { checkKey } from './keys.ts';
import { EnvelopeFields } from './kv-routes.ts';
import { BATCH_OPERATIONS_MAX, batchAnswerBytesMax } from './limits.ts';
import { publicError, renderProblem } from './problem.ts';
import { namespaceOf, optionsOf } from './request.ts';
import { handled } from './respond.ts';
import {
  headedAnswer,
  NamespaceParams,
  NoParams,
  OF_WRITES,
  OptionsHeaders,
  OptionsQuery,
  oneOf,
  operationResponses,
  strictObject,
} from './schemas.ts';
import { commonHeaders, JSON_TYPE, sendBody } from './send.ts';
import type { App, Site } from './site.ts';

const Key = Type.String();
const Context = Type.Optional(Type.String({ description: 'As the header `Meridian-Context`.' }));
const GetOperation = strictObject({ op: oneOf(['get']), key: Key });
const PutOperation = strictObject({ op: oneOf(['put']), key: Key, context: Context, ...EnvelopeFields });
const DeleteOperation = strictObject({ op: oneOf(['delete']), key: Key, context: Context });
const Operation = Type.Unsafe<SentOperation>({
  type: 'object',
  required: ['op'],
  discriminator: { propertyName: 'op' },
  oneOf: [GetOperation, PutOperation, DeleteOperation],
});
const Batch = strictObject({ operations: Type.Array(Operation, { maxItems: BATCH_OPERATIONS_MAX }) });
const Results = Type.Object({
  results: Type.Array(Type.Object({ status: Type.Integer() }, { additionalProperties: true }), {
    description:
      'In the order of the operations. Each is what the call alone would have answered, with its status: an envelope, what a write has made, or a problem.',
  }),
});

type SentOperation =
  | { readonly op: 'get'; readonly key: string }
  | ({ readonly op: 'put'; readonly key: string; readonly context?: string } & SentEnvelope)
  | { readonly op: 'delete'; readonly key: string; readonly context?: string };

export function batchRoutes(app: App, site: Site, base: '' | '/namespaces/:ns'): void {
  app.route({
    method: 'POST',
    url: `${base}/kv/batch`,
    config: { body: 'batch' },
    schema: {
      tags: ['Keys and values'],
      summary: 'Many operations in one request',
      description: `Each operation stands on its own. Those on one key run in the order given, others side by side. The values of its gets take at most ${batchAnswerBytesMax(site.limits.valueBytesMax)} bytes of the answer: from the first that finds no room, gets are answered \`VALUE_TOO_LARGE\` in its place, to be sent again in another batch.`,
      params: base === '' ? NoParams : NamespaceParams,
      querystring: OptionsQuery,
      headers: OptionsHeaders,
      body: Batch,
      response: operationResponses({ 200: headedAnswer('One result for each operation.', Results) }, [...OF_WRITES]),
    },
    handler: handled(site, (request, reply) => batch(site, request, reply)),
  });
}

/** One operation's answer: its body without the opening brace and the status, and the session's token with it. */
interface Result {
  readonly body: BodyText;
  readonly session: string;
}

async function batch(site: Site, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const { operations } = request.body as { operations: readonly SentOperation[] };
  const options = optionsOf(site, request);
  refuseConditions(request);
  const namespace = namespaceOf(request);
  if (operations.length > 0) await site.service.namespace(namespace, options);
  const reads = new BatchReads(batchAnswerBytesMax(site.limits.valueBytesMax));
  const results = await runInKeyOrder(operations, options, (operation, its) =>
    perform(site, reads, namespace, operation, its),
  );
  const headers = commonHeaders(request.id, JSON_TYPE);
  const sessions = results.map((result) => result.session).filter((session) => session !== '');
  if (sessions.length > 0) headers.add('Meridian-Session', site.service.joinSessions(sessions));
  headers.add('Meridian-Region', site.service.region);
  const body = bodyOf(results);
  site.unsent.count(reply.raw, body.byteLength);
  sendBody(site, reply.raw, 200, headers, body);
}

/** Operations on one key wait for one another, and each goes on with the session that the last before it left: one that failed leaves none. */
async function runInKeyOrder(
  operations: readonly SentOperation[],
  options: RequestOptions,
  run: (operation: SentOperation, options: RequestOptions) => Promise<Result>,
): Promise<readonly Result[]> {
  const last = new Map<string, Promise<Result>>();
  const sessions = new Map<string, string>();
  const runNext = async (operation: SentOperation): Promise<Result> => {
    const session = sessions.get(operation.key);
    const result = await run(operation, session === undefined ? options : { ...options, session });
    if (result.session !== '') sessions.set(operation.key, result.session);
    return result;
  };
  const running = operations.map((operation) => {
    const before = last.get(operation.key);
    const result = before ? before.then(() => runNext(operation)) : runNext(operation);
    last.set(operation.key, result);
    return result;
  });
  return Promise.all(running);
}

async function perform(
  site: Site,
  reads: BatchReads,
  namespace: string,
  operation: SentOperation,
  options: RequestOptions,
): Promise<Result> {
  try {
    const key = checkKey(operation.key);
    if (operation.op === 'get') return await performGet(site, reads, namespace, key, options);
    if (operation.op === 'put') {
      const value = valueOfEnvelope(operation, site.limits.valueBytesMax);
      const answer = await site.service.put(namespace, key, value, operation.context, options);
      const body = statusText(answer.existed ? 200 : 201);
      writeWritten(body, key, answer);
      return { body, session: answer.head.session };
    }
    const answer = await site.service.delete(namespace, key, operation.context, options);
    if (!answer.existed) return notFound(key, answer.head, options);
    const body = statusText(204);
    body.ascii(`"key":`);
    body.json(key);
    body.ascii(`,"context":"${answer.head.context}"}`);
    return { body, session: answer.head.session };
  } catch (thrown) {
    return failed(site, thrown, options);
  }
}

async function performGet(
  site: Site,
  reads: BatchReads,
  namespace: string,
  key: string,
  options: RequestOptions,
): Promise<Result> {
  const answer = await reads.get(() => site.service.get(namespace, key, options));
  if (!answer) return noRoom(site, key, options);
  if (answer.values.length === 0) return notFound(key, answer.head, options);
  const body = statusText(200);
  writeEnvelope(body, { key, context: answer.head.context, values: answer.values });
  return { body, session: answer.head.session };
}

function statusText(status: number): BodyText {
  const body = new BodyText();
  body.ascii(`{"status":${status},`);
  return body;
}

/** With the context, as the header of the call alone: a write after it then descends what was deleted. */
function notFound(
  key: string,
  head: { readonly context: string; readonly session: string },
  options: RequestOptions,
): Result {
  const error = new MeridianError('KEY_NOT_FOUND', 'The key has no live value here.', { key, context: head.context });
  return { body: problemText(error, options.requestId), session: head.session };
}

/** The session stays where it was: what was not shown, or not read, is no part of it. */
function noRoom(site: Site, key: string, options: RequestOptions): Result {
  const bytesMax = batchAnswerBytesMax(site.limits.valueBytesMax);
  const error = new MeridianError(
    'VALUE_TOO_LARGE',
    `The values of one batch take at most ${bytesMax} bytes of its answer. Get this one in another batch, or on its own.`,
    { key, bytesMax },
  );
  return { body: problemText(error, options.requestId), session: options.session ?? '' };
}

function failed(site: Site, thrown: unknown, options: RequestOptions): Result {
  const error = publicError(thrown);
  if (error.code === 'INTERNAL')
    site.log.error({ requestId: options.requestId, err: thrown }, 'operation of a batch failed');
  return { body: problemText(error, options.requestId), session: '' };
}

function problemText(error: MeridianError, requestId: string): BodyText {
  const body = new BodyText();
  body.ascii(binaryText(renderProblem(error, requestId)));
  return body;
}

function bodyOf(results: readonly Result[]): BodyText {
  const whole = new BodyText();
  whole.ascii('{"results":[');
  results.forEach((result, index) => {
    if (index > 0) whole.ascii(',');
    whole.append(result.body);
  });
  whole.ascii(']}');
  return whole;
}

/** Each operation of a batch stands alone; one condition cannot be meant for all of them. */
function refuseConditions({ headers }: FastifyRequest): void {
  for (const name of ['If-Match', 'If-None-Match', 'Idempotency-Key']) {
    if (headers[name.toLowerCase()] !== undefined)
      throw new MeridianError('INVALID_PARAMETER', `A batch takes no "${name}": send that write on its own.`, {
        parameter: name,
      });
  }
}
