import type { TSchema } from 'typebox';
import Value from 'typebox/value';
import { FIELDS_BY_PATH, NAME_PATTERN } from './cluster-schema.ts';
import { hint } from './nearest.ts';

interface SchemaProblem {
  /** As a reader writes it: `regions[0].nodes[1].http`; empty for the whole document. */
  readonly path: string;
  readonly problem: string;
}

type Failure = ReturnType<typeof Value.Errors>[number];

/** The first thing wrong with a document, in the words of its reader; nothing where it fits. */
export function schemaProblem(schema: TSchema, document: unknown): SchemaProblem | undefined {
  const failures = Value.Errors(schema, document).filter((failure) => failure.keyword !== 'boolean');
  const failure = failures.find(({ keyword }) => keyword === 'additionalProperties') ?? failures[0];
  return failure && describe(failure, document);
}

function describe(failure: Failure, document: unknown): SchemaProblem {
  const at = failure.instancePath;
  switch (failure.keyword) {
    case 'additionalProperties': {
      const field = failure.params.additionalProperties[0] as string;
      const known = FIELDS_BY_PATH.find(([pattern]) => pattern.test(at))?.[1] ?? [];
      return { path: readable(`${at}/${field}`), problem: `unknown field${hint(field, known)}` };
    }
    case 'required':
      return { path: readable(`${at}/${failure.params.requiredProperties[0]}`), problem: 'is missing' };
    case 'pattern':
      return { path: readable(at), problem: `${found(document, at)} is not ${patternText(failure.params.pattern)}` };
    case 'type':
      return {
        path: readable(at),
        problem: `expected ${article(String(failure.params.type))}, found ${found(document, at)}`,
      };
    case 'minItems':
    case 'minLength':
      return { path: readable(at), problem: 'must not be empty' };
    default:
      return { path: readable(at), problem: `${failure.message}, found ${found(document, at)}` };
  }
}

function patternText(pattern: string | RegExp): string {
  return String(pattern) === NAME_PATTERN
    ? 'a name of 1 to 63 characters a-z, 0-9 and -, not beginning with -'
    : `of the form ${pattern}`;
}

const KINDS: Readonly<Record<string, string>> = {
  object: 'a mapping',
  array: 'a list',
  string: 'a text',
  number: 'a number',
};
function article(type: string): string {
  return KINDS[type] ?? `a ${type}`;
}

function segments(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function readable(pointer: string): string {
  return segments(pointer)
    .map((part) =>
      /^\d+$/.test(part) ? `[${part}]` : /^[\w-]+$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`,
    )
    .join('')
    .replace(/^\./, '');
}

function found(document: unknown, pointer: string): string {
  let value = document;
  for (const part of segments(pointer)) value = (value as Record<string, unknown> | undefined)?.[part];
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'string' ? `'${value.slice(0, 80)}'` : JSON.stringify(value);
}
