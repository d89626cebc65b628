import { describe, expect, it } from 'vitest';
import type { Rule } from './model-acceptor.testing.ts';
import type { PlantedFlaw } from './planted-flaws.ts';
import { type RunOptions, runRegister } from './register-run.testing.ts';

const SEEDS = 2500;
const ALL = { wipes: true, restarts: true, expiry: true };

function firstBad(seeds: number, options: RunOptions): object | undefined {
  for (let seed = 1; seed <= seeds; seed++) {
    const { faults, story } = runRegister(seed, options);
    if (faults.length > 0) return { seed, faults, story: story.join('\n') };
  }
  return undefined;
}

describe.each([3, 5])('registers on %i acceptors', (acceptors) => {
  it('are linearizable, one value a ballot, whatever the network does', () => {
    expect(firstBad(SEEDS, { acceptors })).toBeUndefined();
  });

  it('are so while acceptors and proposers restart, values expire, and stores are lost and replaced', () => {
    expect(firstBad(SEEDS, { acceptors, ...ALL })).toBeUndefined();
  });

  it('are tried where operations are answered, changes take one round, and others have to try again', () => {
    const runs = Array.from({ length: 60 }, (_, at) => runRegister(at + 1, { acceptors }));
    const sum = (of: (run: (typeof runs)[number]) => number): number => runs.reduce((total, run) => total + of(run), 0);
    expect(sum(({ answered }) => answered)).toBeGreaterThan(60 * 5);
    expect(sum(({ oneRound }) => oneRound)).toBeGreaterThan(15);
    expect(sum(({ retries }) => retries)).toBeGreaterThan(60);
    expect(sum(({ settled }) => settled)).toBeGreaterThan(2);
  });

  it('run the same for the same seed', () => {
    expect(runRegister(7, { acceptors, ...ALL })).toEqual(runRegister(7, { acceptors, ...ALL }));
  });
});

/** Runs until a fault of this name is found. */
function expectFound(seeds: number, fault: RegExp, options: RunOptions): void {
  for (let seed = 1; seed <= seeds; seed++)
    if (runRegister(seed, options).faults.some((text) => fault.test(text))) return;
  expect.fail(`nothing of ${fault} was found in ${seeds} seeds with ${JSON.stringify(options)}`);
}

const WRONG_ANSWER = /not linearizable/;
const FIVE_WIPED = { acceptors: 5, wipes: true };
const WRONG = /not linearizable|two values chosen|gave way/;

describe('each rule of those who use the core is needed: without it', () => {
  /** What goes wrong, the rule, the seeds within which it must show (of 4,000 it did in so many), options, the fault. */
  const rules: readonly (readonly [string, Rule, number, RunOptions, RegExp])[] = [
    ['a ballot kept after a doubtful accept gets a second value', 'cache-dropped-in-doubt', 300, {}, WRONG_ANSWER], // 109
    ['a promise forgotten at a restart lets an older ballot in', 'promise-kept', 300, { restarts: true }, WRONG_ANSWER], // 49
    ['a ballot is used again after a restart', 'ballots-fresh', 300, { restarts: true }, WRONG_ANSWER], // 94
    ['what a lost store had promised counts', 'members-checked', 1500, { wipes: true }, WRONG_ANSWER], // 12
    ['it counts in a quorum that no store asked to accept refuses', 'members-checked-early', 4000, FIVE_WIPED, WRONG], // 1
    ['a new store lacks what the lost one had accepted', 'recovered-whole', 300, { wipes: true }, WRONG_ANSWER], // 9
    ['a new store knows what one other knew', 'recovered-from-enough', 50, { wipes: true }, WRONG_ANSWER], // 329
    ['what was taken over counts as accepted, in spite of promises', 'hearsay-told-apart', 4000, FIVE_WIPED, WRONG], // 1
  ];
  it.each(rules)('%s', (_name, without, seeds, options, fault) => expectFound(seeds, fault, { ...options, without }));
});

describe('each rule inside the core is needed: without it', () => {
  const flaws: readonly (readonly [string, PlantedFlaw, number, RunOptions, RegExp])[] = [
    ['one store makes a majority', 'store-counted-twice', 300, {}, WRONG_ANSWER], // 38
    ['what is accepted and not chosen is returned', 'unchosen-returned', 300, {}, WRONG_ANSWER], // 43
    ['a condition fails on a value that is never chosen', 'failed-condition-unsettled', 600, {}, WRONG_ANSWER], // 75
    ['a key is absent because one store lacks it', 'absence-unsettled', 300, {}, WRONG_ANSWER], // 38
    ['a retry applies its change again', 'retry-applied-again', 50, {}, WRONG_ANSWER], // 2,152
  ];
  it.each(flaws)('%s', (_name, flaw, seeds, options, fault) => expectFound(seeds, fault, { ...options, flaw }));
});
