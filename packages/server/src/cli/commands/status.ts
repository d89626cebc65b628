import type { MeridianClient } from '@meridian/client/client';
import type { Health, NodeStatus, RegionStatus, Standing } from '@meridian/client/types';
import { wanPlace } from '../../config/wan-places.ts';
import type { Dependencies } from '../dependencies.ts';
import { lineOf } from '../exit-codes.ts';
import { isOpen } from '../output/broken-outputs.ts';
import { bytesText, coordinatesText, countText, durationText } from '../output/figures.ts';
import type { Style } from '../output/style.ts';
import { type Column, table } from '../output/table.ts';
import { type ClientFlags, print, printLine, styles, withClient } from '../session.ts';
import { stopSignal } from '../stop-signals.ts';
import { ringLines } from './ring-lines.ts';

interface StatusFlags extends ClientFlags {
  readonly watch?: number | true;
  readonly nodes?: boolean;
  readonly ring?: string;
}

interface Seen {
  readonly health: Health;
  readonly regions: readonly RegionStatus[];
}

export async function status(flags: StatusFlags, dependencies: Dependencies): Promise<void> {
  await withClient(flags, dependencies, async (client) => {
    if (flags.ring !== undefined) return showRing(client, flags.ring, flags, dependencies);
    if (flags.watch !== undefined) return watch(client, flags, dependencies);
    const seen = await look(client);
    const text = flags.json
      ? JSON.stringify(seen)
      : statusLines(seen, client.endpoint, flags, styles(dependencies).out).join('\n');
    await printLine(dependencies.stdout, text);
  });
}

async function look(client: MeridianClient): Promise<Seen> {
  const [health, regions] = await Promise.all([client.health(), client.regions()]);
  return { health, regions };
}

async function showRing(
  client: MeridianClient,
  key: string,
  flags: StatusFlags,
  dependencies: Dependencies,
): Promise<void> {
  const answer = await client.ring(key);
  const text = flags.json ? JSON.stringify(answer) : ringLines(answer, styles(dependencies).out).join('\n');
  await printLine(dependencies.stdout, text);
}

const CLEAR = '\u001b[H\u001b[J';

/** Shows the status anew until it is stopped; a node that does not answer is waited for. */
async function watch(client: MeridianClient, flags: StatusFlags, dependencies: Dependencies): Promise<void> {
  const { stdout, signals } = dependencies;
  const { out } = styles(dependencies);
  const everyMs = (flags.watch === true ? 1 : (flags.watch ?? 1)) * 1_000;
  const stopping = new AbortController();
  const stopped = stopSignal(signals).then(() => stopping.abort());
  const isScreen = stdout.isTTY === true && !flags.json;
  if (isScreen) await print(stdout, '\u001b[2J');
  while (!stopping.signal.aborted && isOpen(stdout)) {
    const seen = await look(client).catch((error: unknown) => error as Error);
    const isFailure = seen instanceof Error;
    const text = flags.json
      ? JSON.stringify(isFailure ? { error: lineOf(seen) } : seen)
      : isFailure
        ? `${out('red', '○')} ${lineOf(seen)}\n`
        : `${statusLines(seen, client.endpoint, flags, out).join('\n')}\n`;
    if (stopping.signal.aborted) break;
    await printLine(stdout, isScreen ? `${CLEAR}${text}${out('dim', 'Ctrl-C ends this')}` : text);
    await Promise.race([pause(everyMs, stopping.signal), stopped]);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}

const REGION_COLUMNS: readonly Column[] = [
  { title: '  REGION' },
  { title: 'PLACE' },
  { title: 'NODES', align: 'right' },
  { title: 'RTT', align: 'right' },
  { title: 'LAG', align: 'right' },
  { title: 'KEYS', align: 'right' },
  { title: 'BYTES', align: 'right' },
];

/** The cluster in a table of at most 80 columns, where names are not very long. */
export function statusLines(
  { health, regions }: Seen,
  endpoint: string,
  flags: { nodes?: boolean },
  style: Style,
): string[] {
  const rows = regions.flatMap((region) => [
    regionRow(region, health.region, style),
    ...(flags.nodes || region.nodes.length > 1 ? region.nodes.map((node) => nodeRow(node, health.node, style)) : []),
  ]);
  const up = regions.filter((region) => region.reachable).length;
  const summary =
    up === regions.length
      ? style('green', regions.length === 1 ? 'the region answers' : `all ${up} regions answer`)
      : style('yellow', `${up} of ${regions.length} regions answer`);
  return [
    `${style('bold', 'Meridian')} ${style('dim', `seen from ${health.node} in ${health.region} · ${endpoint}`)}`,
    '',
    ...table(REGION_COLUMNS, rows, (title) => style('dim', title)),
    '',
    `${summary}${style('dim', ` · ${health.node} ${health.status}, up ${durationText(health.uptimeSeconds * 1_000)}, version ${health.version}`)}`,
  ];
}

function regionRow(region: RegionStatus, here: string, style: Style): string[] {
  const up = region.nodes.filter((node) => node.reachable).length;
  const dot = up === region.nodes.length ? style('green', '●') : up > 0 ? style('yellow', '◐') : style('red', '○');
  return [
    `${dot} ${region.reachable ? style('bold', region.name) : region.name}`,
    wanPlace(region.name)?.city ?? coordinatesText(region.latitude, region.longitude),
    `${up}/${region.nodes.length}`,
    ...figures(region, region.name === here, style),
  ];
}

function nodeRow(node: NodeStatus, here: string, style: Style): string[] {
  const dot = node.reachable ? style('green', '●') : style('red', '○');
  return [`    ${dot} ${node.name}`, style('dim', node.http), '', ...figures(node, node.name === here, style)];
}

function figures(standing: Standing, isHere: boolean, style: Style): string[] {
  const away = (text: string) => (standing.reachable ? text : style('dim', text));
  const rtt = isHere ? style('dim', 'here') : standing.reachable ? durationText(standing.rttMs) : style('red', 'down');
  return [rtt, lagText(standing.lagMs, isHere, style), away(countText(standing.keys)), away(bytesText(standing.bytes))];
}

/** From here on a lag is more than distance explains. */
const LAG_WORTH_A_COLOUR_MS = 1_000;

function lagText(lagMs: number | null, isHere: boolean, style: Style): string {
  if (isHere && !lagMs) return style('dim', '–');
  const text = durationText(lagMs);
  return lagMs !== null && lagMs >= LAG_WORTH_A_COLOUR_MS ? style('yellow', text) : text;
}
