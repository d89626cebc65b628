import { expect, it } from 'vitest';
import { JSON_HEADERS, openHttp } from './http.testing.ts';

it('logs a slow request with the status that was answered', async () => {
  const opened = await openHttp({ limits: { slowMs: -1 } });
  const statusOf = async (method: string, url: string, payload?: string) => {
    opened.logged.length = 0;
    const more = payload === undefined ? {} : { headers: JSON_HEADERS, payload };
    const answer = await opened.call(method, url, more);
    await expect.poll(() => opened.logged.map((line) => line.event)).toEqual(['slow request']);
    expect(opened.logged[0]?.fields.status).toBe(answer.statusCode);
    return answer.statusCode;
  };
  expect(await statusOf('GET', '/kv/a')).toBe(404);
  expect(await statusOf('PUT', '/kv/a', '{"value":1}')).toBe(201);
  expect(await statusOf('GET', '/kv/a?raw')).toBe(200);
  expect(await statusOf('DELETE', '/kv/a')).toBe(204);
  opened.service.failure = new Error('secret');
  const before = opened.logged;
  const answer = await opened.call('GET', '/kv/a');
  await expect.poll(() => before.at(-1)?.event).toBe('slow request');
  expect([answer.statusCode, before.at(-1)?.fields.status]).toEqual([500, 500]);
});
