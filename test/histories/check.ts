import { checkCounters } from './counters.ts';
import { explain } from './explain.ts';
import type { Finding } from './finding.ts';
import type { CheckOptions } from './linearizability.ts';
import { checkLinearizable } from './linearizability.ts';
import { MODELS, type Model } from './model.ts';
import { byKey, type Operation } from './operation.ts';
import { checkSessions } from './sessions.ts';
import { checkSets } from './sets.ts';

export type Check = (operations: readonly Operation[]) => readonly Finding[];

/** Each key on its own. What could not be decided is a finding too. */
export function checkAllLinearizable(
  operations: readonly Operation[],
  model: Model,
  options?: CheckOptions,
): readonly Finding[] {
  return [...byKey(operations)].flatMap(([key, ofKey]) => {
    const verdict = checkLinearizable(ofKey, model, options);
    if (verdict.verdict === 'linearizable') return [];
    const check = verdict.verdict === 'violated' ? 'linearizable' : 'linearizable (undecided)';
    return [{ check, key, text: explain(key, verdict).join('\n') }];
  });
}

/** Checks by the names under which histories ask for them. */
export const CHECKS: Readonly<Record<string, Check>> = {
  ...Object.fromEntries(
    MODELS.map((model): [string, Check] => [model.name, (operations) => checkAllLinearizable(operations, model)]),
  ),
  set: checkSets,
  counter: checkCounters,
  sessions: checkSessions,
};
