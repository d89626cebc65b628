import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MalformedBytes } from './bytes.ts';
import * as wire from './messages.ts';
import { PROTOCOL_VERSION } from './protocol.ts';
import { ensure, type Shape } from './shape.ts';

/** By protocol version: what its messages look like. Lines are added here, never changed. */
const SHAPES_BY_VERSION: Readonly<Record<number, string>> = {
  1: '8a3893fca05f21358a76aae701e8146875403034e50bb8adfa887100ce650eb5',
  2: 'dc5f926b91ea1f468d3cca22d612be6d3e5b90f04ce57c1a27a327b8e6bd3da3',
  3: 'e85ab988b0b398db31018c52c751dbeaf3f38702bf5bf66e63da9c0d7ec06443',
  4: 'ae4165eb23f7343479c2e9d8600d4ab98e50eb1e05a784ffae53235555b6a00a',
  5: '66199d2149b00727bbdb5a3c3e493347b70cf85a6c95fc2824eeda3157181267',
  6: '5e9c98fd6348553e460f8619fa6dac6f37deeff70d93e896d05a231d18677f78',
};

describe('the wire', () => {
  it('is frozen', () => {
    const hash = createHash('sha256').update(wire.wireShapes()).digest('hex');
    expect(hash, 'old peers cannot read you: bump, and add a line of history').toBe(
      SHAPES_BY_VERSION[PROTOCOL_VERSION],
    );
  });

  it('has a line of history for its version, and none beyond', () => {
    expect(Object.keys(SHAPES_BY_VERSION).map(Number)).toEqual(
      Array.from({ length: PROTOCOL_VERSION }, (_, at) => at + 1),
    );
  });

  it('names every field of every message and result in what is frozen', () => {
    for (const shape of [
      wire.readResult,
      wire.mergeResult,
      wire.writeResult,
      wire.scanResult,
      wire.statusResult,
      wire.fetchResult,
      wire.registerResult,
      wire.changeResult,
      wire.consultResult,
      wire.latestResult,
    ]) {
      expect(wire.wireShapes()).toContain(shape.name);
    }
    for (let kind = wire.GREETING; kind <= wire.CHOSEN; kind++) expect(wire.wireShapes()).toContain(`(${kind}, `);
  });
});

const bytes = Uint8Array.of(1, 2);
const vector = [
  ['us-1.a1', 3],
  ['eu-1.b2', 9],
];
const rows = [['shop.1\0cart', bytes]];
const ballot = [7, 'us-1.a1/x1'];
const calls = {
  read: [wire.READ, 'shop.1\0k', null],
  'read within a session': [wire.READ, 'shop.1\0k', vector],
  merge: [wire.MERGE, rows],
  write: [wire.WRITE, 'shop.1\0k', bytes, 'text/plain', 1000, vector, [], 'eventual', 0],
  'delete without context': [wire.WRITE, 'shop.1\0k', null, '', null, null, vector, 'quorum', 1],
  scan: [wire.SCAN, 'a', 'b', 100, 1000, vector, false],
  status: [wire.STATUS],
  fetch: [wire.FETCH, ['a', 'b']],
  'questions about registers': [wire.REGISTER, ['shop.1\0k', 'shop.1\0l'], bytes],
  change: [wire.CHANGE, 'shop.1\0k', 'hash', bytes, 'text/plain', 1000, vector, 'versions', [3, 4]],
  'change that deletes': [wire.CHANGE, 'shop.1\0k', null, null, '', null, [], 'always', []],
  consult: [wire.CONSULT, 'shop.1\0k'],
};
const request = (call: unknown) => [wire.REQUEST, 1, 'request-1', 500, call];
const messages: Readonly<Record<string, readonly unknown[]>> = {
  greeting: [wire.GREETING, 'us-1', 'us-1.a1', 7, true, vector],
  follow: [wire.FOLLOW, 'us-1.a1', 'eu-1.b2', 7, 5, false, 1],
  changes: [wire.CHANGES, 'us-1.a1', 'eu-1.b2', 5, 7, true, rows, 1],
  applied: [wire.APPLIED, 'us-1.a1', 'eu-1.b2', 7, 7],
  ping: [wire.PING, 1, 'us-1.a1', 7, true, []],
  pong: [wire.PONG, 1],
  chosen: [wire.CHOSEN, [['shop.1\0k', ballot]]],
  'chosen of nothing': [wire.CHOSEN, []],
  answer: [wire.ANSWER, 1, null, { any: ['thing'] }],
  failure: [wire.ANSWER, 1, ['STORE_FULL', 'the disk is full', '{}'], null],
  ...Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, request(call)])),
};
const each = Object.entries(messages);

const isMessage = (value: unknown): boolean => {
  try {
    return wire.checkMessage(value) === value;
  } catch (error) {
    if (error instanceof MalformedBytes) return false;
    throw error;
  }
};

