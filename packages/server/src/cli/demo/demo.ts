import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MeridianClient } from '@meridian/client/client';
import type { ClusterFile } from '../../config/cluster-file.ts';
import { SettingError } from '../../config/setting-error.ts';
import { variableOf } from '../../config/settings.ts';
import type { Dependencies } from '../dependencies.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { settingsFor, styles } from '../session.ts';
import { onStopSignals } from '../stop-signals.ts';
import { lockFolder } from './folder-lock.ts';
import { checkPorts } from './free-ports.ts';
import { shownLogLine } from './log-line.ts';
import { addressesOf, databasePort, type Engine, hasLeftTraces, nodeNameOf, placesOf, prepareDemo } from './plan.ts';
import { deleteLeftDatabase, hasPassword, RegionDatabase } from './region-database.ts';
import { RESTART_MS, RegionProcess } from './region-process.ts';
import { welcomeLines } from './welcome.ts';

interface DemoFlags {
  /** Of `--no-wan`. */
  readonly wan: boolean;
  readonly engine: string;
  readonly verbose?: boolean;
}

const READY_MS_MAX = 60_000;
const WELL_MS_MAX = 10_000;
const READY_POLL_MS = 50;
const PORTS_PATIENCE_MS = 3_000;

/** Runs one node per region until it is told to stop. */
export async function demo(flags: DemoFlags, dependencies: Dependencies): Promise<void> {
  const engine = engineOf(flags.engine);
  const { regions, basePort, dataDir } = settingsFor(['regions', 'basePort', 'dataDir'], flags, dependencies);
  const folder = resolve(dependencies.folder, dataDir);
  const places = placesOf(regions);
  makeFolder(folder);
  const unlock = lockFolder(folder);
  try {
    const settings = { places, basePort, dataDir: folder, engine };
    const isNew = engine === 'postgres' && !hasPassword(folder);
    const file = prepareDemo(settings);
    if (isNew) await deleteLeftDatabases(file, folder);
    await checkPorts(addressesOf(file, settings), PORTS_PATIENCE_MS);
    const databases = engine === 'postgres' ? databasesOf(file, folder, basePort, dependencies) : [];
    try {
      await startDatabases(databases, dependencies);
      await runRegions(file, folder, flags, dependencies);
    } finally {
      // After the nodes: what they have under way goes to their databases.
      await Promise.all(databases.map((database) => database.stop()));
    }
  } finally {
    unlock();
  }
}

/** Without the password, which went with their folder, they would only be in the way. */
async function deleteLeftDatabases({ regions }: ClusterFile, folder: string): Promise<void> {
  const nodes = regions.map(({ name }) => nodeNameOf(name)).filter((node) => !hasLeftTraces(node, folder));
  await Promise.all(nodes.map((node) => deleteLeftDatabase(node, folder)));
}

function makeFolder(folder: string): void {
  try {
    makeFolders(folder);
  } catch (error) {
    throw new SettingError(
      '--data-dir',
      `${folder} cannot be made a folder (${(error as NodeJS.ErrnoException).code})`,
    );
  }
}

