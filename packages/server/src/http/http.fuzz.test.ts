import { isErrorCode } from '@meridian/core/wire/errors';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Opened, openHttp } from './http.testing.ts';

let opened: Opened;
beforeAll(async () => {
  opened = await openHttp({ withWan: true });
});

const TIME_MS = 4000;
const options = { numRuns: 5000, interruptAfterTimeLimit: TIME_MS, markInterruptAsFailure: false };

/** Whatever comes in, what goes out is an answer of the contract: never a 500, never text that is not ours. */
function checkAnswer(answer: Awaited<ReturnType<Opened['call']>>): void {
  expect(answer.statusCode).not.toBe(500);
  expect(answer.statusCode).toBeGreaterThanOrEqual(200);
  if (answer.statusCode < 400 || answer.payload === '') return;
  expect(answer.headers['content-type']).toBe('application/problem+json');
  const problem = answer.json();
  if (problem.code === undefined) return;
  expect(isErrorCode(problem.code)).toBe(true);
  expect(problem.status).toBe(answer.statusCode);
}

const paths = [
  '/kv/',
  '/kv/a',
  '/kv/batch',
  '/namespaces/default/kv/b',
  '/namespaces/shop',
  '/namespaces/default/ledger/restore',
  '/replicate/',
  '/replicate/sync',
  '/admin/wan',
];
const field = fc.constantFrom(
  'key',
  'value',
  'ttl',
  'encoding',
  'contentType',
  'operations',
  'op',
  'context',
  'records',
  'namespace',
  'vector',
  'siblings',
  'placement',
  'mode',
  'split',
  'rtt',
  'heal',
  '__proto__',
  'id',
);
const leaf = fc.oneof(
  fc.constantFrom(
    'get',
    'put',
    'base64',
    'AAAA',
    'default',
    'us-east',
    'eventual',
    'all',
    '',
    '..',
    0,
    1,
    -1,
    1e300,
    null,
    true,
  ),
  fc.string({ maxLength: 8, unit: 'binary' }),
  fc.double(),
);
const body = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('any'), { maxLength: 4 }),
    fc.array(fc.tuple(field, tie('any')), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
  ),
})).any;
const payload = fc.oneof(
  body.map((value) => Buffer.from(JSON.stringify(value) ?? 'null')),
  fc
    .tuple(
      body.map((value) => JSON.stringify(value) ?? ''),
      fc.nat(),
      fc.uint8Array({ maxLength: 4 }),
    )
    .map(([text, at, put]) => {
      const bytes = Buffer.from(text);
      const from = at % (bytes.length + 1);
      return Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(from + 1)]);
    }),
);

describe('the front end', () => {
  it('answers any body with sense', async () => {
    const type = fc.constantFrom(
      'application/json',
      'application/json',
      'application/json',
      'text/plain',
      'application/octet-stream',
      'x',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('PUT', 'POST'),
        fc.constantFrom(...paths),
        type,
        payload,
        async (method, url, contentType, bytes) => {
          checkAnswer(await opened.call(method, url, { headers: { 'content-type': contentType }, payload: bytes }));
        },
      ),
      options,
    );
  });

  it('answers any path and query with sense, and gives a key back as it was meant', async () => {
    const key = fc
      .string({ minLength: 1, maxLength: 40, unit: 'binary' })
      .map((text) => text.toWellFormed())
      .filter((text) => text !== '.' && text !== '..');
    await fc.assert(
      fc.asyncProperty(key, fc.string({ maxLength: 30 }), async (text, query) => {
        const path = `/kv/${encodeURIComponent(text)}`;
        const put = await opened.call('PUT', path, {
          headers: { 'content-type': 'application/json' },
          payload: '{"value":1}',
        });
        expect(put.json().key).toBe(text);
        checkAnswer(await opened.call('GET', `${path}?${encodeURI(query)}`));
        checkAnswer(await opened.call('GET', `/kv/?cursor=${encodeURIComponent(query)}&limit=2`));
      }),
      options,
    );
  });

  it('answers any header with sense', async () => {
    const name = fc.constantFrom(
      'meridian-context',
      'meridian-session',
      'meridian-timeout',
      'meridian-receipt',
      'if-match',
      'if-none-match',
      'accept',
      'content-type',
      'content-encoding',
      'x-request-id',
    );
    const value = fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.constantFrom(
        '1',
        '0',
        '*',
        'c1',
        's1',
        '"v1"',
        'W/"v1"',
        '*/*;q=',
        'a/b;q=0.5',
        'application/json;charset=',
        'text/plain',
      ),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'PUT', 'DELETE'),
        fc.dictionary(name, value, { maxKeys: 4 }),
        async (method, headers) => {
          checkAnswer(await opened.call(method, '/kv/a', { headers, ...(method === 'PUT' ? { payload: '1' } : {}) }));
        },
      ),
      options,
    );
  });
});