describe.each(each)('a message of kind %s', (_name, message) => {
  it('is taken', () => {
    expect(isMessage(message)).toBe(true);
  });

  it('is refused with a field too few or too many', () => {
    expect(isMessage(message.slice(0, -1))).toBe(false);
    expect(isMessage([...message, null])).toBe(false);
    expect(isMessage([...message, 0])).toBe(false);
  });

  it('is refused with a field of a type that none has', () => {
    message.forEach((_, at) => {
      if (message[0] === wire.ANSWER && at === 3) return; // Results differ by call.
      for (const wrong of [undefined, Number.NaN, -1, 0.5, 2 ** 53, 1n, () => 0, {}, new Map(), Symbol('x')]) {
        expect(isMessage(message.with(at, wrong)), `field ${at}`).toBe(false);
      }
    });
  });

  it('is refused as anything but an array', () => {
    expect(isMessage(Object.assign({ length: message.length }, message))).toBe(false);
  });
});

describe('a call', () => {
  it.each(Object.entries(calls))('%s is refused with a field too few or too many', (_name, call) => {
    expect(isMessage(request([...call, null]))).toBe(false);
    expect(isMessage(request(call.slice(0, -1)))).toBe(false);
  });

  it('is refused with texts and lists beyond their limits', () => {
    expect(isMessage(request([wire.READ, 'k'.repeat(1200), null]))).toBe(true);
    expect(isMessage(request([wire.READ, 'k'.repeat(1201), null]))).toBe(false);
    expect(isMessage(request([wire.FETCH, new Array(10_000).fill('k')]))).toBe(true);
    expect(isMessage(request([wire.FETCH, new Array(10_001).fill('k')]))).toBe(false);
    expect(isMessage(request([wire.FETCH, new Array(3)]))).toBe(false);
    const registers = (count: number) => request([wire.REGISTER, new Array(count).fill('k'), bytes]);
    expect(isMessage(registers(wire.REGISTERS_MAX))).toBe(true);
    expect(isMessage(registers(wire.REGISTERS_MAX + 1))).toBe(false);
    expect(isMessage(request(calls.change.with(8, new Array(64).fill(1))))).toBe(true);
    expect(isMessage(request(calls.change.with(8, new Array(65).fill(1))))).toBe(false);
    expect(isMessage(request(calls.change.with(2, 'x'.repeat(33))))).toBe(false);
  });
});

describe('what is no message', () => {
  it('is refused, whatever stands where the kind should', () => {
    for (const kind of [
      'length',
      'map',
      'constructor',
      '__proto__',
      '0',
      '1',
      true,
      null,
      [0],
      1.5,
      -1,
      20,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      {},
      { toString: 1 },
    ]) {
      for (const rest of [[], [1], [1, 'a', 'b', 7, 5]]) {
        expect(isMessage([kind, ...rest])).toBe(false);
        expect(isMessage(request([kind, ...rest]))).toBe(false);
      }
    }
  });

  it('never breaks the check', () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withNullPrototype: true,
          withTypedArray: true,
          withSparseArray: true,
        }),
        (value) => {
          isMessage(value);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('never breaks the check, where it comes close: messages with any fields exchanged', () => {
    const anything = fc.oneof(
      fc.anything(),
      fc.constantFrom(...each.map(([, message]) => message), vector, rows, bytes, 0, 7, '', null, true),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...each),
        fc.array(fc.tuple(fc.nat(), anything), { minLength: 1, maxLength: 3 }),
        ([, message], changes) => {
          const changed: unknown[] = [...message];
          for (const [at, value] of changes) changed[at % changed.length] = value;
          isMessage(changed);
          isMessage(request(changed));
        },
      ),
      { numRuns: 5_000 },
    );
  });
});

describe('a result', () => {
  const store = 'us-1.a1';
  const results: readonly (readonly [string, Shape<unknown>, readonly unknown[]])[] = [
    ['read', wire.readResult, [bytes, store, true, null]],
    ['merge', wire.mergeResult, [store, 2, 1]],
    ['write', wire.writeResult, [store, 7, vector, 1000, null, false, 3, 2, 1]],
    ['scan', wire.scanResult, [store, rows, true, true, 12]],
    ['status', wire.statusResult, [1, 2, 3]],
    ['questions to an acceptor', wire.registerResult, [store, bytes]],
    ['change', wire.changeResult, [store, 'changed', 3, 1000, null, true, store, 1, 3, 2]],
    ['consultation', wire.consultResult, [store, bytes, 1, 3, 2]],
  ];

  it.each(results)(
    'of a %s is taken, and refused with a field too few, too many or of a wrong type',
    (_name, shape, result) => {
      expect(ensure(shape, result)).toBe(result);
      expect(() => ensure(shape, result.slice(1))).toThrow(MalformedBytes);
      expect(() => ensure(shape, [...result, 1])).toThrow(MalformedBytes);
      for (let at = 0; at < result.length; at++)
        expect(() => ensure(shape, result.with(at, -1))).toThrow(MalformedBytes);
    },
  );

  it('of a fetch is rows, up to a limit', () => {
    expect(ensure(wire.fetchResult, rows)).toBe(rows);
    expect(() => ensure(wire.fetchResult, [['k', 'not bytes']])).toThrow(MalformedBytes);
    expect(() => ensure(wire.fetchResult, new Array(100_001).fill(rows[0]))).toThrow(MalformedBytes);
  });
});