/** Node's own way to make all folders of a path goes on for ever where the system takes none, as under `/proc`. */
function makeFolders(folder: string): void {
  if (isFolder(folder)) return;
  if (!existsSync(dirname(folder))) makeFolders(dirname(folder));
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another demo may have made it meanwhile.
    if (!isFolder(folder)) throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function databasesOf(
  file: ClusterFile,
  folder: string,
  basePort: number,
  dependencies: Dependencies,
): readonly RegionDatabase[] {
  const { out } = styles(dependencies);
  return file.regions.map(({ name }, at) => {
    const node = nodeNameOf(name);
    const say = (text: string) => dependencies.stdout.write(`${out('yellow', `${node} PostgreSQL`)} ${text}\n`);
    return new RegionDatabase({
      node,
      folder,
      port: databasePort(basePort, at),
      onDeath: (how) => say(`ended (${how}); it is started again in ${RESTART_MS / 1_000} s`),
      onRestart: (pid) => say(`is started again, process ${pid}`),
    });
  });
}

async function startDatabases(databases: readonly RegionDatabase[], { stdout }: Dependencies): Promise<void> {
  if (databases.length === 0) return;
  stdout.write(`starting ${databases.length} PostgreSQL servers\n`);
  // All of them, also where one has failed: what is stopped while it makes its data would start after that.
  const outcomes = await Promise.allSettled(databases.map((database) => database.start()));
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw new CommandFailure(EXIT.failed, (failed.reason as Error).message);
}

async function runRegions(
  file: ClusterFile,
  folder: string,
  flags: DemoFlags,
  dependencies: Dependencies,
): Promise<void> {
  const stopping = new AbortController();
  const nodes = file.regions.flatMap((region) => region.nodes);
  const regions = nodes.map(({ name }) => regionProcess(name, file.path, folder, flags, dependencies));
  const release = onStopSignals(
    dependencies.signals,
    () => stopping.abort(),
    () => {
      for (const region of regions) region.kill();
    },
  );
  const stopped = new Promise<void>((resolveStop) => stopping.signal.addEventListener('abort', () => resolveStop()));
  try {
    for (const region of regions) region.start();
    await Promise.all(nodes.map(({ http }, at) => whenReady(http, regions[at] as RegionProcess, stopping.signal)));
    await Promise.all(nodes.map(({ http }) => whenWell(http, stopping.signal)));
    if (!stopping.signal.aborted) welcome(file, regions, flags, dependencies);
    await stopped;
    dependencies.stdout.write('stopping\n');
  } finally {
    stopping.abort();
    await Promise.all(regions.map((region) => region.stop()));
    release();
  }
}

function welcome(
  file: ClusterFile,
  regions: readonly RegionProcess[],
  flags: DemoFlags,
  dependencies: Dependencies,
): void {
  const { out } = styles(dependencies);
  const { stdout } = dependencies;
  stdout.write(`${welcomeLines(file, flags.wan, out).join('\n')}\n`);
  const processes = regions.map(({ node, pid }) => `${node} ${pid}`).join(', ');
  stdout.write(`${out('dim', `processes ${processes}`)}
${out('dim', 'Ctrl-C stops them')}
`);
  stdout.write('ready\n');
}

function regionProcess(
  node: string,
  clusterPath: string,
  folder: string,
  flags: DemoFlags,
  dependencies: Dependencies,
): RegionProcess {
  const { out, err } = styles(dependencies);
  const say = (text: string) => dependencies.stdout.write(`${out('yellow', node)} ${text}\n`);
  return new RegionProcess({
    node,
    folder,
    command: [
      ...dependencies.self,
      'serve',
      '--cluster',
      clusterPath,
      '--node',
      node,
      ...(flags.wan ? ['--wan-lab'] : []),
    ],
    env: childEnvironment(dependencies.env),
    onLine: (line) => {
      const shown = shownLogLine(node, line, flags.verbose ?? false, err);
      if (shown !== undefined) dependencies.stderr.write(`${shown}\n`);
    },
    onDeath: (how) => say(`ended (${how}); it is started again in ${RESTART_MS / 1_000} s`),
    onRestart: (pid) => say(`is started again, process ${pid}`),
  });
}

/** Decided by the flags of the child, so they must not come from the environment too. */
const DECIDED_BY_FLAGS = ['cluster', 'node', 'wanLab'].map(variableOf);

/** The log of a child is read here, so it is JSON. */
function childEnvironment(env: Dependencies['env']): Record<string, string | undefined> {
  const kept = Object.entries(env).filter(([variable]) => !DECIDED_BY_FLAGS.includes(variable));
  return { ...Object.fromEntries(kept), [variableOf('logFormat')]: 'json' };
}

async function whenReady(http: string, region: RegionProcess, signal: AbortSignal): Promise<void> {
  const client = new MeridianClient({ endpoint: `http://${http}`, session: false });
  const deadlineMs = performance.now() + READY_MS_MAX;
  while (!signal.aborted && !(await client.isReady(1_000))) {
    if (region.deaths > 0) throw new CommandFailure(EXIT.failed, `${region.node} does not start${reasonOf(region)}`);
    if (performance.now() > deadlineMs) {
      throw new CommandFailure(
        EXIT.failed,
        `${region.node} is not ready after ${READY_MS_MAX / 1_000} s; its log says why`,
      );
    }
    await sleep(READY_POLL_MS);
  }
}

/** The regions have found each other, so that quorums answer from the first request on. Not waited for for ever: they serve. */
async function whenWell(http: string, signal: AbortSignal): Promise<void> {
  const client = new MeridianClient({ endpoint: `http://${http}`, session: false });
  const deadlineMs = performance.now() + WELL_MS_MAX;
  while (!signal.aborted && performance.now() < deadlineMs) {
    const health = await client.health().catch(() => undefined);
    if (health?.status === 'ok') return;
    await sleep(READY_POLL_MS);
  }
}

function reasonOf({ lastLine }: RegionProcess): string {
  return lastLine === '' ? '' : `: ${lastLine.replace(/^meridian: /, '')}`;
}

function engineOf(engine: string): Engine {
  if (engine === 'lmdb' || engine === 'postgres') return engine;
  throw new SettingError('--engine', `no engine '${engine}' is known; lmdb and postgres are`);
}
