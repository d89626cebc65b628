import type { Hop, Receipt } from '@meridian/client/types';
import { durationText, plural } from './output/figures.ts';
import { printable } from './output/printable.ts';
import type { Style } from './output/style.ts';
import { pad, widthOf } from './output/table.ts';

const GAP = '  ';
/** A bar needs so many columns to tell one time from another; names are cut before it gets less. Lines then fit 40 columns. */
const BAR_COLUMNS_MIN = 8;
const BAR_COLUMNS_MAX = 60;
const NAME_COLUMNS_MIN = 5;

/** Columns of each part of a line, gaps not counted. */
interface Widths {
  readonly round: number;
  readonly node: number;
  readonly region: number;
  readonly bar: number;
  readonly ms: number;
}

/**
 * A receipt as a small timeline: a line for each answer that came from another node, its bar from when it was asked to when
 * it had answered, all bars on one scale; the answers of a round together.
 */
export function timelineLines(receipt: Receipt, columns: number, style: Style): string[] {
  const { level, node, region, tookMs } = receipt;
  const heading = style('dim', printable(`${level} at ${node} in ${region}`));
  const hops = receipt.hops.toSorted((left, right) => left.round - right.round || endOf(left) - endOf(right));
  const summary = folded(summaryOf(receipt), columns);
  if (hops.length === 0) return [heading, 'no other node was waited for', ...summary];
  const scaleMs = Math.max(tookMs, ...hops.map(endOf));
  const widths = widthsFor(hops, columns);
  const lines = hops.map((hop, at) => hopLine(hop, hop.round !== hops[at - 1]?.round, scaleMs, widths, style));
  return [heading, ...lines, ...summary];
}

function endOf({ atMs, ms }: Hop): number {
  return atMs + ms;
}

/** What is too much for the terminal is taken from the longer names first. */
function widthsFor(hops: readonly Hop[], columns: number): Widths {
  const widest = (text: (hop: Hop) => string) => Math.max(...hops.map((hop) => widthOf(text(hop))));
  const round = widest(roundText);
  const ms = widest((hop) => durationText(hop.ms));
  const left = columns - round - ms - 4 * GAP.length;
  let node = widest((hop) => hop.node);
  let region = widest((hop) => hop.region);
  while (node + region + BAR_COLUMNS_MIN > left && Math.max(node, region) > NAME_COLUMNS_MIN) {
    if (node >= region) node -= 1;
    else region -= 1;
  }
  const bar = Math.min(BAR_COLUMNS_MAX, Math.max(BAR_COLUMNS_MIN, left - node - region));
  return { round, node, region, bar, ms };
}

function hopLine(hop: Hop, isFirst: boolean, scaleMs: number, widths: Widths, style: Style): string {
  const cells = [
    style('dim', pad(isFirst ? roundText(hop) : '', widths.round)),
    pad(cut(printable(hop.node), widths.node), widths.node),
    style('dim', pad(cut(printable(hop.region), widths.region), widths.region)),
    pad(style('cyan', barOf(hop, scaleMs, widths.bar)), widths.bar),
    pad(durationText(hop.ms), widths.ms, 'right'),
  ];
  return cells.join(GAP);
}

function roundText({ round }: Hop): string {
  return `round ${round}`;
}

function cut(name: string, width: number): string {
  return name.length <= width ? name : `${name.slice(0, width - 1)}…`;
}

/** At least one column, and none beyond the scale. */
function barOf(hop: Hop, scaleMs: number, columns: number): string {
  const perMs = scaleMs > 0 ? columns / scaleMs : 0;
  const from = Math.min(columns - 1, Math.round(hop.atMs * perMs));
  const to = Math.min(columns, Math.max(from + 1, Math.round(endOf(hop) * perMs)));
  return ' '.repeat(from) + '━'.repeat(to - from);
}

function summaryOf(receipt: Receipt): readonly string[] {
  const { rounds, replicasAnswered, replicasAsked, tookMs, stalenessMs } = receipt;
  const isStale = stalenessMs !== null && stalenessMs > 0;
  return [
    plural(rounds, 'round') + passedOnText(receipt),
    `${replicasAnswered} of ${plural(replicasAsked, 'replica')} answered`,
    `${durationText(tookMs)} in all`,
    ...(isStale ? [`at most ${durationText(stalenessMs)} stale`] : []),
  ];
}

/** Parts on one line, or on as many as they need. */
function folded(parts: readonly string[], columns: number): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const longer = lines.length > 0 ? `${lines.at(-1)} · ${part}` : part;
    if (lines.length > 0 && longer.length <= columns) lines[lines.length - 1] = longer;
    else lines.push(part);
  }
  return lines;
}

/** A node without a replica of the key hands the request to one that has it, whose own rounds it is not told hop by hop. */
function passedOnText({ rounds, hops, node }: Receipt): string {
  const seen = Math.max(0, ...hops.map((hop) => hop.round));
  const isPassedOn = rounds > seen && hops.some((hop) => hop.node === node);
  return isPassedOn ? `, ${rounds - seen} of them at ${printable(node)}` : '';
}
