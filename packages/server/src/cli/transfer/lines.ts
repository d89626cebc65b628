/** One line of a stream of bytes. */
export interface Line {
  /** The first is 1. */
  readonly number: number;
  /** `undefined` where the line is not UTF-8, or longer than `LINE_BYTES_MAX`. */
  readonly text: string | undefined;
  /** Bytes of the stream up to the end of this line. */
  readonly end: number;
}

/** The largest value in base64, or escaped, with room to spare. */
export const LINE_BYTES_MAX = 64 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Splits at `\n`; a `\r` before it goes too. Bytes that are not UTF-8 are told, never replaced. */
export async function* linesOf(stream: AsyncIterable<Uint8Array | string>): AsyncGenerator<Line, void, void> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let parts: Uint8Array[] = [];
  let held = 0;
  let end = 0;
  let number = 0;
  const take = (last: Uint8Array): Line => {
    const isTooLong = held + last.length > LINE_BYTES_MAX;
    const bytes = parts.length === 0 ? last : Buffer.concat([...parts, last]);
    [parts, held] = [[], 0];
    number++;
    return { number, text: isTooLong ? undefined : decode(decoder, bytes), end };
  };
  for await (const piece of stream) {
    const chunk = typeof piece === 'string' ? Buffer.from(piece) : piece;
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      end += at + 1 - from;
      yield take(chunk.subarray(from, at));
      from = at + 1;
    }
    const rest = chunk.subarray(from);
    end += rest.length;
    if (rest.length === 0) continue;
    held += rest.length;
    // Of a line that is too long anyway, the rest need not be kept.
    if (held <= LINE_BYTES_MAX) parts.push(rest);
  }
  if (held > 0) yield take(new Uint8Array());
}

function decode(decoder: TextDecoder, bytes: Uint8Array): string | undefined {
  try {
    const text = decoder.decode(bytes);
    return text.endsWith('\r') ? text.slice(0, -1) : text;
  } catch {
    return undefined;
  }
}
