import { resolve } from 'node:path';
import { findNode, readClusterFile } from '../../config/cluster-file.ts';
import { hint } from '../../config/nearest.ts';
import { readSecret } from '../../config/secret-file.ts';
import { SettingError } from '../../config/setting-error.ts';
import { NODE_SETTINGS } from '../../config/settings.ts';
import type { Dependencies, RunningNode, ServeOptions, SignalSource } from '../dependencies.ts';
import { CommandFailure, EXIT } from '../exit-codes.ts';
import { settingsFor } from '../session.ts';
import { onStopSignals } from '../stop-signals.ts';

/** Runs one node until a signal, or until the process that started it over a channel is gone. */
export async function serve(flags: object, dependencies: Dependencies): Promise<void> {
  const startedMs = performance.now();
  const { options, warnings } = serveOptions(flags, dependencies);
  const stopped = whenToldToStop(dependencies.signals);
  const node = await startNode(options, dependencies);
  for (const warning of warnings) node.log.warn({}, warning);
  const place = findNode(options.clusterFile, options.nodeName);
  node.log.info(
    {
      http: place?.node.http,
      wanLab: options.settings.wanLab,
      tookMs: Math.round(performance.now() - startedMs),
    },
    'ready',
  );
  const reason = await stopped;
  node.log.info({ reason }, 'stopping');
  await node.stop();
  if (process.connected) process.disconnect?.();
}

async function startNode(options: ServeOptions, dependencies: Dependencies): Promise<RunningNode> {
  try {
    return await dependencies.serve(options);
  } catch (error) {
    if (process.connected) process.disconnect?.();
    const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
    if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    if (port === undefined) throw error;
    const problem = code === 'EADDRINUSE' ? 'is taken by another process' : 'may not be opened by this user';
    throw new CommandFailure(EXIT.failed, `${address}:${port} ${problem}`);
  }
}

function serveOptions(
  flags: object,
  dependencies: Dependencies,
): { options: ServeOptions; warnings: readonly string[] } {
  const { cluster, node, ...settings } = settingsFor(['cluster', 'node', ...NODE_SETTINGS], flags, dependencies);
  if (node === undefined) throw new SettingError('--node', 'say which node of the cluster file this is');
  const clusterFile = readClusterFile(resolve(dependencies.folder, cluster));
  if (!findNode(clusterFile, node)) {
    const names = clusterFile.regions.flatMap((region) => region.nodes.map(({ name }) => name));
    throw new SettingError(
      '--node',
      `${clusterFile.path} names no node '${node}'${hint(node, names) || `; it names ${names.join(', ')}`}`,
    );
  }
  const { bytes, warnings } = readSecret(clusterFile.secretFile);
  return { options: { clusterFile, secret: bytes, nodeName: node, settings }, warnings };
}

/**
 * A signal, or the end of the process that started this one: the demo's nodes do not outlive it. A second signal, more
 * than a second later, ends the process at once: what was acknowledged is on disk.
 */
function whenToldToStop(signals: SignalSource): Promise<string> {
  return new Promise((resolveStop) => {
    onStopSignals(
      signals,
      () => resolveStop('signal'),
      () => process.exit(130),
    );
    if (!process.connected) return;
    signals.on('disconnect', () => resolveStop('parent gone'));
    // The channel is there to be noticed when it closes; it must not keep a finished process alive.
    process.channel?.unref();
  });
}
