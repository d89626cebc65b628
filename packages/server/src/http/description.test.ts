import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { JSON_HEADERS, type Opened, openHttp } from './http.testing.ts';

interface Operation {
  readonly summary?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Record<string, { schema: Record<string, unknown> }> };
  readonly responses: Record<
    string,
    { readonly content?: Record<string, { schema: object }>; readonly headers?: object }
  >;
}

let opened: Opened;
let document: {
  openapi: string;
  info: { version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
};

beforeAll(async () => {
  opened = await openHttp({ withWan: true });
  document = (await opened.call('GET', '/openapi.json')).json();
});

const CONTRACT = {
  '/kv/{key}': ['get', 'put', 'delete'],
  '/kv/': ['get', 'post'],
  '/kv/batch': ['post'],
  '/namespaces/{ns}/kv/{key}': ['get', 'put', 'delete'],
  '/namespaces/{ns}/kv/': ['get', 'post'],
  '/namespaces/{ns}/kv/batch': ['post'],
  '/namespaces': ['get'],
  '/namespaces/{ns}': ['get', 'put', 'delete'],
  '/namespaces/{ns}/ledger': ['get'],
  '/namespaces/{ns}/ledger/restore': ['post'],
  '/replicate/': ['post'],
  '/replicate/sync': ['post'],
  '/replicate/changes': ['get'],
  '/health/': ['get'],
  '/health/live': ['get'],
  '/health/ready': ['get'],
  '/metrics': ['get'],
  '/admin/metrics': ['get'],
  '/admin/regions': ['get'],
  '/admin/ring': ['get'],
  '/admin/rebalance': ['get', 'post'],
  '/admin/layout': ['get', 'put'],
  '/admin/wan': ['get', 'post'],
};

describe('/openapi.json', () => {
  it('is OpenAPI 3.1 with every path of the contract, and no other', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.info.version).toBe('1.2.3');
    const paths = Object.fromEntries(
      Object.entries(document.paths).map(([path, operations]) => [
        path,
        Object.keys(operations)
          .filter((method) => method !== 'head')
          .sort(),
      ]),
    );
    expect(paths).toEqual(
      Object.fromEntries(Object.entries(CONTRACT).map(([path, methods]) => [path, [...methods].sort()])),
    );
  });

  it('describes parameters, headers, bodies and problems', () => {
    const put = document.paths['/namespaces/{ns}/kv/{key}']?.put as Operation;
    const names = (where: string) =>
      put.parameters
        ?.filter((parameter) => parameter.in === where)
        .map((parameter) => parameter.name)
        .sort();
    expect(names('path')).toEqual(['key', 'ns']);
    expect(names('query')).toEqual(['consistency', 'ttl']);
    expect(names('header')).toEqual([
      'Idempotency-Key',
      'If-Match',
      'If-None-Match',
      'Meridian-Context',
      'Meridian-Receipt',
      'Meridian-Session',
      'Meridian-Timeout',
      'X-Request-Id',
    ]);
    expect(put.requestBody?.content['application/json']?.schema).toMatchObject({
      required: ['value'],
      additionalProperties: false,
    });
    expect(Object.keys(put.requestBody?.content ?? {})).toContain('*/*');
    expect(Object.keys(put.responses)).toEqual(
      expect.arrayContaining(['200', '201', '400', '404', '409', '412', '413', '415', '429', '503', '504', '507']),
    );
    expect(put.responses).not.toHaveProperty('501');
    expect(put.responses['507']?.content?.['application/problem+json']?.schema).toEqual({
      $ref: '#/components/schemas/Problem',
    });
    expect(put.responses['200']?.headers).toHaveProperty('Meridian-Context');
  });

  it.each([
    ['put', '/kv/{key}', ['CONDITION_FAILED', 'CONDITION_NEEDS_STRONG_NAMESPACE']],
    ['delete', '/kv/{key}', ['CONDITION_FAILED', 'CONDITION_NEEDS_STRONG_NAMESPACE', 'KEY_NOT_FOUND']],
    ['post', '/kv/', ['CONDITION_FAILED', 'CONDITION_NEEDS_STRONG_NAMESPACE', 'KEY_EXISTS']],
  ] as const)('says how a %s of %s can end', (method, path, codes) => {
    for (const base of ['', '/namespaces/{ns}']) {
      const texts = JSON.stringify(document.paths[base + path]?.[method]?.responses);
      for (const code of [...codes, 'QUORUM_UNAVAILABLE', 'OUTCOME_UNKNOWN', 'RATE_LIMITED', 'STORE_FULL'])
        expect(texts, code).toContain(`\`${code}\``);
    }
  });

  it('says of every operation what it is for', () => {
    for (const operations of Object.values(document.paths))
      for (const operation of Object.values(operations)) expect(operation.summary).toBeTruthy();
  });

  it('has no reference that leads nowhere', () => {
    for (const [, name] of JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g))
      expect(document.components.schemas).toHaveProperty(name as string);
  });
});

