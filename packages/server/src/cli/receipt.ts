import type { Receipt } from '@meridian/client/types';
import type { Dependencies } from './dependencies.ts';
import { durationText, plural } from './output/figures.ts';
import { timelineLines } from './receipt-timeline.ts';
import { type ClientFlags, printLine, styles } from './session.ts';

/** Columns of what is no terminal, or one that does not tell its width. */
const COLUMNS = 80;

/** The receipt of an answer on stderr, where there is one: in one line, or drawn. With `--json` it goes with the data instead. */
export async function printReceipt(
  receipt: Receipt | undefined,
  flags: ClientFlags,
  dependencies: Dependencies,
): Promise<void> {
  if (!receipt || flags.json) return;
  const { stderr } = dependencies;
  const style = styles(dependencies).err;
  const lines = flags.explain
    ? timelineLines(receipt, stderr.columns || COLUMNS, style)
    : [style('dim', lineOf(receipt))];
  await printLine(stderr, lines.join('\n'));
}

function lineOf(receipt: Receipt): string {
  const { level, node, region, replicasAnswered, replicasAsked, hops, tookMs, stalenessMs } = receipt;
  const parts = [
    `${level} at ${node} in ${region}`,
    `${replicasAnswered} of ${plural(replicasAsked, 'replica')}`,
    durationText(tookMs),
    stalenessMs === null ? undefined : `at most ${durationText(stalenessMs)} stale`,
    hops.length > 0 ? `by ${hops.map((hop) => `${hop.node} ${durationText(hop.ms)}`).join(', ')}` : undefined,
  ];
  return parts.filter(Boolean).join(' · ');
}
