import { describe, expect, it } from 'vitest';
import { MIXES, type Mix } from '../chaos/mixes.ts';
import { type MixOptions, runMix } from '../chaos/run-mix.ts';
import type { Finding } from '../histories/finding.ts';

const SEED = 1;

function mixOf(name: string): Mix {
  const mix = MIXES.find((candidate) => candidate.name === name);
  if (!mix) throw new Error(`there is no mix ${name}`);
  return mix;
}

async function findingsOf(name: string, more: Partial<MixOptions> = {}) {
  const { checks, counts } = await runMix({ mix: mixOf(name), regions: 3, seconds: 6, seed: SEED, ...more });
  const findings: Finding[] = [...checks.values()].flat();
  return { findings, counts, checked: checks.size };
}

/** The long runs have a command of their own: `make chaos`. */
describe('three regions in processes of their own, under faults', () => {
  it('give histories that are linearizable, sessions that hold, sets and counters that add up', async () => {
    for (const name of ['kill', 'ring']) {
      const { findings, counts, checked } = await findingsOf(name);
      expect(findings, `${name}, seed ${SEED}`).toEqual([]);
      expect(counts.ok).toBeGreaterThan(300);
      expect(checked).toBeGreaterThan(3);
    }
  });

  it('are caught where clients send no conditions and ask for less than strong', async () => {
    const { findings } = await findingsOf('calm', { isRehearsal: true, seconds: 3 });
    expect(findings.length).toBeGreaterThan(0);
  });
});
