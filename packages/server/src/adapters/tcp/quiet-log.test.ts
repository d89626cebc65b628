import { describe, expect, it } from 'vitest';
import { KeptLog } from '../../../../../test/conformance/transport-networks.ts';
import { systemClock } from '../system/system-clock.ts';
import { QuietLog } from './quiet-log.ts';

describe('the quiet log', () => {
  it('warns of each thing at once, and of its repeats every ten seconds, with their number', () => {
    let nowMs = 0;
    const log = new KeptLog();
    const quiet = new QuietLog(log, { ...systemClock, monotonicMs: () => nowMs });
    for (; nowMs < 10_000; nowMs += 1_000) quiet.warn('one', {}, 'one');
    quiet.warn('two', {}, 'two');
    quiet.warn('one', {}, 'one again');
    expect(log.lines).toEqual(['warn one {}', 'warn two {}', 'warn one again {"repeatsNotLogged":9}']);
  });
});
