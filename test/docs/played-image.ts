import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { contextFilter, environmentOf, lastOf, parseDockerfile, type Stage, wordsOf } from './dockerfile.ts';

const STEP_MS_MAX = 60_000;

interface LockedPackage {
  readonly dev?: boolean;
  readonly link?: boolean;
}

/**
 * The image that the Dockerfile of a repository makes, as a folder: its steps run as plain processes, with paths of the
 * image below that folder. What npm would install is linked from the repository: the packages that the lockfile does not
 * mark as being for development.
 */
export class PlayedImage {
  readonly root = mkdtempSync(join(tmpdir(), 'meridian-image-'));
  readonly #repository: string;
  readonly #build: Stage;
  readonly #stage: Stage;
  readonly #children = new Set<ChildProcess>();

  constructor(repository: string) {
    this.#repository = repository;
    const [build, final] = parseDockerfile(readFileSync(join(repository, 'Dockerfile'), 'utf8'));
    if (!build || !final) throw new Error('the Dockerfile has two stages');
    this.#build = build;
    this.#stage = final;
  }

  /** Plays the steps. @throws where one fails */
  build(): void {
    this.#playBuild(this.#build);
    for (const { name, text } of this.#stage.instructions) if (name === 'RUN') this.#play(text);
  }

  /** Where a path of the image is here. */
  path(inImage: string): string {
    return join(this.root, inImage);
  }

  /** Starts what the image starts. */
  start(environment: Readonly<Record<string, string>>): ChildProcess {
    const [command = '', ...args] = [
      ...wordsOf(lastOf(this.#stage, 'ENTRYPOINT')),
      ...wordsOf(lastOf(this.#stage, 'CMD')),
    ];
    const child = spawn(command, args, {
      cwd: this.path(lastOf(this.#stage, 'WORKDIR')),
      env: this.#environment(environment),
      stdio: 'ignore',
    });
    this.#children.add(child);
    return child;
  }

  /** Runs a command as in the container, by default the image's own health check: the exit code and what it said. */
  run(
    environment: Readonly<Record<string, string>>,
    words: readonly string[] = wordsOf(lastOf(this.#stage, 'HEALTHCHECK')),
  ): { readonly code: number | null; readonly said: string } {
    const [command = '', ...args] = words.map((word) => this.#here(word));
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd: this.root,
      env: this.#environment(environment),
      encoding: 'utf8',
      timeout: STEP_MS_MAX,
    });
    return { code: status, said: `${stdout}${stderr}` };
  }

  /** Kills what runs still, and removes the folder. */
  remove(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
  }

  #playBuild(build: Stage): void {
    const folder = lastOf(build, 'WORKDIR');
    for (const { name, text } of build.instructions) {
      if (name === 'COPY') this.#copy(text, this.path(folder));
      else if (name === 'RUN') {
        for (const command of text.split('&&').map((part) => part.trim())) {
          if (command.startsWith('npm ci')) this.#install(this.path(folder));
          else this.#play(command, this.path(folder));
        }
      }
    }
  }

  /** `COPY from... to`: of folders their contents, as far as .dockerignore lets them into the build. */
  #copy(text: string, folder: string): void {
    const [to = '', ...from] = text.split(/\s+/).toReversed();
    const isInContext = contextFilter(readFileSync(join(this.#repository, '.dockerignore'), 'utf8'));
    for (const source of from) {
      const isFolder = statSync(join(this.#repository, source)).isDirectory();
      const found = isFolder ? globSync('**', { cwd: join(this.#repository, source) }) : [''];
      const files = found
        .map((inside) => join(source, inside))
        .filter((path) => statSync(join(this.#repository, path)).isFile());
      const taken = files.filter(isInContext);
      if (taken.length === 0) throw new Error(`COPY ${source}: the build context does not hold it`);
      for (const path of taken) {
        const inside = isFolder ? path.slice(source.length + 1) : (path.split('/').at(-1) ?? '');
        cpSync(join(this.#repository, path), join(folder, to, inside));
      }
    }
  }

  #install(folder: string): void {
    const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, LockedPackage & { readonly resolved?: string }>>;
    };
    for (const [path, { dev, link, resolved }] of Object.entries(lock.packages)) {
      if (dev || !/^(?:packages\/[^/]+\/)?node_modules\/(?:@[^/]+\/)?[^/]+$/.test(path)) continue;
      const target = link ? join(folder, resolved ?? '') : join(this.#repository, path);
      // Parts for other platforms are in the lockfile, and not installed.
      if (!existsSync(target)) continue;
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      symlinkSync(target, join(folder, path));
    }
  }

  /** A step of the image. Users of the image are not here: what it gives to one of them is this user's. */
  #play(command: string, folder = this.root): void {
    const here = this.#here(command).replaceAll(/--(?:owner|group)=\w+ /g, '');
    const { status, stderr } = spawnSync('sh', ['-c', here], {
      cwd: folder,
      env: this.#environment({}),
      encoding: 'utf8',
      timeout: STEP_MS_MAX,
    });
    if (status !== 0) throw new Error(`RUN ${here} ended with ${status}: ${stderr}`);
  }

  #environment(more: Readonly<Record<string, string>>): Record<string, string> {
    const { PATH = '', ...set } = environmentOf(this.#stage);
    const own = Object.entries(set).map(([name, value]) => [name, this.#here(value)]);
    return {
      ...Object.fromEntries(own),
      // The Node of the image is the one that runs this.
      PATH: `${this.#here(PATH.replace(':$PATH', ''))}:${dirname(process.execPath)}:/usr/bin:/bin`,
      ...more,
    };
  }

  #here(text: string): string {
    return text.replaceAll(/(?<![\w./-])\/(?=opt|etc|var)/g, `${this.root}/`);
  }
}
