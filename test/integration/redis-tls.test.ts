import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { RedisCache } from '@meridian/server/adapters/redis/redis-cache';
import { systemClock } from '@meridian/server/adapters/system/system-clock';
import { parseRedisUrl } from '@meridian/server/config/redis-url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { freeBasePort } from '../support/free-ports.ts';
import { RedisServerProcess } from '../support/redis.ts';
import { systemRandom } from '../support/system-random.ts';

describe('a Redis behind TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-tls-'));
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const trusted = getCACertificates('default');
  let server: RedisServerProcess;
  let url: string;

  beforeAll(async () => {
    const subject = ['-subj', '/CN=meridian-test', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', certificate];
    execFileSync('openssl', [...made, ...subject], { stdio: 'ignore' });
    const port = await freeBasePort(2);
    const tls = ['--tls-port', String(port + 1), '--tls-auth-clients', 'no'];
    const files = ['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', certificate];
    server = await RedisServerProcess.start({ settings: [...tls, ...files] }, port);
    url = `rediss://127.0.0.1:${port + 1}`;
  });
  afterAll(async () => {
    setDefaultCACertificates(trusted);
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function reasonOrReady(): Promise<string | undefined> {
    const cache = new RedisCache({ ...parseRedisUrl(url, 'cache'), clock: systemClock, random: systemRandom });
    const outcome = () =>
      cache.probe().then(
        () => 'ready',
        (error: unknown) => (error as Error).message.replace('not connected yet', ''),
      );
    const told = await eventually(async () => (await outcome()) || undefined, { what: 'an outcome', everyMs: 20 });
    await cache.close();
    return told;
  }

  it('is used where its certificate is trusted, and only there', async () => {
    expect(await reasonOrReady()).toMatch(/SELF_SIGNED/);
    setDefaultCACertificates([...trusted, readFileSync(certificate, 'utf8')]);
    expect(await reasonOrReady()).toBe('ready');
  });
});
