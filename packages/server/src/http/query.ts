/** Stands for a query that cannot be decoded: the router's hook for parsers must not throw. No client can send this name. */
export const UNDECODABLE = '\u0000undecodable';

const EMPTY: Record<string, string | string[]> = Object.freeze(Object.create(null) as Record<string, string>);

/**
 * Parses `a=1&b=2` with `+` for a space. Unlike the usual parsers it does not let a broken percent-encoding pass as
 * literal text. A name that comes twice becomes an array, which no schema of ours takes.
 */
export function parseQuery(text: string): Record<string, string | string[]> {
  if (text.length === 0) return EMPTY;
  const query = Object.create(null) as Record<string, string | string[]>;
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : decode(pair.slice(equals + 1));
    if (name === undefined || value === undefined) {
      query[UNDECODABLE] = '';
      return query;
    }
    const before = query[name];
    query[name] = before === undefined ? value : [before, value].flat();
  }
  return query;
}

function decode(text: string): string | undefined {
  if (BEYOND_ASCII.test(text)) return undefined;
  try {
    return decodeURIComponent(text.includes('+') ? text.replaceAll('+', ' ') : text);
  } catch {
    return undefined;
  }
}

const BEYOND_ASCII = /[\u0080-\uffff]/;
