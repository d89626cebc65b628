import type { RingAnswer } from '@meridian/client/types';
import type { Style } from '../output/style.ts';
import { table } from '../output/table.ts';

/** Where a key stands: its replicas, nearest first. */
export function ringLines(answer: RingAnswer, style: Style): string[] {
  const rows = answer.preferenceList.map((replica, at) => [
    String(at + 1),
    `${replica.reachable ? style('green', '●') : style('red', '○')} ${replica.region}`,
    replica.store,
    style('dim', replica.why),
  ]);
  const columns = [{ title: '#' }, { title: '  REGION' }, { title: 'STORE' }, { title: 'WHY' }];
  return [
    `${style('bold', answer.key)} ${style('dim', `in namespace ${answer.namespace} · partition ${answer.partition}`)}`,
    '',
    ...table(columns, rows, (title) => style('dim', title)),
  ];
}
