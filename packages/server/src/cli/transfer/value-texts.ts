const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const [BRACKET_OPEN, BRACKET_CLOSE, BRACE_OPEN, BRACE_CLOSE] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Where the fields of an item are: in the page, in its list, in the item. */
const ITEM_DEPTH = 3;

/**
 * Parses a page of a listing, and leaves as `value` of each item the JSON text that came: an object that JavaScript has
 * read is not the one that was sent (names that look like numbers go first, names that come twice go). An answer that
 * lists nothing is parsed as ever.
 */
export function parseValueTexts(page: string): unknown {
  const parsed: unknown = JSON.parse(page);
  const { items } = (parsed ?? {}) as { items?: unknown };
  if (!Array.isArray(items)) return parsed;
  const texts = valueTexts(page);
  return { ...(parsed as object), items: items.map((item: object, at) => ({ ...item, value: texts[at] })) };
}

/** The texts of the values, item by item. The page is known to be JSON. */
function valueTexts(page: string): (string | undefined)[] {
  const texts: (string | undefined)[] = [];
  let depth = 0;
  let name = '';
  let value: string | undefined;
  let start: number | undefined;
  const end = (at: number) => {
    if (start !== undefined) value = page.slice(start, at);
    start = undefined;
  };
  for (let at = 0; at < page.length; at++) {
    const code = page.charCodeAt(at);
    if (code === QUOTE) {
      const close = endOfString(page, at);
      if (depth === ITEM_DEPTH && start === undefined) name = page.slice(at + 1, close);
      at = close;
    } else if (code === COLON) {
      if (depth === ITEM_DEPTH && name === 'value') start ??= at + 1;
    } else if (code === COMMA) {
      if (depth === ITEM_DEPTH) {
        end(at);
        name = '';
      }
    } else if (code === BRACE_OPEN || code === BRACKET_OPEN) {
      depth += 1;
    } else if (code === BRACE_CLOSE || code === BRACKET_CLOSE) {
      if (depth === ITEM_DEPTH) {
        end(at);
        texts.push(value);
        [name, value] = ['', undefined];
      }
      depth -= 1;
    }
  }
  return texts;
}

/** The closing quote of the string that opens there. */
function endOfString(text: string, open: number): number {
  for (let close = text.indexOf('"', open + 1); ; close = text.indexOf('"', close + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(close - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return close;
  }
}
