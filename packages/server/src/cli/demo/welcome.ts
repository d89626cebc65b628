import { type ClusterFile, linkRttMs } from '../../config/cluster-file.ts';
import { wanPlace } from '../../config/wan-places.ts';
import { durationText } from '../output/figures.ts';
import type { Style } from '../output/style.ts';
import { table } from '../output/table.ts';

/** What the demo says once its regions serve: where they are, and a first session to paste. */
export function welcomeLines(file: ClusterFile, hasWan: boolean, style: Style): string[] {
  return ['', ...regionLines(file, hasWan, style), '', ...sessionLines(file, hasWan, style), ''];
}

/** More columns than this do not fit a terminal. */
const ROUND_TRIPS_SHOWN_MAX = 2;

/** Each link once: the columns are the first regions, the rows below them have the other end. */
function regionLines(file: ClusterFile, hasWan: boolean, style: Style): string[] {
  const shown = hasWan ? file.regions.slice(0, Math.min(ROUND_TRIPS_SHOWN_MAX, file.regions.length - 1)) : [];
  const columns = [
    { title: '  REGION' },
    { title: 'PLACE' },
    { title: 'URL' },
    ...shown.map(({ name }) => ({ title: `↔ ${name}`, align: 'right' as const })),
  ];
  const rows = file.regions.map((region, row) => [
    `${style('green', '●')} ${style('bold', region.name)}`,
    wanPlace(region.name)?.city ?? '',
    style('cyan', `http://${region.nodes[0]?.http}`),
    ...shown.map(({ name }, column) =>
      column < row ? durationText(Math.round(linkRttMs(file, region.name, name))) : '',
    ),
  ]);
  return table(columns, rows, (title) => style('dim', title));
}

function sessionLines(file: ClusterFile, hasWan: boolean, style: Style): string[] {
  const [first, second] = file.regions;
  const firstUrl = `http://${first?.nodes[0]?.http}`;
  const last = file.regions.at(-1);
  const lastUrl = `http://${last?.nodes[0]?.http}`;
  const endpoint = firstUrl === 'http://127.0.0.1:8001' ? '' : ` --endpoint ${firstUrl}`;
  const steps: (readonly [string, string])[] = [
    [`write in ${first?.name}, read in ${last?.name}`, `curl -X PUT --json '{"value":"world"}' ${firstUrl}/kv/hello`],
    ['', `curl ${lastUrl}/kv/hello`],
    ['watch the regions', `bin/meridian status --watch${endpoint}`],
  ];
  if (hasWan && second)
    steps.push(
      ['cut a link, and restore it', `bin/meridian wan split ${first?.name} ${second.name}${endpoint}`],
      ['', `bin/meridian wan heal${endpoint}`],
    );
  steps.push(['the API', `${firstUrl}/docs`]);
  return steps.flatMap(([what, line]) => [...(what === '' ? [] : [style('dim', `# ${what}`)]), line]);
}
