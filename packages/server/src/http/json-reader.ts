import { JSON_DEPTH_MAX, JsonError, JsonScanner } from './json-scanner.ts';

/** Members of a name, at a depth, that are left as the bytes that were sent. The outermost object has depth 1. */
export interface Opaque {
  readonly name: string;
  readonly depth: number;
}

const FALSE = Buffer.from('false');
const NULL = Buffer.from('null');
const TRUE = Buffer.from('true');

/**
 * Reads a JSON body into plain values: objects without a prototype, so that `__proto__` is a name like others. A name that
 * stands twice in one object is refused, because which one counts is up to the reader. Opaque members come as `Buffer`s
 * over the sent bytes, already checked.
 * @throws JsonError
 */
export function readJson(bytes: Uint8Array, opaque?: Opaque): unknown {
  const scanner = new JsonScanner(bytes);
  const value = readValue(scanner, 0, opaque);
  scanner.end();
  return value;
}

function readValue(scanner: JsonScanner, depth: number, opaque: Opaque | undefined): unknown {
  switch (scanner.peek()) {
    case 0x7b:
      return readObject(scanner, depth + 1, opaque);
    case 0x5b:
      return readArray(scanner, depth + 1, opaque);
    case 0x22:
      return readString(scanner);
    case 0x74:
      scanner.skipWord(TRUE);
      return true;
    case 0x66:
      scanner.skipWord(FALSE);
      return false;
    case 0x6e:
      scanner.skipWord(NULL);
      return null;
    default:
      return readNumber(scanner);
  }
}

function readObject(scanner: JsonScanner, depth: number, opaque: Opaque | undefined): Record<string, unknown> {
  checkDepth(depth);
  const object: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  scanner.take(0x7b, 'an object');
  if (scanner.isClosedBy(0x7d)) return object;
  for (;;) {
    if (scanner.peek() !== 0x22) scanner.take(0x22, 'a member name');
    const name = readString(scanner);
    if (name in object) throw new JsonError(`names ${JSON.stringify(name.slice(0, 60))} twice in one object`);
    scanner.take(0x3a, 'a colon');
    const isOpaque = opaque !== undefined && opaque.depth === depth && opaque.name === name;
    object[name] = isOpaque ? readOpaque(scanner) : readValue(scanner, depth, opaque);
    if (scanner.isClosedBy(0x7d)) return object;
    scanner.take(0x2c, 'a comma or the end of the object');
  }
}

function readArray(scanner: JsonScanner, depth: number, opaque: Opaque | undefined): unknown[] {
  checkDepth(depth);
  const items: unknown[] = [];
  scanner.take(0x5b, 'an array');
  if (scanner.isClosedBy(0x5d)) return items;
  for (;;) {
    items.push(readValue(scanner, depth, opaque));
    if (scanner.isClosedBy(0x5d)) return items;
    scanner.take(0x2c, 'a comma or the end of the array');
  }
}

function readOpaque(scanner: JsonScanner): Buffer {
  scanner.peek();
  const from = scanner.at;
  scanner.skipValue(JSON_DEPTH_MAX);
  return scanner.bytes.subarray(from, scanner.at);
}

function readString(scanner: JsonScanner): string {
  const from = scanner.at;
  const isEscaped = scanner.skipString();
  if (!isEscaped) return scanner.bytes.toString('utf8', from + 1, scanner.at - 1);
  return JSON.parse(scanner.bytes.toString('utf8', from, scanner.at)) as string;
}

function readNumber(scanner: JsonScanner): number {
  const from = scanner.at;
  scanner.skipNumber();
  return Number(scanner.bytes.toString('latin1', from, scanner.at));
}

function checkDepth(depth: number): void {
  if (depth > JSON_DEPTH_MAX) throw new JsonError(`is nested more than ${JSON_DEPTH_MAX} levels deep`);
}
