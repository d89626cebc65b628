import { MalformedBytes } from './bytes.ts';

/** What a field of a message may be: a check with a name. The names of all make the hash that freezes the wire. */
export interface Shape<Value> {
  readonly name: string;
  readonly check: (value: unknown) => value is Value;
}

export type ValueOf<Of> = Of extends Shape<infer Value> ? Value : never;

function shape<Value>(name: string, check: (value: unknown) => boolean): Shape<Value> {
  return { name, check: check as (value: unknown) => value is Value };
}

/** A whole number from 0 to 2^53 - 1. */
export const whole = shape<number>('whole', (value) => Number.isSafeInteger(value) && (value as number) >= 0);
export const flag = shape<boolean>('flag', (value) => typeof value === 'boolean');
export const bytes = shape<Uint8Array>('bytes', (value) => value instanceof Uint8Array);

export function text<Value extends string = string>(lengthMax: number): Shape<Value> {
  return shape(`text(${lengthMax})`, (value) => typeof value === 'string' && value.length <= lengthMax);
}

export function nullable<Value>(of: Shape<Value>): Shape<Value | null> {
  return shape(`${of.name}?`, (value) => value === null || of.check(value));
}

export function list<Value>(of: Shape<Value>, lengthMax: number): Shape<readonly Value[]> {
  return shape(`[${of.name}; ${lengthMax}]`, (value) => {
    if (!Array.isArray(value) || value.length > lengthMax) return false;
    for (let at = 0; at < value.length; at++) if (!of.check(value[at])) return false;
    return true;
  });
}

type TupleOf<Fields extends readonly Shape<unknown>[]> = { readonly [At in keyof Fields]: ValueOf<Fields[At]> };

export function tuple<const Fields extends readonly Shape<unknown>[]>(...fields: Fields): Shape<TupleOf<Fields>> {
  return shape(`(${fields.map((field) => field.name).join(', ')})`, (value) => {
    if (!Array.isArray(value) || value.length !== fields.length) return false;
    for (let at = 0; at < fields.length; at++) if (!(fields[at] as Shape<unknown>).check(value[at])) return false;
    return true;
  });
}

export function only<const Value extends number | string>(wanted: Value): Shape<Value> {
  return shape(String(wanted), (value) => value === wanted);
}

/** Tuples told apart by their first field, a small whole number. */
export function oneOf<const Choices extends readonly Shape<readonly [number, ...unknown[]]>[]>(
  choices: Choices,
): Shape<ValueOf<Choices[number]>> {
  return shape(choices.map((choice) => choice.name).join(' | '), (value) => {
    if (!Array.isArray(value)) return false;
    const kind: unknown = value[0];
    // Only by number: `choices` answers to names such as `length` and `map` too.
    return typeof kind === 'number' && (choices[kind]?.check(value) ?? false);
  });
}

export function ensure<Value>(of: Shape<Value>, value: unknown): Value {
  if (!of.check(value)) throw new MalformedBytes('a message of a shape that is not in the protocol');
  return value;
}
