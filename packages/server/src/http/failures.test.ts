import { beforeAll, describe, expect, it } from 'vitest';
import { type Opened, openHttp } from './http.testing.ts';

let opened: Opened;
beforeAll(async () => {
  opened = await openHttp();
});

describe('paths that are not there', () => {
  it.each([
    '/',
    '/nope',
    '/kv/a/b',
    '/kv/a/b/c',
    '/namespaces/a/b',
    '/health/x',
    '/admin',
    '/KV/a',
    '/kv//a',
    '/namespaces/x/kv/a/b',
  ])('answer 404: %s', async (url) => {
    for (const method of ['GET', 'POST', 'PUT']) {
      const answer = await opened.call(method, url, { payload: 'x' });
      expect([answer.statusCode, answer.json().code]).toEqual([404, 'NO_SUCH_PATH']);
      expect(answer.headers['content-type']).toBe('application/problem+json');
    }
  });

  it('answer 400 to what is no path', async () => {
    expect((await opened.call('GET', '/namespaces/%FF')).json().code).toBe('INVALID_REQUEST');
  });
});

describe('methods that a path does not take', () => {
  it.each([
    ['POST', '/kv/a', 'DELETE, GET, HEAD, PUT'],
    ['PATCH', '/kv/a/', 'DELETE, GET, HEAD, PUT'],
    ['OPTIONS', '/kv/a%2Fb', 'DELETE, GET, HEAD, PUT'],
    ['DELETE', '/kv/', 'GET, HEAD, POST'],
    ['PUT', '/kv', 'GET, HEAD, POST'],
    ['POST', '/namespaces', 'GET, HEAD'],
    ['POST', '/namespaces/a', 'DELETE, GET, HEAD, PUT'],
    ['GET', '/replicate/', 'POST'],
    ['POST', '/metrics', 'GET, HEAD'],
    ['PUT', '/admin/wan', 'GET, HEAD, POST'],
    ['DELETE', '/openapi.json', 'GET, HEAD'],
    ['PROPFIND', '/kv/a', 'DELETE, GET, HEAD, PUT'],
  ])('answer 405: %s %s', async (method, url, allow) => {
    const answer = await opened.call(method, url);
    expect([answer.statusCode, answer.json().code, answer.headers.allow]).toEqual([405, 'METHOD_NOT_ALLOWED', allow]);
    expect(answer.json().allow).toEqual(allow.split(', '));
  });

  it('count what batch adds', async () => {
    expect((await opened.call('PATCH', '/kv/batch')).headers.allow).toBe('DELETE, GET, HEAD, POST, PUT');
  });
});
