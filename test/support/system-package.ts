import { spawnSync } from 'node:child_process';

/**
 * Makes sure that a program of this name can be run: found on the machine, or installed from Debian's package of the
 * same name where the tests run as root. Without it the test fails, and says what to do: what is not tested is not known.
 */
export function requireSystemPackage(program: string): void {
  if (canRun(program)) return;
  const isRoot = process.getuid?.() === 0;
  if (isRoot && canRun('apt-get')) {
    const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const install = ['install', '--yes', '--quiet', '--no-install-recommends', program];
    for (const args of [install, ['update', '--quiet'], install]) {
      spawnSync('apt-get', args, { env: environment, stdio: 'ignore', timeout: 120_000 });
      if (canRun(program)) return;
    }
  }
  throw new Error(
    `this test needs ${program}: install it with your system's package manager (apt-get install ${program})`,
  );
}

function canRun(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}
