import type { WanStatus } from '@meridian/client/types';
import { durationText } from '../output/figures.ts';
import type { Style } from '../output/style.ts';
import { type Column, table } from '../output/table.ts';

/** What one node says of its links. */
export interface NodeLinks {
  readonly node: string;
  readonly links: WanStatus;
}

/** A pair of regions as the nodes at both of its ends have it. */
interface Link {
  readonly one: string;
  readonly other: string;
  readonly ends: readonly NodeLinks[];
}

const COLUMNS: readonly Column[] = [
  { title: '  LINK' },
  { title: 'RTT', align: 'right' },
  { title: 'LOSS', align: 'right' },
  { title: 'STATE' },
];

/** The emulated links between the regions, each in one line; where nodes at its two ends differ, the line says so. */
export function wanLines(told: readonly NodeLinks[], nodeCount: number, style: Style): string[] {
  const links = linksOf(told);
  const open = links.filter((link) => cutAt(link, 'there').length + cutAt(link, 'back').length === 0).length;
  const summary =
    open === links.length
      ? style('green', links.length === 1 ? 'the link is open' : `all ${open} links are open`)
      : style('yellow', `${open} of ${links.length} links ${open === 1 ? 'is' : 'are'} open`);
  return [
    `${style('bold', 'Emulated links')} ${style('dim', `as ${told.length} of ${nodeCount} nodes have them`)}`,
    '',
    ...table(
      COLUMNS,
      links.map((link) => linkRow(link, style)),
      (title) => style('dim', title),
    ),
    '',
    links.length === 0 ? style('dim', 'there is one region, and no link') : summary,
  ];
}

function linksOf(told: readonly NodeLinks[]): readonly Link[] {
  const regions = [...new Set(told.flatMap(({ links }) => links.regions))];
  return regions.flatMap((one, at) =>
    regions.slice(at + 1).map((other) => ({
      one,
      other,
      ends: told.filter(({ links }) => links.region === one || links.region === other),
    })),
  );
}

/** The nodes that let nothing through from `one` to `other`, or back. Either end alone can cut a link. */
function cutAt({ one, other, ends }: Link, way: 'there' | 'back'): readonly string[] {
  const [from, to] = way === 'there' ? [one, other] : [other, one];
  return ends
    .filter(
      ({ links }) =>
        links.split.some((pair) => pair.includes(from) && pair.includes(to)) ||
        links.oneWay.some(([start, end]) => start === from && end === to),
    )
    .map(({ node }) => node);
}

function linkRow(link: Link, style: Style): string[] {
  const there = cutAt(link, 'there');
  const back = cutAt(link, 'back');
  const isOpen = there.length + back.length === 0;
  const isSplit = there.length > 0 && back.length > 0;
  const dot = isOpen ? style('green', '●') : isSplit ? style('red', '○') : style('yellow', '◐');
  const arrow = isOpen ? '↔' : isSplit ? style('red', '╳') : style('yellow', back.length > 0 ? '→' : '←');
  const state = isOpen ? 'open' : style(isSplit ? 'red' : 'yellow', isSplit ? 'split' : 'one way');
  const losses = values(link, ({ loss }) => loss);
  const lossText = losses.map(percentText).join(' / ');
  return [
    `${dot} ${link.one} ${arrow} ${link.other}`,
    values(link, (links) => rttMs(links, link))
      .map(durationText)
      .join(' / '),
    losses.some((loss) => loss > 0) ? style('yellow', lossText) : lossText,
    state + saidBy(link, new Set([...there, ...back]), style),
  ];
}

/** Which of the ends have the link cut, where not all do: a change that one of them did not hear. */
function saidBy({ ends }: Link, cutters: ReadonlySet<string>, style: Style): string {
  if (cutters.size === 0 || cutters.size === ends.length) return '';
  return style('dim', ` at ${[...cutters].join(', ')} only`);
}

function rttMs({ rtt }: WanStatus, { one, other }: Link): number {
  return rtt[`${one}|${other}`] ?? rtt[`${other}|${one}`] ?? 0;
}

/** One where the ends agree. */
function values({ ends }: Link, of: (links: WanStatus) => number): readonly number[] {
  return [...new Set(ends.map(({ links }) => of(links)))];
}

function percentText(share: number): string {
  return `${Number((share * 100).toFixed(2))}%`;
}
