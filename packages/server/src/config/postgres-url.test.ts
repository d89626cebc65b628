import { describe, expect, it } from 'vitest';
import { describeDatabase, parsePostgresUrl } from './postgres-url.ts';

describe('the URL of a PostgreSQL database', () => {
  it('needs user, host and database only', () => {
    expect(parsePostgresUrl('postgres://meridian@localhost/kv')).toEqual({
      host: 'localhost',
      port: 5432,
      database: 'kv',
      user: 'meridian',
      tls: { mode: 'disable' },
      schema: 'meridian',
      poolSize: 8,
      statementTimeoutMs: 5_000,
    });
  });

  it('says all there is to say', () => {
    const url =
      'postgresql://m%40x:p%3A%2F%20@db.example:6432/my%20kv?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c.pem' +
      '&sslkey=/k.pem&pool=20&statement_timeout=2500&schema=eu_1';
    expect(parsePostgresUrl(url)).toEqual({
      host: 'db.example',
      port: 6432,
      database: 'my kv',
      user: 'm@x',
      password: 'p:/ ',
      tls: { mode: 'verify-full', rootCertificate: '/ca.pem', certificate: '/c.pem', key: '/k.pem' },
      schema: 'eu_1',
      poolSize: 20,
      statementTimeoutMs: 2_500,
    });
    expect(describeDatabase(url)).toBe('db.example:6432/my kv');
    expect(describeDatabase('postgres://m:secret@[::1]:5433/kv')).toBe('[::1]:5433/kv');
  });

  it.each([
    ['postgres://m@127.0.0.1/kv', 'disable'],
    ['postgres://m@[::1]/kv', 'disable'],
    ['postgres://m@db.example/kv', 'require'],
    ['postgres://m@10.0.0.1/kv', 'require'],
    ['postgres://m@db.example/kv?sslmode=disable', 'disable'],
  ])('goes over TLS unless it stays on this machine, or says otherwise: %s', (url, mode) => {
    expect(parsePostgresUrl(url).tls.mode).toBe(mode);
  });

  it('takes the password from itself, else from a file, else from PGPASSWORD', () => {
    const environment = { PGPASSWORD: 'from the environment' };
    const of = (url: string) => {
      const { password, passwordFile } = parsePostgresUrl(url, environment);
      return { password, passwordFile };
    };
    expect(of('postgres://m:own@h/kv')).toEqual({ password: 'own' });
    expect(of('postgres://m@h/kv?password_file=/run/pw')).toEqual({ passwordFile: '/run/pw' });
    expect(of('postgres://m@h/kv')).toEqual({ password: 'from the environment' });
  });

  it.each([
    ['', 'expected postgres://'],
    ['mysql://m:hush@h/kv', 'expected postgres://'],
    ['postgres://m:hu#sh@h/kv', 'expected postgres://'],
    ['postgres://m:hush@h:99999/kv', 'expected postgres://'],
    ['postgres://:hush@h/kv', 'no user'],
    ['postgres://m:hush@/kv', ''],
    ['postgres://m:hush@h', 'no database'],
    ['postgres://m:hush@h/a/b', 'no database'],
    ['postgres://m:%zz@h/kv', 'the password in the URL has a %'],
    ['postgres://m:hush@h/kv?sslmod=disable', 'unknown parameter "sslmod": expected one of sslmode, '],
    ['postgres://m:hush@h/kv?sslmode=prefer', 'sslmode is "prefer": expected disable, '],
    ['postgres://m:hush@h/kv?pool=0', 'pool is "0": expected a whole number from 1 to 1000'],
    ['postgres://m:hush@h/kv?pool=8&pool=9', 'pool is given twice'],
    ['postgres://m:hush@h/kv?statement_timeout=1.5', 'statement_timeout is "1.5"'],
    ['postgres://m:hush@h/kv?schema=', 'schema is empty'],
    ['postgres://m:hush@h/kv?schema=a%22b', 'schema is'],
    ['postgres://m:hush@h/kv?schema=pg_x', 'schema is "pg_x"'],
    ['postgres://m:hush@h/kv?sslcert=/c.pem', 'sslcert and sslkey go together'],
    ['postgres://m:hush@h/kv?sslmode=verify-ca', 'sslmode=verify-ca needs sslrootcert'],
    ['postgres://m:hush@h/kv?sslmode=disable&sslrootcert=/ca.pem', 'sslmode is disable'],
    ['postgres://m:hush@h/kv?password_file=/f', 'a password and a password_file are given'],
  ])('is refused in one line without its password: %s', (url, words) => {
    let message = '';
    try {
      parsePostgresUrl(url);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).not.toBe('');
    expect(message).toContain(words);
    expect(message).not.toMatch(/hush|hu#sh|%zz|\n/);
  });
});
