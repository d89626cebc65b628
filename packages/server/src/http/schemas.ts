import { ERRORS, type ErrorCode } from '@meridian/core/wire/errors';
import { type Static, type TObject, type TProperties, type TSchema, Type } from 'typebox';
import { LEVELS } from '../node/service.ts';
import { OPERATION_TIMEOUT_MS_MAX, TTL_SECONDS_MAX } from './limits.ts';
import { PROBLEM_TYPE } from './problem.ts';

/** Schemas that several routes share. They validate requests, and `/openapi.json` is made of them. */

export const strictObject = <Fields extends TProperties>(fields: Fields, options: object = {}): TObject<Fields> =>
  Type.Object(fields, { additionalProperties: false, ...options });

export const oneOf = <const Values extends readonly string[]>(values: Values, options: object = {}) =>
  Type.Unsafe<Values[number]>({ type: 'string', enum: [...values], ...options });

export const nullable = <Of extends TSchema>(of: Of) => Type.Union([of, Type.Null()]);

/** An object of any names, all with values of one kind. (`Type.Record` lets names with a line break pass unchecked.) */
export const mapOf = <Of extends TSchema>(of: Of, options: object = {}) =>
  Type.Unsafe<Record<string, Static<Of>>>({ type: 'object', additionalProperties: of, ...options });

export const Ttl = Type.Integer({
  minimum: 1,
  maximum: TTL_SECONDS_MAX,
  description: 'Seconds until the value expires.',
});
export const Time = Type.String({
  format: 'date-time',
  description: 'For display and last-writer-wins; causality never asks a clock.',
});
export const AnyValue = Type.Unknown({
  description: 'Any JSON value, kept as the bytes that were sent; nested at most 200 levels deep.',
});

const Level = oneOf(LEVELS, {
  description:
    'How consistent the operation is. Where it is left out: `eventual`, in a namespace of mode strong `strong`.',
});

export const OptionsQuery = strictObject({ consistency: Type.Optional(Level) });
export const NoQuery = strictObject({});

export const OptionsHeaders = Type.Object({
  'Meridian-Session': Type.Optional(Type.String({ description: 'The session token of the last answer.' })),
  'Meridian-Timeout': Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: OPERATION_TIMEOUT_MS_MAX,
      description: 'Milliseconds the operation may take.',
    }),
  ),
  'Meridian-Receipt': Type.Optional(oneOf(['0', '1'], { description: '`1` asks for a receipt.' })),
  'X-Request-Id': Type.Optional(
    Type.String({ description: 'Goes into the logs of every node that works on the request; echoed.' }),
  ),
});

export const ConditionHeaders = Type.Object({
  ...OptionsHeaders.properties,
  'If-Match': Type.Optional(Type.String({ description: 'Tags of the versions it must be, or `*`: any live value.' })),
  'If-None-Match': Type.Optional(Type.String({ description: 'Of a change only `*`: no live value.' })),
});

export const WriteHeaders = Type.Object({
  ...ConditionHeaders.properties,
  'Idempotency-Key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 256,
      description:
        'In a namespace of mode strong: a change that was applied under this key within the last hour is answered as it was then, and not applied again; another one under it is refused.',
    }),
  ),
  'Meridian-Context': Type.Optional(
    Type.String({ description: 'The context of what the client read: the write replaces just that.' }),
  ),
});

const { 'Meridian-Context': _context, ...createHeaders } = WriteHeaders.properties;
export const CreateHeaders = Type.Object(createHeaders);

export const KeyParams = strictObject({
  key: Type.String({ description: 'Percent-encoded UTF-8, 1 to 1,024 bytes decoded.' }),
});
export const NamespaceParams = strictObject({ ns: Type.String({ description: 'Name of the namespace.' }) });
export const NamespaceKeyParams = strictObject({ ...NamespaceParams.properties, ...KeyParams.properties });
export const NoParams = strictObject({});

