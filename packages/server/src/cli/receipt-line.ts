import type { AnswerHead } from '@meridian/client/types';
import type { Dependencies } from './dependencies.ts';
import { durationText, plural } from './output/figures.ts';
import { printLine, styles } from './session.ts';

/** The receipt of an answer in one line on stderr, where there is one. */
export async function printReceipt(head: AnswerHead, dependencies: Dependencies): Promise<void> {
  if (!head.receipt) return;
  const { level, node, region, replicasAnswered, replicasAsked, hops, tookMs, stalenessMs } = head.receipt;
  const parts = [
    `${level} at ${node} in ${region}`,
    `${replicasAnswered} of ${plural(replicasAsked, 'replica')}`,
    durationText(tookMs),
    stalenessMs === null ? undefined : `at most ${durationText(stalenessMs)} stale`,
    hops.length > 0 ? `by ${hops.map((hop) => `${hop.node} ${durationText(hop.ms)}`).join(', ')}` : undefined,
  ];
  await printLine(dependencies.stderr, styles(dependencies).err('dim', parts.filter(Boolean).join(' · ')));
}
