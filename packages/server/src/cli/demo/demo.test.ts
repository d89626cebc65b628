import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderFor, serverUser } from '../postgres/postgres-programs.ts';

const MAIN = join(import.meta.dirname, 'fake-main.testing.ts');
const BASE_PORT = 18_471;

class Running {
  readonly child: ChildProcess;
  out = '';
  err = '';
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[]) {
    this.child = spawn(
      process.execPath,
      [MAIN, 'demo', '--base-port', String(BASE_PORT), '--data-dir', folder, ...args],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.out += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.err += text;
    });
    this.ended = new Promise((resolve) => this.child.once('close', resolve));
    started.push(this);
  }

  async says(text: string | RegExp): Promise<void> {
    await until(
      () => (typeof text === 'string' ? this.out.includes(text) : text.test(this.out)),
      () => `waiting for ${text}: ${this.out}${this.err}`,
    );
  }
}

let folder: string;
let started: Running[];
beforeEach(() => {
  started = [];
  folder = mkdtempSync(join(tmpdir(), 'meridian-demo-'));
});
afterEach(async () => {
  for (const { child, ended } of started) {
    child.kill('SIGTERM');
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

async function until(isSo: () => boolean, tell: () => string): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (isSo()) return;
    await sleep(50);
  }
  throw new Error(tell());
}

const pidOf = (node: string) => Number(readFileSync(join(folder, `${node}.pid`), 'utf8'));
const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('demo', () => {
  it('serves each region on its port, says ready, and stops cleanly however often Ctrl-C comes', async () => {
    const demo = new Running([]);
    await demo.says(/^ready$/m);
    for (const [at, region] of ['us-east', 'eu-central', 'ap-northeast'].entries()) {
      const health = await (await fetch(`http://127.0.0.1:${BASE_PORT + at}/health`)).json();
      expect(health).toMatchObject({ node: `${region}-1`, region });
    }
    expect(statSync(join(folder, 'cluster.secret')).mode & 0o777).toBe(0o600);
    const pids = ['us-east-1', 'eu-central-1', 'ap-northeast-1'].map(pidOf);
    for (let times = 0; times < 3; times++) demo.child.kill('SIGINT');
    expect(await demo.ended).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  it('starts a region again whose process died, and says so', async () => {
    const demo = new Running(['--regions', 'us-east,eu-west']);
    await demo.says(/^ready$/m);
    const pid = pidOf('eu-west-1');
    process.kill(pid, 'SIGKILL');
    await demo.says('eu-west-1 ended (SIGKILL); it is started again in 3 s');
    await demo.says('eu-west-1 is started again');
    expect(pidOf('eu-west-1')).not.toBe(pid);
    expect(isAlive(pidOf('us-east-1'))).toBe(true);
  });

  it('leaves no region behind when it is killed itself, and starts again on its data', async () => {
    const demo = new Running(['--regions', 'us-east']);
    await demo.says(/^ready$/m);
    const secret = readFileSync(join(folder, 'cluster.secret'), 'utf8');
    const pid = pidOf('us-east-1');
    demo.child.kill('SIGKILL');
    const again = new Running(['--regions', 'us-east,eu-west']);
    await again.says(/^ready$/m);
    // Its port is free before its process is gone.
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
    expect(readFileSync(join(folder, 'cluster.secret'), 'utf8')).toBe(secret);
  });

  it('refuses a folder in use, regions left out, and ports that are taken, with one line', async () => {
    const first = new Running(['--regions', 'us-east,eu-west']);
    await first.says(/^ready$/m);
    const second = new Running(['--regions', 'us-east,eu-west']);
    expect(await second.ended).toBe(2);
    expect(second.err).toMatch(/^meridian: .*another demo runs on it[^\n]*\n$/);
    first.child.kill('SIGTERM');
    await first.ended;
    const fewer = new Running(['--regions', 'us-east']);
    expect(await fewer.ended).toBe(2);
    expect(fewer.err).toMatch(/^meridian: .*holds data of eu-west too: start with --regions us-east,eu-west[^\n]*\n$/);
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(BASE_PORT, '127.0.0.1', resolve));
    const third = new Running(['--regions', 'us-east,eu-west']);
    expect(await third.ended).toBe(2);
    taken.close();
    expect(third.err).toMatch(/^meridian: port 18471 is taken by another process[^\n]*\n$/);
  });

  it('takes a folder with any engine and regions where nothing of an earlier try has run', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(BASE_PORT, '127.0.0.1', resolve));
    for (const args of [
      ['--regions', 'us-east,eu-west'],
      ['--regions', 'us-east', '--engine', 'postgres'],
    ]) {
      const tried = new Running(args);
      expect(await tried.ended).toBe(2);
      expect(tried.err).toMatch(/^meridian: port 18471 is taken by another process[^\n]*\n$/);
    }
    taken.close();
  });

  it('refuses a port of a database that is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(BASE_PORT + 2_001, '127.0.0.1', resolve));
    const demo = new Running(['--regions', 'us-east,eu-west', '--engine', 'postgres']);
    const code = await demo.ended;
    taken.close();
    expect(code).toBe(2);
    expect(demo.err).toMatch(/^meridian: port 20472 is taken by another process[^\n]*\n$/);
  });

  it('ends where one database cannot start, however long the others take', async () => {
    // The servers run as somebody else where this is root, and stay in this folder where they may enter it.
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, 'us-east-1.postgres'));
    writeFileSync(join(folder, 'us-east-1.postgres', 'PG_VERSION'), 'none');
    const demo = new Running(['--regions', 'us-east,eu-west', '--engine', 'postgres']);
    expect(await demo.ended).toBe(1);
    expect(demo.err).toMatch(/^meridian: PostgreSQL at .*us-east-1.postgres: it ended before it was ready[^\n]*\n$/);
    expect(readdirSync(join(folder, 'eu-west-1.postgres'))).not.toContain('postmaster.pid');
  });

  it('starts a database whose first start was broken off', async () => {
    chmodSync(folder, 0o755);
    const first = new Running(['--regions', 'us-east', '--engine', 'postgres']);
    const isBegun = () =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).some((path) => path.endsWith('PG_VERSION'));
    await until(isBegun, () => first.err);
    first.child.kill('SIGKILL');
    await first.ended;
    const again = new Running(['--regions', 'us-east', '--engine', 'postgres']);
    await again.says(/^ready$/m);
    again.child.kill('SIGTERM');
    await again.ended;
  });

  it.runIf(process.getuid?.() === 0)(
    'begins anew where its folder was deleted and its databases stood elsewhere',
    async () => {
      const elsewhere = folderFor(join(folder, 'us-east-1.postgres'), serverUser());
      expect(elsewhere.startsWith(folder)).toBe(false);
      try {
        mkdirSync(elsewhere);
        writeFileSync(join(elsewhere, 'PG_VERSION'), 'of a demo whose password is gone');
        const demo = new Running(['--regions', 'us-east', '--engine', 'postgres']);
        await demo.says(/^ready$/m);
        demo.child.kill('SIGTERM');
        await demo.ended;
        writeFileSync(join(elsewhere, 'kept'), '');
        const again = new Running(['--regions', 'us-east', '--engine', 'postgres']);
        await again.says(/^ready$/m);
        expect(readdirSync(elsewhere)).toContain('kept');
        again.child.kill('SIGTERM');
        await again.ended;
      } finally {
        rmSync(elsewhere, { recursive: true, force: true });
      }
    },
  );
});