export const Problem = Type.Object(
  {
    type: Type.String({ description: '`urn:meridian:error:` and the code.' }),
    title: Type.String(),
    status: Type.Integer(),
    code: oneOf(Object.keys(ERRORS)),
    detail: Type.String(),
    requestId: Type.String(),
  },
  {
    $id: 'Problem',
    additionalProperties: true,
    description: 'RFC 9457. Further members are the figures of the error.',
  },
);

const Sibling = Type.Object({
  value: AnyValue,
  encoding: Type.Optional(oneOf(['base64'])),
  contentType: Type.Optional(Type.String()),
  region: nullable(Type.String()),
  time: Time,
});

export const Envelope = Type.Object(
  {
    key: Type.String(),
    value: AnyValue,
    encoding: Type.Optional(oneOf(['base64'], { description: 'There where the value is not JSON.' })),
    contentType: Type.Optional(Type.String()),
    context: Type.String({
      description: 'Opaque: what this answer has seen of the key. To be sent with the next write.',
    }),
    time: Time,
    region: nullable(Type.String()),
    conflict: Type.Boolean({ description: 'Whether more than one value is live.' }),
    siblings: Type.Optional(
      Type.Array(Sibling, { description: 'All live values, the winner first; only where there is a conflict.' }),
    ),
    expiresAt: nullable(Time),
  },
  { $id: 'Envelope', description: 'A value with what is known of it. `value` is the winner.' },
);

export const Written = Type.Object(
  { key: Type.String(), context: Type.String(), time: Time, region: Type.String(), expiresAt: nullable(Time) },
  { $id: 'Written', description: 'What a write has made.' },
);

/** A reference to a schema that the server registers under its `$id`. */
export const refTo = (schema: TSchema & { $id?: string }): TSchema => Type.Unsafe({ $ref: `${schema.$id}#` });

const ANSWER_HEADERS = {
  ETag: { type: 'string' },
  'Meridian-Context': { type: 'string' },
  'Meridian-Session': { type: 'string' },
  'Meridian-Region': { type: 'string', description: 'The region that served the request.' },
  'Meridian-Receipt': { type: 'string', description: 'Compact JSON; only where it was asked for.' },
} as const;

/** What every call can answer besides its own errors. */
const ANYWHERE: readonly ErrorCode[] = ['INVALID_REQUEST', 'INVALID_PARAMETER', 'INTERNAL', 'SHUTTING_DOWN'];
const OF_OPERATIONS: readonly ErrorCode[] = [
  'INVALID_SESSION',
  'NAMESPACE_NOT_FOUND',
  'QUORUM_UNAVAILABLE',
  'REPLICA_UNAVAILABLE',
  'SESSION_NOT_COVERED',
  'STORE_UNAVAILABLE',
];
export const OF_WRITES: readonly ErrorCode[] = [
  'INVALID_BODY',
  'REQUEST_TIMEOUT',
  'VALUE_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'EXPECTATION_FAILED',
  'OUTCOME_UNKNOWN',
  'RATE_LIMITED',
  'STORE_FULL',
];

/** The `response` part of a route's schema: its own answers, and the problems it can have, by status. */
export function responses(own: Record<number, object>, codes: readonly ErrorCode[]): Record<string, object> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set([...ANYWHERE, ...codes])) {
    const status = ERRORS[code].status;
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const problems: Record<string, object> = {};
  for (const [status, names] of byStatus) {
    const description = names.map((code) => `\`${code}\`: ${ERRORS[code].title}.`).join(' ');
    problems[status] = { description, content: { [PROBLEM_TYPE]: { schema: refTo(Problem) } } };
  }
  return { ...problems, ...own };
}

export function operationResponses(own: Record<number, object>, codes: readonly ErrorCode[]): Record<string, object> {
  return responses(own, [...OF_OPERATIONS, ...codes]);
}

export function jsonAnswer(description: string, schema: object, headers: object = {}): object {
  return { description, headers, content: { 'application/json': { schema } } };
}

export function headedAnswer(description: string, schema: object): object {
  return jsonAnswer(description, schema, ANSWER_HEADERS);
}

export function emptyAnswer(description: string, isHeaded: boolean): object {
  return { description, type: 'null', headers: isHeaded ? ANSWER_HEADERS : {} };
}