describe('answers', () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const checkOf = (path: string, method: string, status: number, type: string): ValidateFunction => {
    const schema = document.paths[path]?.[method]?.responses[status]?.content?.[type]?.schema;
    expect(schema, `${method} ${path} ${status}`).toBeDefined();
    return ajv.compile({ ...(schema as object), components: document.components });
  };

  it.each([
    ['PUT', '/kv/a', '/kv/{key}', '{"value":{"a":1}}', 201],
    ['PUT', '/kv/a', '/kv/{key}', '{"value":{"a":1},"ttl":60}', 200],
    ['GET', '/kv/a', '/kv/{key}', undefined, 200],
    ['GET', '/kv/none', '/kv/{key}', undefined, 404],
    ['POST', '/kv/', '/kv/', '{"key":"b","value":[]}', 201],
    ['POST', '/kv/', '/kv/', '{"key":"b","value":[]}', 409],
    ['POST', '/kv/', '/kv/', '{', 400],
    ['GET', '/kv/', '/kv/', undefined, 200],
    ['GET', '/kv/?values=false', '/kv/', undefined, 200],
    ['POST', '/kv/batch', '/kv/batch', '{"operations":[{"op":"get","key":"a"}]}', 200],
    ['PUT', '/namespaces/shop', '/namespaces/{ns}', '{}', 201],
    ['GET', '/namespaces', '/namespaces', undefined, 200],
    ['GET', '/namespaces/shop', '/namespaces/{ns}', undefined, 200],
    ['GET', '/namespaces/shop/ledger?key=a', '/namespaces/{ns}/ledger', undefined, 200],
    ['POST', '/replicate/', '/replicate/', '{"records":[]}', 200],
    ['POST', '/replicate/sync', '/replicate/sync', '{}', 200],
    ['GET', '/replicate/changes', '/replicate/changes', undefined, 200],
    ['GET', '/health/', '/health/', undefined, 200],
    ['GET', '/admin/regions', '/admin/regions', undefined, 200],
    ['GET', '/admin/ring?key=a', '/admin/ring', undefined, 200],
    ['GET', '/admin/layout', '/admin/layout', undefined, 501],
  ])('are as described: %s %s', async (method, url, path, payload, status) => {
    const answer = await opened.call(method, url, payload === undefined ? {} : { headers: JSON_HEADERS, payload });
    expect(answer.statusCode).toBe(status);
    const type = status < 400 ? 'application/json' : 'application/problem+json';
    const check = checkOf(path, method.toLowerCase(), status, type);
    expect(check(answer.json()), JSON.stringify(check.errors)).toBe(true);
  });
});

describe('/docs', () => {
  it('is a page that needs nothing from elsewhere, over plain HTTP', async () => {
    const page = await opened.call('GET', '/docs/');
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toContain('text/html');
    const policy = page.headers['content-security-policy'] as string;
    expect(policy).not.toContain('upgrade-insecure-requests');
    expect(page.payload).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
    const links = [...page.payload.matchAll(/(?:src|href)="([^"]+)"/g)].map(
      ([, link]) => new URL(link as string, 'http://a/docs/').pathname,
    );
    expect(links.length).toBeGreaterThan(3);
    for (const link of links) expect((await opened.call('GET', link)).statusCode, link).toBe(200);
    expect((await opened.call('GET', '/docs/json')).json().openapi).toBe('3.1.0');
  });

  it('works without the trailing slash', async () => {
    const page = await opened.call('GET', '/docs');
    const links = [...page.payload.matchAll(/(?:src|href)="([^"]+)"/g)].map(
      ([, link]) => new URL(link as string, 'http://a/docs').pathname,
    );
    for (const link of links) expect((await opened.call('GET', link)).statusCode, link).toBe(200);
  });
});
