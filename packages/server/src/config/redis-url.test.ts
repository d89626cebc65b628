import { describe, expect, it } from 'vitest';
import { parseRedisUrl } from './redis-url.ts';
import { SettingError } from './setting-error.ts';

const DEFAULTS = {
  isCluster: false,
  isTls: false,
  user: undefined,
  password: undefined,
  database: 0,
  ttlMs: 60_000,
  valueBytesMax: 65_536,
  timeoutMs: 20,
  prefix: 'meridian:',
};

function problemOf(url: string): string {
  try {
    parseRedisUrl(url, 'cache');
  } catch (error) {
    if (error instanceof SettingError) return error.message;
    throw error;
  }
  return 'no problem';
}

describe('the URL of a Redis', () => {
  it('needs no more than a host', () => {
    expect(parseRedisUrl('redis://cache', 'cache')).toEqual({ ...DEFAULTS, servers: [{ host: 'cache', port: 6379 }] });
  });

  it('names user, password, port, database and TLS', () => {
    expect(parseRedisUrl('rediss://app:p%40ss:word@redis.example:6380/3', 'cache')).toEqual({
      ...DEFAULTS,
      servers: [{ host: 'redis.example', port: 6380 }],
      isTls: true,
      user: 'app',
      password: 'p@ss:word',
      database: 3,
    });
    expect(parseRedisUrl('redis://:secret@[::1]:7000/', 'cache')).toEqual({
      ...DEFAULTS,
      servers: [{ host: '::1', port: 7000 }],
      password: 'secret',
    });
  });

  it('may leave the password to a file', () => {
    const named = parseRedisUrl('redis://app@cache/?password_file=/run/secrets/redis', 'cache');
    expect(named).toMatchObject({ user: 'app', passwordFile: '/run/secrets/redis' });
    expect(named.password).toBeUndefined();
    expect(parseRedisUrl('redis://cache/?password_file=/x', 'cache').user).toBeUndefined();
    expect(problemOf('redis://app:secret@cache/?password_file=/x')).toBe(
      'cache: a password and a password_file are given: one of them is enough',
    );
  });

  it('names some servers of a cluster', () => {
    expect(parseRedisUrl('redis+cluster://a:7000,b,c:7002/', 'cache')).toEqual({
      ...DEFAULTS,
      servers: [
        { host: 'a', port: 7000 },
        { host: 'b', port: 6379 },
        { host: 'c', port: 7002 },
      ],
      isCluster: true,
    });
    expect(parseRedisUrl('rediss+cluster://u:p@a', 'cache')).toMatchObject({ isCluster: true, isTls: true, user: 'u' });
  });

  it('says how the cache is used', () => {
    expect(
      parseRedisUrl('redis://cache?ttl=5s&value_bytes_max=1MiB&timeout=50ms&prefix=shop:meridian:', 'cache'),
    ).toMatchObject({ ttlMs: 5_000, valueBytesMax: 1_048_576, timeoutMs: 50, prefix: 'shop:meridian:' });
    expect(parseRedisUrl('redis://cache?ttl=1500ms', 'cache').ttlMs).toBe(1_500);
  });

  it.each([
    ['http://cache', /expected redis:\/\//],
    ['redis://', /expected redis:\/\//],
    ['cache:6379', /expected redis:\/\//],
    ['redis://a b', /expected redis:\/\//],
    ['redis://cache:0', /a port: expected a whole number from 1 to 65535, found '0'/],
    ['redis://a,b', /write redis\+cluster:\/\//],
    ['redis://cache/one', /a database: expected a number/],
    ['redis+cluster://a/1', /no database but 0/],
    ['redis://cache?ttl=60', /ttl: expected a time like 500ms or 60s/],
    ['redis://cache?ttl=999ms', /from 1000 to 3600000 ms/],
    ['redis://cache?timeout=2s', /timeout: expected/],
    ['redis://cache?value_bytes_max=2MiB', /value_bytes_max: expected bytes/],
    ['redis://cache?prefix=a%20b', /prefix: expected/],
    ['redis://cache?prefix=', /prefix: expected/],
    ['redis://cache?size=3', /no parameter 'size'; there are ttl, value_bytes_max, timeout, prefix/],
    ['redis://cache?ttl=1s&ttl=2s', /'ttl' stands twice/],
    ['redis://secret@cache', /expected user:password/],
    ['redis://u:%zz@cache', /percent-encoded/],
  ])('refuses %s in one line', (url, problem) => {
    const message = problemOf(url);
    expect(message).toMatch(problem);
    expect(message).toMatch(/^cache: [^\n]*$/);
  });

  it.each([
    'redis://u:hunter2@cache:0',
    'redis://u:hunter2@a,b',
    'redis://hunter2@cache',
    'redis://u:hunter2%@cache',
    'http://u:hunter2@cache',
    'redis://u:hunter2@/1',
    'redis://u:hunter2@x@cache:0',
    'redis://u:hunter2/x@cache',
    'redis://u:hunter2?x@cache',
    'redis://u:hunter2#x@cache',
    'redis://u:12345/hunter2@cache',
    'redis://u:12345?hunter2@cache',
    'redis://u:12345?ttl=hunter2@cache',
  ])('tells nothing of the password in %s', (url) => {
    const message = problemOf(url);
    expect(message).not.toBe('no problem');
    expect(message).not.toContain('hunter2');
  });
});
