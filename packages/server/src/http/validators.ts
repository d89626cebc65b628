import { type ErrorCode, MeridianError } from '@meridian/core/wire/errors';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { UNDECODABLE } from './query.ts';

type HttpPart = 'body' | 'querystring' | 'headers' | 'params';
type Check = (data: unknown) => true | { error: MeridianError };

/** Bodies are typed already: `"1"` is no number there, and a field nobody knows is refused, not dropped. */
const strict = new Ajv({
  coerceTypes: false,
  removeAdditional: false,
  useDefaults: false,
  discriminator: true,
  allowUnionTypes: true,
});
/** Queries and headers are text, so numbers and booleans are read from it. */
const coercing = new Ajv({ coerceTypes: true, removeAdditional: false, useDefaults: false });
for (const ajv of [strict, coercing]) ajv.addFormat('binary', true);

const CODES: Readonly<Record<HttpPart, ErrorCode>> = {
  body: 'INVALID_BODY',
  querystring: 'INVALID_PARAMETER',
  headers: 'INVALID_PARAMETER',
  params: 'INVALID_REQUEST',
};

export interface CompiledPart {
  readonly schema: unknown;
  readonly httpPart?: string | undefined;
  readonly contentType?: string | undefined;
}

/** Many routes share a schema; compiled, each takes time at the start and memory for good. */
const compiled = new Map<string, Check>();

/** Fastify's hook for validation: the very schemas that `/openapi.json` shows. */
export function compileValidator(part: CompiledPart): Check {
  const key = `${part.httpPart} ${part.contentType} ${JSON.stringify(part.schema)}`;
  const known = compiled.get(key);
  if (known) return known;
  const check = compile(part);
  compiled.set(key, check);
  return check;
}

function compile({ schema, httpPart, contentType }: CompiledPart): Check {
  const part = (httpPart ?? 'body') as HttpPart;
  if (part === 'body' && contentType !== undefined && contentType !== 'application/json') return () => true;
  const sent = part === 'headers' ? inLowerCase(schema as WithProperties) : (schema as WithProperties);
  const validate = (part === 'body' ? strict : coercing).compile(sent);
  const whole = part === 'body' ? [] : wholeNumbersOf(sent);
  return (data) => {
    const wrong = whole.length === 0 ? undefined : notWhole(data, whole);
    if (wrong !== undefined)
      return { error: new MeridianError(CODES[part], `"${wrong}" must be a whole number.`, { parameter: wrong }) };
    return validate(data) ? true : { error: errorOf(part, validate) };
  };
}

interface WithProperties {
  readonly properties?: Readonly<Record<string, { readonly type?: string }>>;
}

/** The description has `Meridian-Timeout`, as people write it; Node hands all header names over in lower case. */
function inLowerCase(schema: WithProperties): WithProperties {
  const named = Object.entries(schema.properties ?? {}).map(([name, of]) => [name.toLowerCase(), of]);
  return { ...schema, properties: Object.fromEntries(named) };
}

/** Ajv takes `0x10` and ` 1` for numbers; a query does not. */
function wholeNumbersOf({ properties = {} }: WithProperties): readonly string[] {
  return Object.keys(properties).filter((name) => properties[name]?.type === 'integer');
}

function notWhole(data: unknown, names: readonly string[]): string | undefined {
  const fields = data as Record<string, unknown>;
  for (const name of names) {
    const value = fields[name];
    if (typeof value === 'string' && !/^-?[0-9]{1,16}$/.test(value)) return name;
  }
  return undefined;
}

function errorOf(part: HttpPart, validate: ValidateFunction): MeridianError {
  const error = validate.errors?.[0];
  if (!error) return new MeridianError(CODES[part], 'It does not fit the schema.');
  const unknown = error.keyword === 'additionalProperties' ? short(String(error.params.additionalProperty)) : undefined;
  if (part !== 'body') return parameterError(part, error, unknown);
  const at = error.instancePath === '' ? 'The body' : `"${short(error.instancePath.slice(1).replaceAll('/', '.'))}"`;
  if (unknown !== undefined)
    return new MeridianError('INVALID_BODY', `${at} has a field "${unknown}" that this call does not know.`, {
      field: unknown,
    });
  return new MeridianError('INVALID_BODY', `${at} ${messageOf(error)}.`);
}

function parameterError(part: HttpPart, error: ErrorObject, unknown: string | undefined): MeridianError {
  if (unknown === short(UNDECODABLE))
    return new MeridianError('INVALID_PARAMETER', 'The query is not percent-encoded UTF-8.');
  if (unknown !== undefined)
    return new MeridianError('INVALID_PARAMETER', `This call has no parameter "${unknown}".`, { parameter: unknown });
  if (error.keyword === 'required') {
    const missing = String(error.params.missingProperty);
    return new MeridianError(CODES[part], `The parameter "${missing}" is missing.`, { parameter: missing });
  }
  const name = short(error.instancePath.slice(1));
  const detail = error.message === 'must be string' ? 'must stand once' : messageOf(error);
  return new MeridianError(CODES[part], `"${name}" ${detail}.`, { parameter: name });
}

function messageOf(error: ErrorObject): string {
  if (error.keyword === 'enum') return `must be one of ${(error.params.allowedValues as unknown[]).join(', ')}`;
  if (error.keyword === 'discriminator') return `must have "op" as one of get, put, delete`;
  return (error.message ?? 'does not fit').replaceAll('NOT', 'not');
}

function short(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
