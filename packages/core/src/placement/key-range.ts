/** The least text, in the order of UTF-8 bytes, above all texts that begin with `prefix`; nothing where there is none. */
export function endOfPrefix(prefix: string): string | undefined {
  // By code points, not by UTF-16 units.
  const points = Array.from(prefix);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    const next = nextCodePoint(last.codePointAt(0) as number);
    if (next !== undefined) return points.join('') + String.fromCodePoint(next);
  }
  return undefined;
}

function nextCodePoint(point: number): number | undefined {
  if (point === 0x10ffff) return undefined;
  // Surrogates are no characters.
  return point === 0xd7ff ? 0xe000 : point + 1;
}
